"""Scores on resampled rows, a block of resamples at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from promise.data.columns import Array, FloatArray
from promise.kernels import multilabel, scores
from promise.metrics.pointwise import Metric, request_scores

Scored = tuple[Array, Array | None]
"""Raw output and the multipliers of its decisions."""

_MAX_UNITS = 20_000  # more rows are resampled in bundles: same variance, bounded work
_BLOCK_CELLS = 65_536  # weights held at once: they stay in the cache
_MAX_WORK = 20_000_000  # rows × classes × resamples of the ranking metrics


def replicates(
    metric: Metric,
    y: Array,
    outputs: Sequence[Scored],
    *,
    seed: int,
    n: int = 1000,
    groups: Array | None = None,
) -> FloatArray:
    """Return the score of every output on `n` common resamples: (n, n_outputs).

    Every metric is computed from how often each row was drawn, for a block of resamples at once;
    resampling the rows themselves and scoring them again gives the same distribution.
    """
    rng = np.random.default_rng(seed)
    if metric.kind == "decision":
        return _decision_replicates(metric.name, y, outputs, rng, n, groups)
    if metric.kind == "ranking":
        means = [_Mean(request_scores(metric.name, output)) for output, _ in outputs]
        return _by_row_weights(means, _row_weights(rng, len(y), n, groups))
    if metric.kind == "labels":
        n = min(n, max(100, _MAX_WORK // (len(y) * outputs[0][0].shape[1])))
        several = [_Several.of(metric.name, y, *scored) for scored in outputs]
        return _by_row_weights(several, _row_weights(rng, len(y), n, groups))
    if metric.name in ("roc_auc", "average_precision"):
        classes = outputs[0][0].shape[1]
        n = min(n, max(100, _MAX_WORK // (len(y) * (1 if classes == 2 else classes))))
        scorers = [_Ranking.of(metric.name, y, output) for output, _ in outputs]
        return _by_row_weights(scorers, _row_weights(rng, len(y), n, groups))
    if metric.name == "median_absolute_error":
        medians = [_Median.of(np.abs(y - output)) for output, _ in outputs]
        return _by_row_weights(medians, _row_weights(rng, len(y), n, groups))
    return np.concatenate(list(_sum_replicates(metric.name, y, outputs, rng, n, groups)))


def _by_row_weights(
    scorers: Sequence[Callable[[FloatArray], FloatArray]], weights: Iterator[FloatArray]
) -> FloatArray:
    """Score every block of row weights by every scorer: (n, n_scorers)."""
    return np.concatenate([np.stack([f(block) for f in scorers], axis=1) for block in weights])


def _decision_replicates(
    name: str,
    y: Array,
    outputs: Sequence[Scored],
    rng: np.random.Generator,
    n: int,
    groups: Array | None,
) -> FloatArray:
    """Score resampled counts of distinct (true, decided, decided, …) rows."""
    decided = [scores.decide(output, moved) for output, moved in outputs]
    rows = np.stack([y, *decided], axis=1)
    cells, cell, held = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    if groups is None and len(cells) < 2000:
        # Which row is drawn matters only through its cell: the cells' counts are multinomial.
        drawn: Iterator[FloatArray] = (
            rng.multinomial(len(y), held / len(y), size=m).astype(np.float64)
            for m in _block_sizes(n, len(cells))
        )
    else:
        drawn = (
            scores.sum_by_code(weights, cell, len(cells))
            for weights in _row_weights(rng, len(y), n, groups)
        )
    blocks = [
        np.stack(
            [
                scores.decided_scores(name, cells[:, 0], cells[:, 1 + i], counts)
                for i in range(len(outputs))
            ],
            axis=1,
        )
        for counts in drawn
    ]
    return np.concatenate(blocks)


def _sum_replicates(
    name: str,
    y: Array,
    outputs: Sequence[Scored],
    rng: np.random.Generator,
    n: int,
    groups: Array | None,
) -> Iterator[FloatArray]:
    """Score metrics that are functions of means over rows, a block of resamples at a time."""
    unit, n_units = _units(len(y), groups)
    terms = [np.column_stack([np.ones(len(y)), _terms(name, y, p)]) for p, _ in outputs]
    if unit is not None:
        order = np.argsort(unit, kind="stable")
        starts = np.searchsorted(unit[order], np.arange(n_units))
        terms = [np.add.reduceat(t[order], starts, axis=0) for t in terms]
    for weights in _unit_weights(rng, n_units, n):
        sums = [weights @ t for t in terms]
        yield np.stack([_of_means(name, s[:, 1:] / s[:, :1]) for s in sums], axis=1)


def _terms(name: str, y: Array, output: Array) -> FloatArray:
    """Return the row terms (n, t) whose means make the score."""
    match name:
        case "log_loss":
            return scores.log_loss_rows(y, output)[:, None]
        case "brier":
            return scores.brier_rows(y, output)[:, None]
        case "ece":
            return scores.ece_rows(y, output)
        case "positive_calibration_error":
            return scores.positive_ece_rows(y, output)
        case "mae":
            return np.asarray(np.abs(y - output)[:, None])
        case "mape":
            return scores.mape_rows(y, output)[:, None]
        case "rmse":
            return np.asarray(np.square(y - output)[:, None])
        case "rmsle":
            return scores.rmsle_rows(y, output)[:, None]
        case "r2":
            centred = y - y.mean()  # spares the digits of a target far from zero
            return np.column_stack([np.square(y - output), centred, np.square(centred)])
        case _:
            raise ValueError(f"{name!r} is not a function of means")


def _of_means(name: str, means: FloatArray) -> FloatArray:
    """Return the score (m,) that the terms' means (m, t) make."""
    if name in ("rmse", "rmsle"):
        return np.asarray(np.sqrt(means[:, 0]))
    if name in ("ece", "positive_calibration_error"):
        return np.asarray(np.abs(means).sum(axis=1))
    if name == "r2":
        spread = means[:, 2] - np.square(means[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(spread > 0, 1 - means[:, 0] / spread, np.nan))
    return means[:, 0]


@dataclass(frozen=True)
class _Ranking:
    """Scores ROC AUC or average precision of weighted rows, sorted once for all resamples."""

    name: str
    classes: tuple[tuple[Array, Array, Array], ...]  # per class: order, positive there, runs

    @classmethod
    def of(cls, name: str, y: Array, output: Array) -> _Ranking:
        """Sort the rows by each class's probability."""
        found = []
        for c in [1] if output.shape[1] == 2 else np.unique(y).tolist():
            order, starts = scores.tie_groups(output[:, c])
            found.append((order, (y[order] == c).astype(np.float64), starts))
        return cls(name, tuple(found))

    def __call__(self, weights: FloatArray) -> FloatArray:
        """Return the score (m,) of rows that occur as often as `weights` (m, n) say."""
        of_counts = (
            scores.roc_auc_of_counts
            if self.name == "roc_auc"
            else scores.average_precision_of_counts
        )
        found = np.empty((len(weights), len(self.classes)))
        for i, (order, positive, starts) in enumerate(self.classes):
            counts = weights.take(order, axis=1)
            found[:, i] = of_counts(counts * positive, counts, starts)
        with np.errstate(invalid="ignore"):  # a class that was not drawn leaves the mean
            return scores.mean_where(found, np.isfinite(found))


@dataclass(frozen=True)
class _Several:
    """Scores answers of several labels, of weighted rows."""

    name: str
    truth: Array
    output: Array
    multipliers: Array | None

    @classmethod
    def of(cls, name: str, y: Array, output: Array, multipliers: Array | None) -> _Several:
        """Read the truths once."""
        return cls(name, multilabel.members(y, output.shape[1]), output, multipliers)

    def __call__(self, weights: FloatArray) -> FloatArray:
        """Return the score (m,) of rows that occur as often as `weights` (m, n) say."""
        return multilabel.labels_scores(
            self.name, self.truth, self.output, weights, self.multipliers
        )


@dataclass(frozen=True)
class _Mean:
    """Means of weighted values."""

    values: Array

    def __call__(self, weights: FloatArray) -> FloatArray:
        """Return the mean (m,) of rows that occur as often as `weights` (m, n) say."""
        return np.asarray(weights @ self.values / weights.sum(axis=1))


@dataclass(frozen=True)
class _Median:
    """Finds the median of weighted values, sorted once for all resamples."""

    order: Array
    values: FloatArray

    @classmethod
    def of(cls, values: FloatArray) -> _Median:
        """Sort the values."""
        order = np.argsort(values)
        return cls(order, values[order])

    def __call__(self, weights: FloatArray) -> FloatArray:
        """Return the median (m,) of values that occur as often as `weights` (m, n) say."""
        below = weights.take(self.order, axis=1).cumsum(axis=1)
        half = below[:, -1] / 2  # whole counts: the two middle ranks are found exactly
        found = [
            self.values[[np.searchsorted(row, np.floor(h) + 1), np.searchsorted(row, np.ceil(h))]]
            for row, h in zip(below, half, strict=True)
        ]
        return np.asarray(np.mean(found, axis=1))


def _units(n_rows: int, groups: Array | None) -> tuple[Array | None, int]:
    """Return what is resampled: (unit of each row, how many); None where each row is its own."""
    if groups is not None:
        names, unit = np.unique(groups, return_inverse=True)
        return unit, len(names)
    if n_rows > _MAX_UNITS:
        return np.arange(n_rows) % _MAX_UNITS, _MAX_UNITS
    return None, n_rows


def _row_weights(
    rng: np.random.Generator, n_rows: int, n: int, groups: Array | None
) -> Iterator[FloatArray]:
    """Yield blocks (m, n_rows) of how often each row was drawn."""
    unit, n_units = _units(n_rows, groups)
    for m in _block_sizes(n, n_rows):
        for weights in _unit_weights(rng, n_units, m):
            yield weights if unit is None else weights[:, unit]


def _unit_weights(rng: np.random.Generator, n_units: int, n: int) -> Iterator[FloatArray]:
    """Yield blocks (m, n_units) of how often each unit was drawn."""
    for m in _block_sizes(n, n_units):
        weights = np.empty((m, n_units))
        for row in weights:
            drawn = rng.integers(0, n_units, n_units, dtype=np.uint32)
            row[:] = np.bincount(drawn, minlength=n_units)
        yield weights


def _block_sizes(n: int, width: int) -> Iterator[int]:
    """Cut `n` resamples into blocks of bounded memory."""
    size = max(1, _BLOCK_CELLS // max(1, width))
    for start in range(0, n, size):
        yield min(size, n - start)
