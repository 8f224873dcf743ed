"""Where a model errs on rows it had never seen: what the report draws, in plain values."""

from __future__ import annotations

from typing import Any

import numpy as np

from promise.data.answer import Answer, Class
from promise.data.columns import Array, FloatArray, IntArray
from promise.kernels.scores import decide
from promise.metrics.intervals import wilson

CLASSES = 20
"""Confusion is told for so many classes, the most frequent; all others are counted together."""

PAIRS = 500
BINS = 10
HISTOGRAM_BINS = 24
OTHER = "other"
_LEVELS = (5, 25, 50, 75, 95)


def diagnose(
    answer: Answer, y: Array, output: Array, multipliers: Array | None = None
) -> dict[str, Any]:
    """Return how answers and truth differ, small enough to draw whatever the number of rows.

    Parameters
    ----------
    y
        Truth: class codes (rows of an unknown class, below zero, are left out) or numbers.
    output
        Probabilities (n, k) or numbers (n,); rows that are not finite are left out.
    multipliers
        (k,) factors that move the decided class.

    Returns
    -------
    dict
        Plain values. For classes: `confusion`, `classes`, `calibration`, `threshold`, and for two
        classes `separation`. For numbers: `pairs`, `residuals`, `histogram`, `deciles`.

    Examples
    --------
    >>> found = diagnose(Class(("no", "yes")), np.array([0, 1]), np.eye(2))
    >>> found["confusion"]["counts"]
    [[1, 0], [0, 1]]
    """
    y, output = np.asarray(y), np.asarray(output)
    if isinstance(answer, Class):
        return diagnose_classes(answer.classes, y, output, multipliers)
    return diagnose_numbers(y, output.reshape(len(y), -1)[:, 0] if len(y) else output.ravel())


def diagnose_classes(
    classes: tuple[str, ...], y: Array, output: Array, multipliers: Array | None
) -> dict[str, Any]:
    """Return confusion, calibration and threshold of decided classes."""
    known = np.isfinite(output).all(axis=1) & (np.nan_to_num(y, nan=-1.0) >= 0)
    if not known.all():
        y, output = y[known], output[known]
    y = y.astype(np.int64)
    decided = decide(output, multipliers) if len(y) else y
    binary = len(classes) == 2
    claimed = output[:, 1] if binary else output[np.arange(len(y)), decided]
    came = y == 1 if binary else y == decided
    found = {
        "kind": "class",
        "rows": len(y),
        "confusion": confusion(classes, y, decided),
        "classes": class_scores(classes, y, decided),
        "calibration": calibration(claimed, came),
        "calibration_of": classes[1] if binary else None,
        "threshold": threshold(multipliers) if binary else None,
    }
    if binary:
        found["separation"] = separation(claimed, came)
    return found


def confusion(classes: tuple[str, ...], y: IntArray, decided: IntArray) -> dict[str, Any]:
    """Return how often each true class (rows) was answered as each class (columns)."""
    support = np.bincount(y, minlength=len(classes))
    shown = np.sort(np.argsort(-support, kind="stable")[:CLASSES])
    place = np.full(len(classes), len(shown))
    place[shown] = np.arange(len(shown))
    size = len(shown) + (len(classes) > len(shown))
    cells = np.bincount(place[y] * size + place[decided], minlength=size * size)
    names = [classes[c] for c in shown]
    if size > len(shown):
        names.append(OTHER)
    return {
        "classes": names,
        "others": len(classes) - len(shown),
        "counts": cells.reshape(size, size).tolist(),
        "right": int((y == decided).sum()),
    }


def class_scores(classes: tuple[str, ...], y: IntArray, decided: IntArray) -> list[dict[str, Any]]:
    """Return precision and recall of the most frequent classes; None where nothing was claimed."""
    n = len(classes)
    support, claims = np.bincount(y, minlength=n), np.bincount(decided, minlength=n)
    hits = np.bincount(y[y == decided], minlength=n)
    return [
        {
            "class": classes[c],
            "rows": int(support[c]),
            "precision": float(hits[c] / claims[c]) if claims[c] else None,
            "recall": float(hits[c] / support[c]) if support[c] else None,
        }
        for c in np.argsort(-support, kind="stable")[:CLASSES]
    ]


def calibration(claimed: FloatArray, came: Array) -> list[dict[str, Any]]:
    """Return claimed probability beside observed share, in bins of about as many rows each."""
    found = []
    for rows in quantile_bins(claimed):
        right, n = int(came[rows].sum()), len(rows)
        low, high = wilson(right, n)
        mean = float(claimed[rows].mean())
        found.append(
            {"predicted": mean, "observed": right / n, "rows": n, "low": low, "high": high}
        )
    return found


