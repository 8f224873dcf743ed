"""Typed columns into one float32 matrix: learn how on training rows, then encode any rows.

The state is plain data. Encoding is row by row: a row gives the same digits alone and in a batch.
`encode_train` differs from `encode` only in target means, which leave out the row's own fold.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.encoding_calendar import calendar_terms
from promise.kernels.encoding_categories import (
    add_counts,
    blank_counts,
    category_names,
    category_table,
    encode_category,
    fit_category,
)
from promise.kernels.encoding_numbers import DATE_CYCLES, DATE_PARTS, encode_numbers, fit_numbers
from promise.kernels.encoding_targets import (
    target_classes,
    target_limits,
    target_titles,
    target_values,
)
from promise.kernels.encoding_text import encode_text, fit_text
from promise.kernels.rows import hash_fold

FOLDS = 5
BLOCK_CELLS = 1_000_000
FIT_ROWS = 200_000
TEXT_ROWS = 20_000


def fit_encoding(
    columns: dict[str, npt.NDArray[Any]],
    schema: list[dict[str, Any]],
    y: npt.NDArray[Any],
    n_classes: int,
    rows: npt.NDArray[np.int64],
    plan: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    """Learn how typed columns become a matrix.

    Parameters
    ----------
    columns
        Name to array of n rows: numbers float64, dates datetime64[us], else objects of str or None.
    schema
        Fields as JSON; those with the role `input` or `protected`, and the plan's calendar, are
        used.
    y
        Float64 quantities when `n_classes` is 0, else int64 class codes.
    rows
        Row numbers in the source; their hashes deal the folds of target means.
    plan
        `categories` (`ordinal`, `onehot`, `target`, `mixed`, `simple`), `onehot_limit`, `numbers`
        (`raw`, `standard`, `quantile`, `both`, `mean`), `missing_indicators`, `dates`, `text`
        (`none`, `svd`), `text_size`, and, already chosen, `arithmetic` (terms) and `crosses`
        (pairs). Of dates named in `calendar` only those parts are used that come round again.

    Examples
    --------
    >>> plan = {"categories": "ordinal", "onehot_limit": 8, "numbers": "raw",
    ...         "missing_indicators": False, "dates": True, "text": "none", "text_size": 0,
    ...         "arithmetic": [["a", "*", "a"]], "crosses": []}
    >>> columns = {"a": np.array([1.0, 2.0, 3.0])}
    >>> fields = [{"name": "a", "type": "number", "role": "input"}]
    >>> state = fit_encoding(columns, fields, columns["a"], 0, np.arange(3), plan, seed=7)
    >>> state["names"], encode(columns, state)[2].tolist()
    (['a', 'a * a'], [3.0, 9.0])
    """
    read = {f["name"] for f in schema if f["role"] in ("input", "protected")}
    fields = [f for f in schema if f["name"] in read.union(plan.get("calendar", ()))]
    parts = fit_columns(columns, fields, rows, plan, seed)
    state: dict[str, Any] = {"plan": plan, "seed": seed, "folds": FOLDS, "n_classes": n_classes}
    state["targets"] = target_classes(y, n_classes)
    state["limits"] = target_limits(y, n_classes)
    state["center"] = target_values(y, state).mean(axis=0)
    titles = target_titles(state)
    for part in parts:
        if part["kind"] == "category":
            part["names"] = category_names(part, titles)
            part["sources"] = [part["sources_read"]] * len(part["names"])
    state["parts"] = parts or [{"kind": "constant", "names": ["nothing"], "sources": [[]]}]
    state["names"] = [name for part in state["parts"] for name in part["names"]]
    state["sources"] = [source for part in state["parts"] for source in part["sources"]]
    state["inputs"] = sorted({name for source in state["sources"] for name in source})
    state["categorical"] = code_columns(state)
    return count_targets(columns, y, rows, blank_targets(state))


def fit_columns(
    columns: dict[str, npt.NDArray[Any]],
    fields: list[dict[str, Any]],
    rows: npt.NDArray[np.int64],
    plan: dict[str, Any],
    seed: int,
) -> list[dict[str, Any]]:
    """Learn each part of the matrix but the target means."""
    names: dict[str, list[str]] = {"number": [], "date": [], "category": [], "text": []}
    for field in fields:
        names["number" if field["type"] == "boolean" else field["type"]].append(field["name"])
    terms = [[name] for name in names["number"]] + [list(term) for term in plan["arithmetic"]]
    cycles = plan["numbers"] not in ("raw", "mean")
    if "calendar" in plan:
        for name in [name for name in names["date"] if name in plan["calendar"]]:
            terms += calendar_terms(columns[name], name, cycles=cycles)
            names["date"].remove(name)
    if plan["dates"]:
        terms += date_terms(names["date"], cycles=cycles)
    few = sample_columns(columns, rows, FIT_ROWS, seed)
    parts = [
        fit_numbers(few, terms, way, plan["missing_indicators"] and way != "quantile")
        for way in number_ways(plan["numbers"])
    ]
    parts = [part for part in parts if part["names"]]
    for sources in [[name] for name in names["category"]] + [list(p) for p in plan["crosses"]]:
        category = fit_category(columns, sources, plan)
        parts += [] if category is None else [category]
    if plan["text"] == "svd" and names["text"]:
        few = sample_columns(columns, rows, TEXT_ROWS, seed)
        for name in names["text"]:
            text = fit_text(few, name, plan["text_size"], seed)
            parts += [] if text is None else [text]
    return parts


def number_ways(numbers: str) -> list[str]:
    """Return the ways in which every number appears.

    Examples
    --------
    >>> number_ways("both"), number_ways("raw")
    (['standard', 'quantile'], ['raw'])
    """
    return ["standard", "quantile"] if numbers == "both" else [numbers]


def date_terms(names: list[str], *, cycles: bool) -> list[list[str]]:
    """Return the parts of every date, and the days between dates where there are few."""
    kinds = DATE_PARTS + DATE_CYCLES if cycles else DATE_PARTS
    terms = [[name, kind] for name in names for kind in kinds]
    if len(names) <= 4:
        terms += [[b, "days after", a] for i, a in enumerate(names) for b in names[i + 1 :]]
    return terms


def sample_columns(
    columns: dict[str, npt.NDArray[Any]], rows: npt.NDArray[np.int64], size: int, seed: int
) -> dict[str, npt.NDArray[Any]]:
    """Return about `size` rows chosen by their hashes, or all where there are not many more."""
    if len(rows) < 2 * size:
        return columns
    chosen = hash_fold(rows, len(rows) // size, seed + 1) == 0
    return {name: values[chosen] for name, values in columns.items()}


def code_columns(state: dict[str, Any]) -> list[int]:
    """Return the matrix columns that hold codes of more than two categories."""
    if state["plan"]["categories"] not in ("ordinal", "mixed"):
        return []
    found, at = [], 0
    for part in state["parts"]:
        if part["kind"] == "category" and "code" in part["ways"] and len(part["seen"]) > 2:
            found.append(at)
        at += len(part["names"])
    return found


def encoding_folds(rows: npt.NDArray[np.int64], state: dict[str, Any]) -> npt.NDArray[np.int64]:
    """Deal rows into the folds of target means, apart from any split with the same seed."""
    return hash_fold(np.asarray(rows, dtype=np.int64), state["folds"], state["seed"] + 0x5EED)


def blank_targets(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state with its vocabulary kept and all counts at zero, ready for a stream."""
    width = len(state["center"])
    zero = np.zeros(width)
    # a quantity's means stay deviations: float32 would lose them beside a large centre
    shift = state["center"] if state["n_classes"] else zero
    moments = {"count": 0, "sum": zero, "square": zero, "shift": shift}
    parts = [
        blank_counts(part, state["folds"], width) if part["kind"] == "category" else part
        for part in state["parts"]
    ]
    return {**state, "parts": parts, "moments": moments}


