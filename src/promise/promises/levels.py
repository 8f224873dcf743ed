"""Verdicts on levels that are measured, not sampled: memory and throughput."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import bdtrik

from promise.promises.measures import amount
from promise.promises.spec import Promise
from promise.promises.verdict import Status, Verdict

_SETTLING = 5  # of so many samples the first one is still warming up


def judge_level(promise: Promise, samples: Sequence[float]) -> Verdict:
    """Judge a level: of memory the worst settled sample, of throughput the median.

    The first fifth of the samples is left out, where there are five or more: caches fill and
    code warms up.

    Examples
    --------
    >>> size = Promise("size", "memory", at_most=512.0)
    >>> judge_level(size, [300.0, 420.0, 410.0]).reason
    'the most memory in 3 samples is 420 MiB; at most 512 MiB was promised.'
    """
    finite = [float(sample) for sample in samples if math.isfinite(sample)]
    settled = np.sort(np.array(finite[len(finite) // _SETTLING :]))
    if len(settled) == 0:
        return Verdict.unknown(promise, "nothing was measured yet.", needed=1)
    if promise.at_most is not None:
        measured, low, high = float(settled[-1]), float(settled[0]), float(settled[-1])
        what = f"the most {promise.that}"
    else:
        measured = float(np.median(settled))
        low, high = _median_interval(settled)
        what = f"the median {promise.that}"
    status: Status = "KEPT" if promise.holds(measured) else "BROKEN"
    side = "at most" if promise.at_most is not None else "at least"
    warned = promise.warn is not None and (
        measured > promise.warn if promise.at_most is not None else measured < promise.warn
    )
    return Verdict(
        promise.key,
        promise.that,
        status,
        promise.bound,
        measured=measured,
        low=low,
        high=high,
        n=len(settled),
        warns=warned,
        reason=f"{what} in {len(settled):,} samples is {amount(promise.that, measured)}; "
        f"{side} {amount(promise.that, promise.bound)} was promised.",
    )


def _median_interval(ordered: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float]:
    """Return the 95 % interval of a median by ranks; all samples where they are few."""
    n = len(ordered)
    if n < 6:
        return float(ordered[0]), float(ordered[-1])
    rank = max(0, math.ceil(float(bdtrik(0.025, n, 0.5))) - 1)
    return float(ordered[rank]), float(ordered[n - 1 - rank])
