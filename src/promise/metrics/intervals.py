"""How far chance alone may move a score: bootstrap intervals and paired differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from promise.data.columns import Array, FloatArray
from promise.kernels import scores
from promise.metrics.pointwise import Metric
from promise.metrics.resamples import replicates
from promise.metrics.tails import resampled_ends
from promise.metrics.wilson import wilson

__all__ = ["Difference", "bootstrap_interval", "paired_difference", "wilson"]

_BY_TAILS = ("ece", "positive_calibration_error", "roc_auc", "average_precision")
"""Beside decisions, what a plain resample is too sure of."""


@dataclass(frozen=True)
class Difference:
    """How much better one output is than another on the same rows, larger being better.

    Parameters
    ----------
    mean
        The first's utility minus the second's, on the rows as they are.
    low, high
        The interval of that difference under resampling of the rows.
    tie
        Whether the interval holds zero, so that these rows cannot tell the two apart.
    """

    mean: float
    low: float
    high: float
    tie: bool


def bootstrap_interval(
    metric: Metric,
    y: Array,
    output: Array,
    *,
    seed: int,
    n: int = 1000,
    level: float = 0.95,
    multipliers: Array | None = None,
    groups: Array | None = None,
) -> tuple[float, float]:
    """Return the percentile interval of a score over `n` resamples of the rows.

    Accuracy of independent rows has Wilson's interval instead, which stays honest near 1. Other
    decision metrics, rankings and `ece` have the ends of `resampled_ends`, since no resample can
    show an error that has not happened yet, nor take away what noise adds. Ranking metrics of many
    classes take fewer resamples (at least 100). (nan, nan) where the score is undefined.

    Parameters
    ----------
    groups
        Group of each row; whole groups are then resampled, since their rows are not independent.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.arange(100.0)
    >>> mae = Metric("mae", greater_is_better=False, kind="number")
    >>> low, high = bootstrap_interval(mae, y, y + np.tile([0.0, 1.0], 50), seed=7)
    >>> low < 0.5 < high
    True
    """
    if len(y) == 0:
        return float("nan"), float("nan")
    if metric.name == "accuracy" and groups is None:
        right = scores.decide(output, multipliers) == y
        return wilson(int(right.sum()), len(y), level)
    if metric.kind == "decision" or (metric.kind != "labels" and metric.name in _BY_TAILS):
        alpha = (1 - level) / 2
        return resampled_ends(
            metric, y, output, alpha_low=alpha, alpha_high=alpha, seed=seed, n=n,
            multipliers=multipliers, groups=groups,
        )  # fmt: skip
    found = replicates(metric, y, [(output, multipliers)], seed=seed, n=n, groups=groups)
    return _percentiles(found[:, 0], level)


def paired_difference(
    metric: Metric,
    y: Array,
    a: Array,
    b: Array,
    *,
    seed: int,
    n: int = 1000,
    level: float = 0.95,
    multipliers_a: Array | None = None,
    multipliers_b: Array | None = None,
    groups: Array | None = None,
) -> Difference:
    """Return how much better `a` is than `b`, both resampled on the same rows.

    Positive means that `a` is better, whichever sign the metric has.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.arange(50.0)
    >>> mae = Metric("mae", greater_is_better=False, kind="number")
    >>> paired_difference(mae, y, y + 1, y + 2, seed=7)
    Difference(mean=1.0, low=1.0, high=1.0, tie=False)
    """
    pair = [(a, multipliers_a), (b, multipliers_b)]
    of_a, of_b = (metric.utility(y, output, moved) for output, moved in pair)
    if len(y) == 0:
        return Difference(float("nan"), float("nan"), float("nan"), tie=True)
    found = replicates(metric, y, pair, seed=seed, n=n, groups=groups)
    low, high = _percentiles(metric.sign * (found[:, 0] - found[:, 1]), level)
    return Difference(of_a - of_b, low, high, tie=not (low > 0 or high < 0))


def _percentiles(found: FloatArray, level: float) -> tuple[float, float]:
    """Return the central interval of the defined replicates."""
    defined = found[np.isfinite(found)]
    if len(defined) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