def count_targets(
    columns: dict[str, npt.NDArray[Any]],
    y: npt.NDArray[Any],
    rows: npt.NDArray[np.int64],
    state: dict[str, Any],
) -> dict[str, Any]:
    """Return the state with these rows added to its frequencies and target means.

    Counting a source chunk by chunk, from `blank_targets` on, gives the state of one pass over all.
    """
    # around the mean of the first rows, so that squares of large quantities keep their digits
    targets = target_values(y, state) - state["center"]
    old = state["moments"]
    moments = {
        **old, "count": old["count"] + len(targets), "sum": old["sum"] + targets.sum(axis=0),
        "square": old["square"] + (targets**2).sum(axis=0),
    }  # fmt: skip
    folds = encoding_folds(rows, state)
    parts = []
    for part in state["parts"]:
        if part["kind"] == "category":
            part = add_counts(part, columns, folds, targets)
            part["table"] = category_table(part, moments)
        parts.append(part)
    return {**state, "parts": parts, "moments": moments}


def encode(columns: dict[str, npt.NDArray[Any]], state: dict[str, Any]) -> npt.NDArray[np.float32]:
    """Return the matrix of any rows, float32 of shape (n, d); unknown categories are expected."""
    return encode_rows(columns, state, None)


def encode_train(
    columns: dict[str, npt.NDArray[Any]],
    y: npt.NDArray[Any],
    rows: npt.NDArray[np.int64],
    state: dict[str, Any],
) -> npt.NDArray[np.float32]:
    """Return the matrix of rows that were counted: their target means leave out their own fold.

    `y` is not read: the state already holds it, summed by fold.
    """
    del y
    return encode_rows(columns, state, encoding_folds(rows, state))


