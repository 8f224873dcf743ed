"""How closely a column and the target go together, as one number."""

from __future__ import annotations

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray


def association(
    values: Array, target: Array, *, target_is_class: bool
) -> tuple[float | None, str | None]:
    """Return the strength of a pairwise relation and the name of its measure.

    Parameters
    ----------
    values, target
        Typed arrays of one length; rows where either is missing are left out.
    target_is_class
        Whether the target's values are classes, whatever their type.

    Returns
    -------
    Pearson's r for two numbers; eta (the root of the share of variance between groups) for a
    number and classes; Cramér's V, corrected for chance (Bergsma, 2013), for two categories.
    (None, None) where fewer than three rows or no variation are left.

    Examples
    --------
    >>> association(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.5]), target_is_class=False)
    (0.998, 'pearson')
    """
    keep = ~(is_missing(values) | is_missing(target))
    values, target = values[keep], target[keep]
    if len(values) < 3:
        return None, None
    number = values.dtype.kind != "O"
    if number and not target_is_class:
        found, kind = _pearson(as_numbers(values), as_numbers(target)), "pearson"
    elif number:
        found, kind = _eta(codes(target), as_numbers(values)), "eta"
    elif not target_is_class:
        found, kind = _eta(codes(values), as_numbers(target)), "eta"
    else:
        found, kind = _cramers_v(codes(values), codes(target)), "cramers_v"
    return (None, None) if found is None else (round(found, 3), kind)


def is_missing(values: Array) -> Array:
    """Say which typed values are missing: None, NaN or NaT."""
    if values.dtype.kind == "M":
        return np.isnat(values)
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind == "O":
        return np.fromiter((v is None for v in values), dtype=bool, count=len(values))
    return np.zeros(len(values), dtype=bool)


def as_numbers(values: Array) -> FloatArray:
    """Return float64: dates as days since 1970, missing as NaN; categories are not accepted."""
    if values.dtype.kind == "M":
        micro = values.astype("datetime64[us]").view(np.int64) / 86_400e6
        return np.where(np.isnat(values), np.nan, micro)
    return values.astype(np.float64, copy=False)


def codes(values: Array) -> IntArray:
    """Return for each value its place among the sorted distinct values; missing ones come last."""
    if values.dtype.kind == "O":
        known: dict[object, int] = {}
        found = np.fromiter(
            (known.setdefault(value, len(known)) for value in values), np.int64, len(values)
        )
        order = sorted(known, key=lambda value: (value is None, str(value)))
        ranks = np.empty(len(known), dtype=np.int64)
        ranks[[known[value] for value in order]] = np.arange(len(known))
        return ranks[found] if len(found) else found
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _pearson(a: FloatArray, b: FloatArray) -> float | None:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt(np.dot(a, a) * np.dot(b, b)))
    return float(np.dot(a, b)) / scale if scale > 0 else None


def _eta(groups: IntArray, values: FloatArray) -> float | None:
    gaps = values - values.mean()
    total = float(np.dot(gaps, gaps))
    if total <= 0:
        return None
    counts = np.bincount(groups)
    sums = np.bincount(groups, weights=gaps)
    between = float((sums**2 / np.maximum(counts, 1)).sum())
    n, k = len(values), int((counts > 0).sum())
    if n <= k:
        return None
    # epsilon squared: the share that as many random groups would explain is taken off
    share = 1.0 - (1.0 - between / total) * (n - 1) / (n - k)
    return float(np.sqrt(max(0.0, share)))


def _cramers_v(a: IntArray, b: IntArray) -> float | None:
    n, rows, columns = len(a), int(a.max()) + 1, int(b.max()) + 1
    if min(rows, columns) < 2:
        return None
    pairs, counts = np.unique(a * columns + b, return_counts=True)
    at, of = pairs // columns, pairs % columns
    # chi² needs only the occupied cells: sum of O²/E, less n
    expected = np.bincount(a)[at] * np.bincount(b)[of] / n
    phi = float((counts**2 / expected).sum()) / n - 1.0
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (n - 1))
    fewer = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1))
    return float(np.sqrt(min(1.0, phi / (fewer - 1)))) if fewer > 1 else None
