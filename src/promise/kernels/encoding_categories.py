"""Categories for a matrix: codes, one-hot, frequencies and target means.

A category part freezes a vocabulary. Each value falls into a slot: 0 … k-1 for known values,
k for *other* (rare or never seen), k + 1 for *missing*. Every way to encode is then one row of a
small table per slot. Target sums are kept per fold of row hashes and only ever added, so a
stream can count them, and a training row can be encoded without its own fold.
"""

from __future__ import annotations

from collections import Counter
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

MIN_COUNT = 2
MAX_VOCABULARY = 10_000
JOINT = "\x1f"
ABSENT = "\x00"


def category_values(columns: dict[str, npt.NDArray[Any]], sources: list[str]) -> list[Any]:
    """Return a category's values, or the joint values of crossed categories.

    Examples
    --------
    >>> a, b = np.array(["x", None], object), np.array(["y", "z"], object)
    >>> category_values({"a": a, "b": b}, ["a", "b"])
    ['x\\x1fy', '\\x00\\x1fz']
    """
    if len(sources) == 1:
        values: list[Any] = columns[sources[0]].tolist()
        return values
    parts = [[ABSENT if v is None else str(v) for v in columns[s].tolist()] for s in sources]
    return [JOINT.join(values) for values in zip(*parts, strict=True)]


def category_slots(values: list[Any], vocabulary: dict[str, int]) -> npt.NDArray[np.int64]:
    """Return each value's slot; what is no text is missing, unknown text other.

    Examples
    --------
    >>> category_slots(["b", None, "new"], {"a": 0, "b": 1})
    array([1, 3, 2])
    """
    other = len(vocabulary)
    found = map(vocabulary.get, values, repeat(other))
    slots = np.fromiter(found, dtype=np.int64, count=len(values))
    for at in np.flatnonzero(slots == other).tolist():
        if not isinstance(values[at], str):
            slots[at] = other + 1
    return slots


def fit_category(
    columns: dict[str, npt.NDArray[Any]], sources: list[str], plan: dict[str, Any]
) -> dict[str, Any] | None:
    """Freeze the vocabulary of a category, most frequent first; None where nothing varies."""
    values = category_values(columns, sources)
    counts = Counter(values)
    kept = [v for v in counts if isinstance(v, str) and counts[v] >= MIN_COUNT]
    kept.sort(key=lambda v: (-counts[v], v))
    vocabulary = {v: slot for slot, v in enumerate(kept[:MAX_VOCABULARY])}
    seen = np.unique(category_slots(values, vocabulary)).tolist()
    k = len(vocabulary)
    if len(seen) < 2:
        return None
    part: dict[str, Any] = {"kind": "category", "sources_read": sources, "vocabulary": vocabulary}
    part["seen"] = seen
    part["ways"] = ["target", "frequency"] if len(sources) > 1 else category_ways(k, plan)
    return part


def category_ways(k: int, plan: dict[str, Any]) -> list[str]:
    """Say how a category of `k` known values is encoded under a plan.

    Examples
    --------
    >>> category_ways(40, {"categories": "onehot", "onehot_limit": 8})
    ['target', 'frequency']
    """
    low = k <= plan["onehot_limit"]
    way = plan["categories"]
    if way == "ordinal" or (way == "mixed" and k <= 2):
        return ["code"]
    if way == "simple":
        return ["onehot"] if low else ["share"]
    if way == "mixed":
        return ["code"] if low else ["code", "target", "frequency"]
    return ["onehot"] if low or k <= 2 else ["target", "frequency"]


def blank_counts(part: dict[str, Any], folds: int, outputs: int) -> dict[str, Any]:
    """Return the part with empty counts; target sums only where they are used."""
    slots = len(part["vocabulary"]) + 2
    width = outputs if "target" in part["ways"] else 0
    return {**part, "counts": np.zeros((folds, slots)), "sums": np.zeros((folds, slots, width))}


def add_counts(
    part: dict[str, Any],
    columns: dict[str, npt.NDArray[Any]],
    folds: npt.NDArray[np.int64],
    targets: npt.NDArray[np.float64],
) -> dict[str, Any]:
    """Return the part with these rows added to its counts and target sums."""
    slots = category_slots(category_values(columns, part["sources_read"]), part["vocabulary"])
    shape = part["counts"].shape
    cells = folds * shape[1] + slots
    n_cells = shape[0] * shape[1]
    counts = part["counts"] + np.bincount(cells, minlength=n_cells).reshape(shape)
    sums = part["sums"].copy()
    for j in range(sums.shape[2]):
        sums[:, :, j] += np.bincount(cells, targets[:, j], minlength=n_cells).reshape(shape)
    return {**part, "counts": counts, "sums": sums}


