"""Evidence about a share that may be looked at after every request: e-processes and intervals.

An e-process is a bet against a hypothesis that starts with 1 and, while the hypothesis holds, is
not expected to grow. It exceeds 1/alpha at any time whatever with a chance of at most alpha
(Ville's inequality), so that looking often costs nothing. The bets here are likelihood ratios,
averaged over a grid of alternatives (Robbins, 1970; Ramdas et al., 2023); they depend on the
counts alone, not on the order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.special import expit, logit

from promise.data.columns import FloatArray

_STEPS = np.concatenate([np.geomspace(0.01, 0.16, 5), np.linspace(0.2, 8, 40), [np.inf]])
"""How far the alternatives lie from the hypothesis, in log-odds; the last is a share of 1 or 0."""

# Most weight lies on twice to five times the odds, which is where rollouts go wrong; the fine
# steps prove small differences of large samples, and certainty is for versions that only fail.
_COARSE = _STEPS[5:-1] * np.exp(-_STEPS[5:-1])
_WEIGHTS = np.concatenate([np.full(5, 0.1), _COARSE, [0.005]])
_LOG_WEIGHTS = np.log(_WEIGHTS / _WEIGHTS.sum())

_MOST = 1e9  # what takes longer than this is never going to be known


def log_e_above(n: Any, k: Any, share: float) -> FloatArray:
    """Return the log evidence that the true share is above `share`, after `k` hits in `n`.

    Above log(1/alpha) the hypothesis "at most `share`" is refuted, at every look.

    Parameters
    ----------
    n, k
        Counts, scalars or arrays of one shape.
    share
        Between 0 and 1, both excluded.

    Examples
    --------
    >>> bool(log_e_above(300, 12, 0.01) > np.log(100))
    True
    >>> bool(log_e_above(300, 3, 0.01) > np.log(100))
    False
    """
    return _log_e(n, k, *alternatives(share, upwards=True), _LOG_WEIGHTS)


def log_e_below(n: Any, k: Any, share: float) -> FloatArray:
    """Return the log evidence that the true share is below `share`, after `k` hits in `n`.

    Examples
    --------
    >>> bool(log_e_below(500, 0, 0.01) > np.log(20))
    True
    """
    return _log_e(n, k, *alternatives(share, upwards=False), _LOG_WEIGHTS)


def alternatives(
    share: float, *, upwards: bool, steps: FloatArray = _STEPS
) -> tuple[FloatArray, FloatArray]:
    """Return the log likelihood ratio of one hit and of one miss, for every alternative."""
    moved = expit(logit(share) + (steps if upwards else -steps))
    with np.errstate(divide="ignore"):  # a certain alternative is refuted by one contrary case
        return np.log(moved / share), np.log1p(-moved) - math.log1p(-share)


def _log_e(
    n: Any, k: Any, hit: FloatArray, miss: FloatArray, log_weights: FloatArray
) -> FloatArray:
    hits = np.asarray(k, dtype=np.float64)[..., None]
    misses = np.asarray(n, dtype=np.float64)[..., None] - hits
    with np.errstate(invalid="ignore"):  # 0 × -inf: no case, no evidence
        ratios = np.where(hits > 0, hits * hit, 0.0) + np.where(misses > 0, misses * miss, 0.0)
    ratios += log_weights
    top = ratios.max(axis=-1)
    return np.asarray(top + np.log(np.exp(ratios - top[..., None]).sum(axis=-1)))


def share_interval(
    n: int, k: int, *, alpha_low: float = 0.025, alpha_high: float = 0.025
) -> tuple[float, float]:
    """Return an interval of the true share that holds at every look (a confidence sequence).

    It holds the shares that neither bet has refuted: the true one is ever below `low` with a
    chance of at most `alpha_low`, and ever above `high` with at most `alpha_high`.

    Examples
    --------
    >>> low, high = share_interval(1000, 20)
    >>> round(low, 4), round(high, 4)
    (0.0087, 0.0382)
    >>> share_interval(0, 0)
    (0.0, 1.0)
    """
    if n <= 0:
        return 0.0, 1.0
    low = 0.0 if k == 0 else _crossing(log_e_above, n, k, 1e-12, k / n, alpha_low)
    high = 1.0 if k == n else _crossing(log_e_below, n, k, 1 - 1e-12, k / n, alpha_high)
    return low, high


def _crossing(
    evidence: Callable[[Any, Any, float], FloatArray],
    n: int,
    k: int,
    refuted: float,
    kept: float,
    alpha: float,
) -> float:
    """Return the outermost share that is not refuted, found by halving in log-odds."""
    kept = min(max(kept, 1e-12), 1 - 1e-12)
    needed, outer, inner = -math.log(alpha), float(logit(refuted)), float(logit(kept))
    for _ in range(32):
        middle = (outer + inner) / 2
        if evidence(n, k, float(expit(middle))) >= needed:
            outer = middle
        else:
            inner = middle
    return float(expit(outer))


def requests_to_keep(share: float, observed: float, *, alpha: float = 0.05) -> int | None:
    """Return after how many requests "below `share`" is proven if `observed` goes on.

    None where it never will be: `observed` is at or above the share, or too near to it.

    Examples
    --------
    >>> requests_to_keep(0.01, 0.0) > 299
    True
    >>> requests_to_keep(0.01, 0.02) is None
    True
    """
    return None if observed >= share else _first(log_e_below, share, observed, alpha)


def requests_to_break(share: float, observed: float, *, alpha: float = 0.01) -> int | None:
    """Return after how many requests "above `share`" is proven if `observed` goes on.

    Examples
    --------
    >>> requests_to_break(0.01, 1.0)
    2
    """
    return None if observed <= share else _first(log_e_above, share, observed, alpha)


def _first(
    evidence: Callable[[Any, Any, float], FloatArray], share: float, observed: float, alpha: float
) -> int | None:
    needed, low, high = -math.log(alpha), 0.0, 1.0
    while evidence(high, high * observed, share) < needed:
        low, high = high, high * 2
        if high > _MOST:
            return None
    while high - low > 1:
        middle = math.floor((low + high) / 2)
        if evidence(middle, middle * observed, share) >= needed:
            high = middle
        else:
            low = middle
    return math.ceil(high)


def fixed_sample(share: float, observed: float, *, alpha: float = 0.05) -> int | None:
    """Return the rows that prove a share when looked at once, at the end.

    Without a hit: the exact binomial test. Otherwise the score test's
    z² share (1 - share) / (share - observed)². None where the two are equal.

    Examples
    --------
    >>> fixed_sample(0.01, 0.0)
    299
    >>> [-(-fixed_sample(0.25, wrong) // 10) * 10 for wrong in (0.20, 0.22, 0.23)]
    [210, 570, 1270]
    """
    if observed == share:
        return None
    if observed == 0:
        return math.ceil(math.log(alpha) / math.log1p(-share))
    z = NormalDist().inv_cdf(1 - alpha)
    return math.ceil(round(z * z * share * (1 - share) / (share - observed) ** 2, 6))
