"""Evidence about the mean of bounded values that may be looked at after every row: betting."""

from __future__ import annotations

import math

import numpy as np

from promise.data.columns import FloatArray

_STAKES = np.geomspace(0.002, 0.95, 32)
"""Parts of the capital that are staked on each row, relative to what could be lost."""

_CELLS = 4096  # values are rounded to so many steps, always to the disadvantage of the bet


def log_e_mean_above(values: FloatArray, mean: float) -> float:
    """Return the log evidence that values within [0, 1] have a mean above `mean`.

    A gambler who stakes a fixed part of the capital on every row multiplies it by
    1 + stake (x - mean), which is fair while the mean is right (Waudby-Smith and Ramdas, 2024,
    section 4); the capital of many gamblers is averaged. We differ by fixed stakes in place of
    predicted ones, so that the order of the rows does not matter.

    Examples
    --------
    >>> log_e_mean_above(np.full(100, 0.9), 0.5) > math.log(100)
    True
    >>> log_e_mean_above(np.full(100, 0.4), 0.5) > 0
    False
    """
    return _log_e(_counted(np.floor(values * _CELLS)), mean)


def log_e_mean_below(values: FloatArray, mean: float) -> float:
    """Return the log evidence that values within [0, 1] have a mean below `mean`."""
    # the mirror image: 1 - x has a mean above 1 - mean
    return _log_e(_counted(np.floor((1 - values) * _CELLS)), 1 - mean)


def mean_interval(
    values: FloatArray, *, alpha_low: float = 0.025, alpha_high: float = 0.025
) -> tuple[float, float]:
    """Return an interval of the mean of values within [0, 1] that holds at every look.

    Examples
    --------
    >>> low, high = mean_interval(np.tile([0.0, 1.0], 500))
    >>> 0.4 < low < 0.5 < high < 0.6
    True
    """
    if len(values) == 0:
        return 0.0, 1.0
    low = _lower_end(_counted(np.floor(values * _CELLS)), alpha_low)
    high = 1 - _lower_end(_counted(np.floor((1 - values) * _CELLS)), alpha_high)
    return low, high


def _counted(cells: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the distinct values and how often each occurs."""
    held = np.bincount(np.clip(cells, 0, _CELLS).astype(np.int64), minlength=_CELLS + 1)
    used = np.flatnonzero(held)
    return used / _CELLS, held[used].astype(np.float64)


def _log_e(counted: tuple[FloatArray, FloatArray], mean: float) -> float:
    values, counts = counted
    gains = np.log1p(np.outer(_STAKES / mean, values - mean)) @ counts  # (n_stakes,)
    top = float(gains.max())
    return top + math.log(float(np.exp(gains - top).mean()))


def _lower_end(counted: tuple[FloatArray, FloatArray], alpha: float) -> float:
    """Return the smallest mean that is not refuted from below, by halving."""
    values, counts = counted
    needed, outer, inner = -math.log(alpha), 0.0, float(values @ counts / counts.sum())
    for _ in range(24):
        middle = (outer + inner) / 2
        if middle == 0 or _log_e(counted, middle) >= needed:
            outer = middle
        else:
            inner = middle
    return outer
