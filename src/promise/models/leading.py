"""The first few of many scores."""

from __future__ import annotations

import numpy as np

from promise.data.columns import FloatArray, IntArray


def leading(scores: FloatArray, k: int) -> IntArray:
    """Return the places of the `k` largest scores, best first; of equal ones the first before.

    Examples
    --------
    >>> leading(np.array([0.5, 2.0, 0.5, 1.0]), 3)
    array([1, 3, 0])
    """
    if k >= len(scores):
        return np.argsort(-scores, kind="stable")
    if k <= 0:
        return np.empty(0, np.int64)
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    above = np.flatnonzero(scores > least)
    level = np.flatnonzero(scores == least)[: k - len(above)]
    places = np.concatenate([above, level])
    return places[np.lexsort((places, -scores[places]))]
