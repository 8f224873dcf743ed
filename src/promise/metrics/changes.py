"""Noticing soon that a share which was fine for long has risen: e-CUSUM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from promise.data.columns import FloatArray
from promise.metrics.sequential import alternatives

THRESHOLD = 1e7
"""Requests (or buckets of them) that pass on average before a false alarm, at the very bound."""

_RECOVERED = 1e3
STEPS = np.linspace(0.3, 6.0, 20)
"""How far the alternatives lie from the bound, in log-odds."""

LOG_WEIGHTS = -STEPS / 2 - np.log(np.exp(-STEPS / 2).sum())
"""What each alternative's CUSUM counts in the sum."""

_BLOCK = 16_384


@dataclass(frozen=True)
class Watched:
    """Where a watched share stands after the last bucket.

    Parameters
    ----------
    alarmed
        Whether it rose above the bound and has not come back since.
    n, k
        Counts since the present state began: since the rise, the recovery, or the first bucket.
    evidence
        How far the alarm is from its threshold, 1 being an alarm (in logarithms).
    """

    alarmed: bool
    n: int
    k: int
    evidence: float


def watch_share(
    buckets: Sequence[tuple[int, int]], share: float, *, threshold: float = THRESHOLD
) -> Watched:
    """Follow (n, k) buckets in time order and say whether the share now stands above `share`.

    A weighted sum of CUSUMs, one for each alternative, is an e-detector (Shin, Ramdas and
    Rinaldo, 2022, definition 2.2): without a rise, its mean time to an alarm is at least
    `threshold` buckets. After an alarm the mirror image watches for the recovery.

    Examples
    --------
    >>> fine, bad = [(100, 0), (100, 1)] * 500, [(100, 6)] * 8
    >>> watch_share(fine, 0.01).alarmed, watch_share(fine + bad, 0.01).alarmed
    (False, True)
    >>> watch_share(fine + bad, 0.01).n
    800
    >>> watch_share(fine + bad + fine, 0.01).alarmed
    False
    """
    counts = np.asarray(buckets, dtype=np.float64).reshape(-1, 2)
    start, alarmed, at, evidence = 0, False, 0, 0.0
    while True:
        level = math.log(_RECOVERED if alarmed else threshold)
        found, highest, best = _first_alarm(counts[at:], share, upwards=not alarmed, level=level)
        if found is None:
            evidence = highest / level
            break
        end = at + found
        start = _began(counts[at : end + 1], share, upwards=not alarmed, best=best) + at
        alarmed, at = not alarmed, end + 1
    n, k = counts[start:].sum(axis=0)
    return Watched(alarmed, int(n), int(k), 1.0 if alarmed else max(0.0, evidence))


def _increments(counts: FloatArray, share: float, *, upwards: bool) -> FloatArray:
    hit, miss = alternatives(share, upwards=upwards, steps=STEPS)
    return counts[:, 1:] * hit + (counts[:, :1] - counts[:, 1:]) * miss  # (n_buckets, n_steps)


def _first_alarm(
    counts: FloatArray, share: float, *, upwards: bool, level: float
) -> tuple[int | None, float, int]:
    """Return the first bucket at which the detector alarms, its last level, its leading step."""
    state = np.zeros(len(STEPS))
    last = -math.inf
    for first in range(0, len(counts), _BLOCK):
        sums = np.cumsum(
            _increments(counts[first : first + _BLOCK], share, upwards=upwards), axis=0
        )
        # max(S, 0) + x, unrolled: the sum so far less the lowest sum before it
        before = np.vstack([np.maximum(state, 0.0), -sums[:-1]])
        cusum = sums + np.maximum.accumulate(before, axis=0)
        weighted = cusum + LOG_WEIGHTS
        top = weighted.max(axis=1)
        log_sum = top + np.log(np.exp(weighted - top[:, None]).sum(axis=1))
        alarms = np.flatnonzero(log_sum >= level)
        if len(alarms):
            at = int(alarms[0])
            return first + at, float(log_sum[at]), int(weighted[at].argmax())
        state, last = cusum[-1], float(log_sum[-1])
    return None, last, 0


def _began(counts: FloatArray, share: float, *, upwards: bool, best: int) -> int:
    """Return the bucket from which the leading step's sum up to the alarm is largest."""
    steps = _increments(counts, share, upwards=upwards)[:, best]
    return int(len(steps) - 1 - np.cumsum(steps[::-1]).argmax())
