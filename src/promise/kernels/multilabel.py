"""Answers of several labels each: how they are written, and how well they are given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.scores import average_precision_of_counts, mean_where, tie_groups

Array = npt.NDArray[Any]
MARK = ";"
"""Between labels that share a text."""


def label_sets(values: Sequence[Any]) -> list[tuple[str, ...]]:
    """Return the labels of each cell: a list, one written as JSON, or a text joined by `;`.

    Examples
    --------
    >>> label_sets(["a; b", ["b", "a"], '["c", "a"]', "", None])
    [('a', 'b'), ('b', 'a'), ('c', 'a'), (), ()]
    """
    found = []
    for value in values:
        if value is None:
            parts: list[str] = []
        elif isinstance(value, str):
            listed = json_list(value)
            parts = value.split(MARK) if listed is None else listed
        else:
            parts = [str(part) for part in value if part is not None]
        found.append(tuple(dict.fromkeys(part.strip() for part in parts if part.strip())))
    return found


def json_list(text: str) -> list[str] | None:
    """Return the items of a list that is written as JSON; None for any other text.

    Examples
    --------
    >>> json_list('["a", null, 1]'), json_list("[sic]")
    (['a', '1'], None)
    """
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return [str(item) for item in found if item is not None]


def coded(truth: Array) -> Array:
    """Return each row's label codes as one text, so that a row's truth is one value.

    Examples
    --------
    >>> coded(np.array([[True, False, True], [False, False, False]]))
    array(['0;2', ''], dtype=object)
    """
    found = np.empty(len(truth), dtype=object)
    for row, known in enumerate(truth):
        found[row] = MARK.join(str(code) for code in np.flatnonzero(known).tolist())
    return found


def members(y: Array, n_labels: int) -> npt.NDArray[np.bool_]:
    """Return bool (n, n_labels) of what `coded` wrote, or of such a matrix itself."""
    if y.ndim == 2:
        return np.asarray(y, dtype=np.bool_)
    found = np.zeros((len(y), n_labels), dtype=np.bool_)
    for row, text in enumerate(y.tolist()):
        for code in text.split(MARK) if text else ():
            found[row, int(code)] = True
    return found


def decided(
    output: Array, multipliers: Array | Sequence[float] | None = None
) -> npt.NDArray[np.bool_]:
    """Return which labels are given: probability × multiplier is one half or more."""
    weighted = output if multipliers is None else output * np.asarray(multipliers)
    return np.asarray(weighted >= 0.5, dtype=np.bool_)


def labels_score(name: str, y: Array, output: Array, multipliers: Array | None = None) -> float:
    """Score probabilities (n, n_labels) against the truth by a metric's name; NaN for no rows."""
    if len(y) == 0:
        return float("nan")
    weights = np.ones((1, len(y)))
    return float(labels_scores(name, members(y, output.shape[1]), output, weights, multipliers)[0])


def labels_scores(
    name: str, truth: Array, output: Array, weights: Array, multipliers: Array | None = None
) -> Array:
    """Score rows that occur as often as each row of `weights` (m, n) says: (m,)."""
    if name == "average_precision":
        return _average_precision(truth, output, weights)
    given = decided(output, multipliers)
    if name == "subset_accuracy":
        right = (given == truth).all(axis=1).astype(np.float64)
        return np.asarray(weights @ right / weights.sum(axis=1))
    agreed = weights @ (given & truth).astype(np.float64)  # (m, n_labels)
    either = weights @ given.astype(np.float64) + weights @ truth.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        if name == "f1_micro":
            return np.asarray(2 * agreed.sum(axis=1) / either.sum(axis=1))
        if name == "f1_macro":  # of labels that occur or are given; the others say nothing
            return np.asarray(mean_where(2 * agreed / either, either > 0))
    raise ValueError(f"there is no score {name!r} of several labels")


def _average_precision(truth: Array, output: Array, weights: Array) -> Array:
    """Return the mean over labels that occur of each label's average precision."""
    found = np.full((len(weights), truth.shape[1]), np.nan)
    for code in np.flatnonzero(truth.any(axis=0)).tolist():
        order, starts = tie_groups(output[:, code])
        counts = weights.take(order, axis=1)
        hits = counts * truth[order, code]
        found[:, code] = average_precision_of_counts(hits, counts, starts)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(mean_where(found, np.isfinite(found)))
