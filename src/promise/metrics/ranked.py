"""How well a score finds rare rows: at fixed false alarms, within a capacity, day after day."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.errors import ConfigError
from promise.kernels.scores import (
    binary_average_precision,
    binary_roc_auc,
    score_positive_ece,
    tie_groups,
)


@dataclass(frozen=True)
class AveragePrecision:
    """An average precision beside what a score without knowledge would reach.

    Parameters
    ----------
    value
        NaN when either class is absent.
    baseline
        The prevalence: the expected average precision of a random order.
    """

    value: float
    baseline: float
    rows: int
    positives: int

    @property
    def lift(self) -> float:
        """How many times the baseline it is."""
        return self.value / self.baseline if self.positives else math.nan


def average_precision(y: Array, score: Array) -> AveragePrecision:
    """Return the average precision with its baseline and the counts behind it.

    Examples
    --------
    >>> average_precision(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.2, 0.8]))
    AveragePrecision(value=1.0, baseline=0.5, rows=4, positives=2)
    """
    rows, positives = len(y), int((y == 1).sum())
    defined = 0 < positives < rows
    value = binary_average_precision(y == 1, score) if defined else math.nan
    return AveragePrecision(value, positives / rows if rows else math.nan, rows, positives)


def recall_at_fpr(y: Array, score: Array, fpr: float) -> float:
    """Return the largest share of positives above a threshold that alarms so few negatives.

    Rows of equal score are alarmed together or not at all, so that the rate is really kept.

    Parameters
    ----------
    fpr
        Most false alarms per negative row, in [0, 1].

    Examples
    --------
    >>> recall_at_fpr(np.array([1, 1, 0, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.4, 0.3, 0.1]), 0.4)
    0.6666666666666666
    """
    if not 0 <= fpr <= 1:
        raise ConfigError(f"a false-positive rate is in [0, 1]; got {fpr!r}.")
    positives = int((y == 1).sum())
    negatives = len(y) - positives
    if not positives or not negatives:
        return math.nan
    hits, seen = _reached(y, score)
    # An allowance that is a whole number of rows must not be lost to rounding.
    kept = (seen - hits) <= fpr * negatives * (1 + 1e-12)
    return float(hits[kept].max(initial=0.0)) / positives


def precision_at(y: Array, score: Array, k: int) -> float:
    """Return the share of positives among the k highest scores; ties count by expectation.

    Examples
    --------
    >>> precision_at(np.array([1, 0, 1, 0]), np.array([0.9, 0.5, 0.5, 0.1]), 2)
    0.75
    """
    return _found(y, score, k) / min(k, len(y)) if k > 0 and len(y) else math.nan


def recall_at(y: Array, score: Array, k: int) -> float:
    """Return the share of all positives that are among the k highest scores, by expectation."""
    positives = int((y == 1).sum())
    return _found(y, score, k) / positives if positives else math.nan


def precision_at_capacity(
    y: Array, score: Array, day: Array, capacity: int, entity: Array | None = None
) -> float:
    """Return the mean over days of the share of positives among the day's highest scores.

    Parameters
    ----------
    capacity
        How many cases are looked at each day.
    entity
        When given, a case is an entity's day: its highest score, positive when any of its rows
        is (the Fraud Detection Handbook's card precision, without leaving out known cards).
    """
    found = []
    for rows in _by_day(day):
        truth, value = y[rows] == 1, score[rows]
        if entity is not None:
            truth, value = _by_entity(truth, value, entity[rows])
        found.append(precision_at(truth, value, capacity))
    return float(np.mean(found)) if found else math.nan


def positive_calibration_error(y: Array, score: Array, n_bins: int = 15) -> float:
    """Return the mean gap between scores and the share of positives, over equally wide bins.

    Taken of the positive class alone: the error of the likelier class (Guo et al. 2017) lets
    gaps on either side of one half cancel out.

    Examples
    --------
    >>> positive_calibration_error(np.array([0, 1, 0, 1]), np.array([0.5, 0.5, 0.5, 0.5]))
    0.0
    """
    if not len(y):
        return math.nan
    return score_positive_ece(y, score, n_bins)


@dataclass(frozen=True)
class Day:
    """One day's scores, computed from the labels that are known.

    Parameters
    ----------
    pending
        Rows whose label was not known yet; they are in none of the scores.
    """

    day: int
    rows: int
    pending: int
    positives: int
    average_precision: float
    roc_auc: float
    recall_at_fpr: float
    precision_at_capacity: float
    calibration_error: float

    @property
    def baseline(self) -> float:
        """The prevalence, which a random order's average precision would be."""
        return self.positives / self.rows if self.rows else math.nan


def prequential(
    day: Array,
    y: Array,
    score: Array,
    *,
    known_day: Array | None = None,
    as_of: int | None = None,
    fpr: float = 0.01,
    capacity: int = 100,
) -> tuple[Day, ...]:
    """Return each day's scores, at the time of the events and not of their labels.

    Parameters
    ----------
    day
        Whole day (n,) of each event.
    known_day, as_of
        When each label became known, and the day from which one looks; a later label is pending.
    fpr, capacity
        Where recall and precision are read off.
    """
    if (known_day is None) != (as_of is None):
        raise ConfigError("known_day and as_of belong together: give both, or neither.")
    known = np.ones(len(day), dtype=bool) if known_day is None else known_day <= as_of
    found = []
    for rows in _by_day(day):
        kept = rows[known[rows]]
        truth, value = (y[kept] == 1).astype(np.int64), score[kept]
        both = 0 < truth.sum() < len(truth)
        found.append(
            Day(
                day=int(day[rows[0]]),
                rows=len(kept),
                pending=len(rows) - len(kept),
                positives=int(truth.sum()),
                average_precision=average_precision(truth, value).value,
                roc_auc=binary_roc_auc(truth, value) if both else math.nan,
                recall_at_fpr=recall_at_fpr(truth, value, fpr),
                precision_at_capacity=precision_at(truth, value, capacity),
                calibration_error=positive_calibration_error(truth, value),
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class Block:
    """Days to learn from and days to be tested on, [start, end) each, with a gap between them."""

    train_start: int
    train_end: int
    test_start: int
    test_end: int


def prequential_blocks(
    first_day: int, end_day: int, *, train_days: int, delay_days: int, test_days: int
) -> Iterator[Block]:
    """Yield blocks that walk through time, as if a model were trained anew before each test.

    The gap is the label delay: on the first test day no label of a later day was known.

    Examples
    --------
    >>> blocks = list(prequential_blocks(0, 28, train_days=7, delay_days=7, test_days=7))
    >>> blocks[0], len(blocks)
    (Block(train_start=0, train_end=7, test_start=14, test_end=21), 2)
    """
    if min(train_days, test_days) < 1 or delay_days < 0:
        raise ConfigError(
            "blocks need at least 1 day to train on and to test on, and a delay ≥ 0 days; got "
            f"train_days={train_days}, test_days={test_days}, delay_days={delay_days}."
        )
    start = first_day + train_days + delay_days
    while start + test_days <= end_day:
        train_end = start - delay_days
        yield Block(train_end - train_days, train_end, start, start + test_days)
        start += test_days


def _reached(y: Array, score: Array) -> tuple[FloatArray, FloatArray]:
    """Return positives and rows above each threshold between distinct scores, highest first."""
    order, starts = tie_groups(score)
    hits = np.add.reduceat((y[order] == 1).astype(np.float64), starts).cumsum()
    seen = np.append(starts[1:], len(y)).astype(np.float64)
    return hits, seen


def _found(y: Array, score: Array, k: int) -> float:
    """Return how many positives the k highest scores hold; a cut tie gives its share."""
    if k <= 0 or not len(y):
        return 0.0
    hits, seen = _reached(y, score)
    return float(np.interp(min(k, len(y)), np.append(0.0, seen), np.append(0.0, hits)))


def _by_day(day: Array) -> list[IntArray]:
    """Return the positions of each day's rows, in order of the days."""
    if not len(day):
        return []
    order = np.argsort(day, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(day[order])) + 1)


def _by_entity(truth: Array, value: Array, entity: Array) -> tuple[Array, Array]:
    """Return per entity whether any of its rows is positive, and its highest score."""
    names, place = np.unique(entity, return_inverse=True)
    any_true = np.bincount(place, weights=truth, minlength=len(names)) > 0
    highest = np.full(len(names), -np.inf)
    np.maximum.at(highest, place, value)
    return any_true, highest