def quantile_bins(values: FloatArray, n_bins: int = BINS) -> list[IntArray]:
    """Return the rows of each quantile bin, ascending; equal values are never parted.

    Examples
    --------
    >>> [bin.tolist() for bin in quantile_bins(np.array([1.0, 1.0, 2.0, 3.0]), 2)]
    [[0, 1], [2, 3]]
    """
    if len(values) == 0:
        return []
    inner = np.arange(1, n_bins) / n_bins
    edges = np.unique(np.quantile(values, inner, method="inverted_cdf"))
    place = np.searchsorted(edges, values, side="left")
    bins = [np.flatnonzero(place == b) for b in range(len(edges) + 1)]
    return [rows for rows in bins if len(rows)]


def threshold(multipliers: Array | None) -> float:
    """Return the probability of the second class above which it is decided.

    Examples
    --------
    >>> threshold(np.array([1.0, 3.0]))
    0.25
    """
    if multipliers is None:
        return 0.5
    first, second = (float(m) for m in multipliers)
    return first / (first + second) if first + second > 0 else 0.5


def separation(claimed: FloatArray, came: Array) -> dict[str, Any]:
    """Return histograms of the second class's probability, per true class."""
    edges = np.linspace(0.0, 1.0, HISTOGRAM_BINS + 1)
    inside = np.clip(claimed, 0.0, 1.0)
    return {
        "edges": edges.tolist(),
        "first": np.histogram(inside[~came], edges)[0].tolist(),
        "second": np.histogram(inside[came], edges)[0].tolist(),
    }


def diagnose_numbers(y: Array, output: Array) -> dict[str, Any]:
    """Return a sample of pairs, and how large the errors are, and where."""
    known = np.isfinite(y) & np.isfinite(output)
    y, output = y[known].astype(np.float64), output[known].astype(np.float64)
    errors = output - y
    return {
        "kind": "number",
        "rows": len(y),
        "pairs": sampled_pairs(y, output),
        "residuals": residuals(errors),
        "histogram": histogram(errors),
        "deciles": deciles(output, errors),
    }


def sampled_pairs(y: FloatArray, output: FloatArray) -> list[list[float]]:
    """Return (actual, predicted) of rows spread evenly over the ranks of the truth."""
    order = np.argsort(y, kind="stable")
    # Both ends are among the ranks, so that the largest truths are always drawn.
    chosen = order[np.unique(np.linspace(0, len(y) - 1, min(PAIRS, len(y))).astype(np.int64))]
    return [[float(a), float(p)] for a, p in zip(y[chosen], output[chosen], strict=True)]


def residuals(errors: FloatArray) -> dict[str, float]:
    """Return quantiles of predicted minus actual, and of its size."""
    if len(errors) == 0:
        return {}
    size = np.abs(errors)
    found = {f"p{level}": float(np.percentile(errors, level)) for level in _LEVELS}
    return {
        **found,
        "mean": float(errors.mean()),
        "median_size": float(np.median(size)),
        "p90_size": float(np.percentile(size, 90)),
    }


def histogram(errors: FloatArray) -> dict[str, Any]:
    """Return counts of errors between their 1st and 99th percentile; rarer ones in the end bins."""
    if len(errors) == 0:
        return {"edges": [], "counts": []}
    low, high = (float(v) for v in np.percentile(errors, [1, 99]))
    if not high > low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, HISTOGRAM_BINS + 1)
    # The middle of an end bin lies inside whatever rounding does to the edges.
    inside = np.clip(errors, (edges[0] + edges[1]) / 2, (edges[-2] + edges[-1]) / 2)
    inside = np.where((errors > edges[0]) & (errors < edges[-1]), errors, inside)
    return {"edges": edges.tolist(), "counts": np.histogram(inside, edges)[0].tolist()}


def deciles(output: FloatArray, errors: FloatArray) -> list[dict[str, Any]]:
    """Return the errors where predictions are low, middling and high.

    By the prediction, since by the truth even a perfect expectation looks pulled to the middle.
    """
    found = []
    for rows in quantile_bins(output):
        p10, p50, p90 = (float(v) for v in np.percentile(errors[rows], [10, 50, 90]))
        found.append(
            {
                "predicted": float(output[rows].mean()),
                "rows": len(rows),
                "p10": p10,
                "p50": p50,
                "p90": p90,
                "median_size": float(np.median(np.abs(errors[rows]))),
            }
        )
    return found
