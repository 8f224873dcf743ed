"""Rows to learn from, kept on disk so that every fit's process maps the same pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from promise.data.answer import answer_from_json, answer_to_json
from promise.data.columns import Array, Columns
from promise.models.base import Examples

EXTRAS = ("rows", "weight", "order")


def save_examples(examples: Examples, folder: Path) -> None:
    """Write examples into a folder that `load_examples` maps; texts as codes into their values.

    Columns of one type share a file, so that ten thousand columns are not as many files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kinds: dict[str, list[str]] = {}
    for name in examples.columns:
        values = examples.columns[name]
        kinds.setdefault("<i4" if values.dtype == object else values.dtype.str, []).append(name)
    texts: dict[str, list[Any]] = {}
    for number, (kind, names) in enumerate(kinds.items()):
        shape = (len(names), examples.n_rows)
        # Written, not mapped: a full disk then is an error, where a mapped page is a bus error.
        with (folder / f"block-{number}.npy").open("wb") as file:
            about_block = {"descr": kind, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, about_block)
            for name in names:
                values = examples.columns[name]
                if values.dtype == object:
                    values, texts[name] = coded(values)
                file.write(np.ascontiguousarray(values, dtype=kind).view(np.uint8).data)
    np.save(folder / "y.npy", examples.y)
    for extra in EXTRAS:
        values = getattr(examples, extra)
        if values is not None:
            np.save(folder / f"{extra}.npy", values)
    about = {
        "columns": list(examples.columns),
        "blocks": list(kinds.values()),
        "texts": texts,
        "answer": answer_to_json(examples.answer),
    }
    (folder / "examples.json").write_text(json.dumps(about), encoding="utf-8")


def coded(values: Array) -> tuple[Array, list[Any]]:
    """Return texts as int32 codes into their distinct values, -1 for a missing one."""
    encoded = pa.array(values, type=pa.large_string(), from_pandas=True).dictionary_encode()
    return encoded.indices.fill_null(-1).to_numpy().astype(np.int32), encoded.dictionary.to_pylist()


def load_examples(folder: Path, positions: Array | None = None) -> Examples:
    """Read examples back, only the rows at these positions when given."""
    about = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
    arrays: dict[str, Array] = {}
    for number, names in enumerate(about["blocks"]):
        mapped = np.load(folder / f"block-{number}.npy", mmap_mode="r")
        block = np.array(mapped) if positions is None else np.array(mapped[:, positions])
        for name, values in zip(names, block, strict=True):
            texts = about["texts"].get(name)
            arrays[name] = values if texts is None else decoded(values, texts)
    y = load_part(folder, "y", positions)
    if y is None:
        raise FileNotFoundError(folder / "y.npy")
    return Examples(
        columns=Columns({name: arrays[name] for name in about["columns"]}),
        y=y,
        answer=answer_from_json(about["answer"]),
        rows=load_part(folder, "rows", positions),
        weight=load_part(folder, "weight", positions),
        order=load_part(folder, "order", positions),
    )


def load_labels(folder: Path, positions: Array | None = None) -> Examples:
    """Read everything but the columns, for rows whose matrix is made already."""
    about = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
    y = load_part(folder, "y", positions)
    if y is None:
        raise FileNotFoundError(folder / "y.npy")
    return Examples(
        columns=Columns({}),
        y=y,
        answer=answer_from_json(about["answer"]),
        rows=load_part(folder, "rows", positions),
        weight=load_part(folder, "weight", positions),
        order=load_part(folder, "order", positions),
    )


def load_part(folder: Path, name: str, positions: Array | None) -> Array | None:
    """Read one array's rows, or None where the examples have none."""
    path = folder / f"{name}.npy"
    if not path.exists():
        return None
    mapped: Array = np.load(path, mmap_mode="r")
    return np.array(mapped) if positions is None else np.array(mapped[positions])


def decoded(codes: Array, texts: list[Any]) -> Array:
    """Return the texts that codes stand for."""
    known = np.empty(len(texts) + 1, dtype=object)  # the last one, code -1, is None: missing
    known[: len(texts)] = texts
    found: Array = known[codes]
    return found