def shrinkage(
    counts: npt.NDArray[np.float64], sums: npt.NDArray[np.float64], moments: dict[str, Any]
) -> npt.NDArray[np.float64]:
    """Return how many prior rows a mean is worth: variance within over variance between.

    The method of moments of a one-way random-effects analysis of variance. A category that says
    nothing about the target gets a large number, so its means fall back to the prior.
    """
    n, used = counts.sum(), counts > 0
    groups = int(used.sum())
    if groups < 2 or n <= groups:
        return np.full(sums.shape[1], 1e6)
    means = sums[used] / counts[used, None]
    grand = moments["sum"] / n
    within = np.maximum(moments["square"] - (sums[used] * means).sum(axis=0), 0) / (n - groups)
    between = (counts[used, None] * (means - grand) ** 2).sum(axis=0) / (groups - 1)
    typical = (n - (counts**2).sum() / n) / (groups - 1)
    excess = np.maximum((between - within) / max(typical, 1e-12), 1e-12)
    weights: npt.NDArray[np.float64] = np.clip(within / excess, 1.0, 1e6)
    return weights


def onehot_slots(part: dict[str, Any]) -> list[int]:
    """Return the slots that get a column of their own: all seen, or the second of two."""
    seen: list[int] = part["seen"]
    return seen[1:] if len(seen) == 2 else seen


def category_table(
    part: dict[str, Any], moments: dict[str, Any], held_out: int | None = None
) -> npt.NDArray[np.float32]:
    """Return the encoding of every slot, (k + 2, width); without one fold for its own rows."""
    k = len(part["vocabulary"])
    counts, sums = part["counts"].sum(axis=0), part["sums"].sum(axis=0)
    blocks = []
    for way in part["ways"]:
        if way == "code":
            codes = np.arange(k + 2, dtype=np.float64)
            codes[[s for s in (k, k + 1) if s == k + 1 or s not in part["seen"]]] = np.nan
            blocks.append(codes[:, None])
        elif way == "onehot":
            hits = np.arange(k + 2)[:, None] == np.array(onehot_slots(part))
            blocks.append(hits.astype(np.float64))
        elif way == "share":
            blocks.append(np.arange(k + 2)[:, None] / (k + 1))
        elif way == "frequency":
            blocks.append(counts[:, None] / max(float(counts.sum()), 1.0))
        else:
            prior = moments["sum"] / max(moments["count"], 1)
            weight = shrinkage(counts, sums, moments)
            if held_out is not None:
                counts_left = counts - part["counts"][held_out]
                sums_left = sums - part["sums"][held_out]
            else:
                counts_left, sums_left = counts, sums
            means = (sums_left + weight * prior) / (counts_left[:, None] + weight)
            blocks.append(means + moments["shift"])
    return np.concatenate(blocks, axis=1).astype(np.float32)


def category_names(part: dict[str, Any], target_names: list[str]) -> list[str]:
    """Return the names of a category part's matrix columns."""
    base = " × ".join(part["sources_read"])
    known = [*part["vocabulary"], "(other)", "(missing)"]
    names = []
    for way in part["ways"]:
        if way in ("code", "share"):
            names.append(base)
        elif way == "onehot":
            names += [f"{base} = {known[slot]}" for slot in onehot_slots(part)]
        elif way == "frequency":
            names.append(f"{base} frequency")
        else:
            names += [f"{base} {name}" for name in target_names]
    return names


def encode_category(
    columns: dict[str, npt.NDArray[Any]],
    part: dict[str, Any],
    moments: dict[str, Any],
    folds: npt.NDArray[np.int64] | None,
    out: npt.NDArray[np.float32],
) -> None:
    """Write a category part; with folds, each row's target means leave out its own fold."""
    slots = category_slots(category_values(columns, part["sources_read"]), part["vocabulary"])
    if folds is None or "target" not in part["ways"]:
        out[:] = part["table"][slots]
        return
    n_folds = len(part["counts"])
    tables = np.stack([category_table(part, moments, fold) for fold in range(n_folds)])
    out[:] = tables[folds, slots]