def encode_rows(
    columns: dict[str, npt.NDArray[Any]],
    state: dict[str, Any],
    folds: npt.NDArray[np.int64] | None,
) -> npt.NDArray[np.float32]:
    """Fill the matrix block by block, so that little beyond it is held."""
    n = len(columns[state["inputs"][0]]) if state["inputs"] else len(next(iter(columns.values())))
    out = np.empty((n, len(state["names"])), dtype=np.float32)
    step = max(1, BLOCK_CELLS // out.shape[1])
    for low in range(0, n, step):
        block = {name: columns[name][low : low + step] for name in state["inputs"]}
        block_folds = None if folds is None else folds[low : low + step]
        at = 0
        for part in state["parts"]:
            view = out[low : low + step, at : at + len(part["names"])]
            at += len(part["names"])
            match part["kind"]:
                case "numbers":
                    encode_numbers(block, part, view)
                case "category":
                    encode_category(block, part, state["moments"], block_folds, view)
                case "text":
                    encode_text(block, part, view)
                case _:
                    view[:] = 0
    return out


def save_encoding(state: dict[str, Any], folder: Path) -> None:
    """Write `state.json` and `arrays.npz` into an existing folder; nothing executable."""
    arrays: dict[str, npt.NDArray[Any]] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            arrays[f"a{len(arrays)}"] = value
            return {"$array": f"a{len(arrays) - 1}"}
        if isinstance(value, dict):
            return {key: plain(v) for key, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, list | tuple) else value

    text = json.dumps(plain(state))
    (folder / "state.json").write_text(text, encoding="utf-8")
    np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)


def load_encoding(folder: Path) -> dict[str, Any]:
    """Read back what `save_encoding` wrote."""
    with np.load(folder / "arrays.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}

    def full(value: Any) -> Any:
        if isinstance(value, dict):
            if "$array" in value:
                return arrays[value["$array"]]
            return {key: full(v) for key, v in value.items()}
        return [full(v) for v in value] if isinstance(value, list) else value

    state: dict[str, Any] = full(json.loads((folder / "state.json").read_text(encoding="utf-8")))
    return state
