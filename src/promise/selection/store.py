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
    """Write examples into a folder that `load_examples` maps; texts as codes into their values."""
    folder.mkdir(parents=True, exist_ok=True)
    listed: list[dict[str, Any]] = []
    for number, name in enumerate(examples.columns):
        values = examples.columns[name]
        coded = values.dtype == object
        if coded:
            encoded = pa.array(values, type=pa.large_string(), from_pandas=True).dictionary_encode()
            values = encoded.indices.fill_null(-1).to_numpy().astype(np.int32)
            texts = encoded.dictionary.to_pylist()
            (folder / f"column-{number}.json").write_text(json.dumps(texts), encoding="utf-8")
        np.save(folder / f"column-{number}.npy", values)
        listed.append({"name": name, "coded": coded})
    np.save(folder / "y.npy", examples.y)
    for extra in EXTRAS:
        values = getattr(examples, extra)
        if values is not None:
            np.save(folder / f"{extra}.npy", values)
    about = {"columns": listed, "answer": answer_to_json(examples.answer)}
    (folder / "examples.json").write_text(json.dumps(about), encoding="utf-8")


def load_examples(folder: Path, positions: Array | None = None) -> Examples:
    """Read examples back, only the rows at these positions when given."""
    about = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
    arrays = {
        column["name"]: load_column(folder, number, coded=column["coded"], positions=positions)
        for number, column in enumerate(about["columns"])
    }
    y = load_part(folder, "y", positions)
    if y is None:
        raise FileNotFoundError(folder / "y.npy")
    return Examples(
        columns=Columns(arrays),
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


def load_column(folder: Path, number: int, *, coded: bool, positions: Array | None) -> Array:
    """Read one column's rows, codes turned back into their texts."""
    values = load_part(folder, f"column-{number}", positions)
    if values is None:
        raise FileNotFoundError(folder / f"column-{number}.npy")
    if not coded:
        return values
    texts = json.loads((folder / f"column-{number}.json").read_text(encoding="utf-8"))
    known = np.empty(len(texts) + 1, dtype=object)  # the last one, code -1, is None: missing
    known[: len(texts)] = texts
    found: Array = known[values]
    return found
