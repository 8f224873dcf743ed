"""How far a score may reach by chance, with a chance of error for each end."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from promise.data.columns import Array, FloatArray
from promise.kernels import scores
from promise.metrics.pointwise import Metric
from promise.metrics.resamples import replicates
from promise.metrics.wilson import wilson

_RESAMPLES = 1000
_DRAWS = 4000
_GAPS = {"ece": scores.ece_rows, "positive_calibration_error": scores.positive_ece_rows}
"""What calibration errors are means of."""

_RANKING = ("roc_auc", "average_precision")
_MOST_CLASSES = 50  # above it the table of confusion counts outgrows the rows
_FEWEST_BEYOND = 10  # resamples in a tail below which its quantile is extrapolated


def resampled_ends(
    metric: Metric,
    y: Array,
    output: Array,
    *,
    alpha_low: float,
    alpha_high: float,
    seed: int,
    n: int = _RESAMPLES,
    multipliers: Array | None = None,
    groups: Array | None = None,
) -> tuple[float, float]:
    """Return bootstrap ends that are crossed with these chances, one for each side.

    Tails with too few resamples are extrapolated from two standard deviations outwards, though
    never beyond what the metric can be. What has not happened in few rows can still happen, which
    no plain resample shows; therefore

    - decisions are drawn from the posterior of their confusion counts (Dirichlet, half a case
      added to each cell of two classes); where rows hang together in groups, or classes are many,
      rows are resampled, and Wilson's end stands where no decision was wrong;
    - rankings have one row of every class added, ranked last for the lower end and first for
      the upper one;
    - the lower end of calibration errors, which chance alone lifts far above nought, is the
      measured error less what noise adds to it.
    """
    alphas = (alpha_low, alpha_high)
    ends = _resampled(metric, y, output, alphas, seed, n, multipliers, groups)
    least, most = _possible_values(metric)
    low, high = (min(max(end, least), most) for end in ends)  # NaN stays
    return low, high


def _possible_values(metric: Metric) -> tuple[float, float]:
    """Return the least and the most that a metric can be."""
    beyond = math.inf
    if metric.kind == "number" or metric.name == "log_loss":
        return (-beyond, 1.0) if metric.greater_is_better else (0.0, beyond)
    return {"matthews": (-1.0, 1.0), "brier": (0.0, 2.0)}.get(metric.name, (0.0, 1.0))


def _resampled(
    metric: Metric,
    y: Array,
    output: Array,
    alphas: tuple[float, float],
    seed: int,
    n: int,
    multipliers: Array | None,
    groups: Array | None,
) -> tuple[float, float]:
    if metric.kind in ("labels", "ranking"):
        scored = [(output, multipliers)]
        found = replicates(metric, y, scored, seed=seed, n=n, groups=groups)[:, 0]
        found = found[np.isfinite(found)]
        return _ends(found, found, *alphas)
    if output.ndim == 2:
        y = np.asarray(y).astype(np.int64)  # codes index tables; JSON brings them as floats
    if metric.kind == "decision":
        return _decision_ends(metric, y, output, multipliers, groups, seed, n, alphas)
    if metric.name in _RANKING:
        worse, better = (
            _replicates(metric, *_with_rows(y, output, groups, right=right), seed, n)
            for right in (False, True)
        )
        return _ends(worse, better, *alphas)
    found = _replicates(metric, y, output, groups, seed, n)
    low, high = _ends(found, found, *alphas)
    gaps = _GAPS.get(metric.name)
    if gaps is not None:
        noise = _noise(gaps(y, output), groups, alphas[0], seed)
        low = max(0.0, metric.score(y, output) - noise)
    return low, high


def _replicates(
    metric: Metric, y: Array, output: Array, groups: Array | None, seed: int, n: int
) -> FloatArray:
    found = replicates(metric, y, [(output, None)], seed=seed, n=n, groups=groups)[:, 0]
    return found[np.isfinite(found)]


def _ends(
    for_low: FloatArray, for_high: FloatArray, alpha_low: float, alpha_high: float
) -> tuple[float, float]:
    if min(len(for_low), len(for_high)) < 2:
        return float("nan"), float("nan")
    return _tail(for_low, alpha_low), -_tail(-for_high, alpha_high)


def _decision_ends(
    metric: Metric,
    y: Array,
    output: Array,
    multipliers: Array | None,
    groups: Array | None,
    seed: int,
    n: int,
    alphas: tuple[float, float],
) -> tuple[float, float]:
    """Return the ends of a decision metric: the measured score lies between them."""
    said, k = scores.decide(output, multipliers), output.shape[1]
    if groups is None and k <= _MOST_CLASSES:
        found = _possible(metric.name, np.asarray(y) * k + said, k, seed, n)
    elif (said == y).all():
        units = len(y) if groups is None else len(np.unique(groups))
        return wilson(units, units, 1 - 2 * alphas[0])[0], 1.0
    else:
        scored = [(output, multipliers)]
        found = replicates(metric, y, scored, seed=seed, n=n, groups=groups)[:, 0]
        found = found[np.isfinite(found)]
    low, high = _ends(found, found, *alphas)
    measured = metric.score(y, output, multipliers)
    return min(low, measured), max(high, measured)


def _possible(name: str, cells: Array, k: int, seed: int, n: int) -> FloatArray:
    """Return scores of confusion counts as they might be in as many new rows."""
    held = np.bincount(cells, minlength=k * k) + 1 / k
    drawn = np.random.default_rng(seed).dirichlet(held, n) * len(cells)
    true, decided = np.divmod(np.arange(k * k), k)
    found = scores.decided_scores(name, true, decided, drawn)
    return np.asarray(found[np.isfinite(found)])


def _with_rows(
    y: Array, output: Array, groups: Array | None, *, right: bool
) -> tuple[Array, Array, Array | None]:
    """Add a row of every class that occurs, whose answer is certainly right or certainly wrong."""
    k = output.shape[1]
    classes = np.unique(y)
    said = classes if right else (classes + 1) % k
    alone = None
    if groups is not None:
        codes = np.unique(groups, return_inverse=True)[1]
        alone = np.concatenate([codes, codes.max() + 1 + np.arange(len(classes))])
    return np.concatenate([y, classes]), np.vstack([output, np.eye(k)[said]]), alone


def _noise(terms: FloatArray, groups: Array | None, alpha: float, seed: int) -> float:
    """Return what the absolute errors of the terms' means add up to, exceeded with this chance.

    Absolute means are larger than those of the truth by at most the absolute errors (triangle
    inequality). The errors are normal with the covariance of the rows, or of whole groups.
    """
    centred = terms - terms.mean(axis=0)  # (n, n_bins)
    if groups is not None:
        _, codes = np.unique(groups, return_inverse=True)
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], np.arange(codes.max() + 1))
        centred = np.add.reduceat(centred[order], starts, axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(terms) ** 2)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))
    drawn = np.random.default_rng(seed).standard_normal((_DRAWS, len(values))) @ roots.T
    return -_tail(-np.abs(drawn).sum(axis=1), alpha)


def _tail(found: FloatArray, alpha: float) -> float:
    """Return the lower quantile of the resamples."""
    if alpha * len(found) >= _FEWEST_BEYOND:
        return float(np.quantile(found, alpha))
    middle, near = np.quantile(found, [0.5, NormalDist().cdf(-2)])
    return float(middle + NormalDist().inv_cdf(alpha) * (middle - near) / 2)
