"""Finding rare rows: against scikit-learn, slow twins, and days as they were seen at the time."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from promise.errors import ConfigError
from promise.metrics.ranked import (
    average_precision,
    positive_calibration_error,
    precision_at,
    precision_at_capacity,
    prequential,
    prequential_blocks,
    recall_at,
    recall_at_fpr,
)


def _drawn(n: int, seed: int, ties: bool = True) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(np.int64)
    score = rng.random(n) * 0.5 + 0.4 * y * rng.random(n)
    return y, np.round(score, 1) if ties else score


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.integers(0, 1000), st.floats(0, 1))
def test_recall_at_fpr_is_on_the_roc_curve(n: int, seed: int, fpr: float) -> None:
    """It is the highest point of scikit-learn's curve at or left of the rate."""
    y, score = _drawn(n, seed)
    if y.min() == y.max():
        assert math.isnan(recall_at_fpr(y, score, fpr))
        return
    rates, recalls, _ = roc_curve(y, score, drop_intermediate=False)
    assert recall_at_fpr(y, score, fpr) == pytest.approx(recalls[rates <= fpr + 1e-12].max())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(0, 1000), st.integers(1, 50))
def test_top_k_is_the_mean_over_orders_of_ties(n: int, seed: int, k: int) -> None:
    """A tie at the cut counts as the mean over random orders of it."""
    y, score = _drawn(n, seed)
    rng = np.random.default_rng(seed)
    picked = [np.lexsort((rng.random(n), -score))[:k] for _ in range(400)]
    found = np.mean([y[rows].sum() for rows in picked])
    assert precision_at(y, score, k) * min(k, n) == pytest.approx(found, abs=0.35)
    if y.sum():
        assert recall_at(y, score, k) * y.sum() == pytest.approx(found, abs=0.35)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.integers(0, 1000))
def test_average_precision_with_its_baseline(n: int, seed: int) -> None:
    """Equal to scikit-learn's, beside the prevalence."""
    y, score = _drawn(n, seed)
    found = average_precision(y, score)
    assert found.baseline == pytest.approx(y.mean())
    if 0 < y.sum() < n:
        assert found.value == pytest.approx(average_precision_score(y, score))
        assert found.lift == pytest.approx(found.value / y.mean())
    else:
        assert math.isnan(found.value)


def test_precision_at_capacity_is_a_mean_over_days() -> None:
    """Two days with room for one case each; with entities a case is an entity's day."""
    day = np.array([1, 0, 1, 0, 0])
    y = np.array([0, 1, 1, 0, 0])
    score = np.array([0.9, 0.8, 0.7, 0.1, 0.2])
    assert precision_at_capacity(y, score, day, 1) == 0.5
    entity = np.array(["a", "b", "a", "c", "c"])
    assert precision_at_capacity(y, score, day, 1, entity) == 1.0
    assert math.isnan(precision_at_capacity(y[:0], score[:0], day[:0], 1))


def test_calibration_error_sees_both_sides_of_one_half() -> None:
    """Gaps that cancel in the likelier class's confidence do not cancel here."""
    y = np.array([0] * 8 + [0] * 4)
    score = np.array([0.3] * 8 + [0.6] * 4)
    assert positive_calibration_error(y, score) == pytest.approx((8 * 0.3 + 4 * 0.6) / 12)
    rng = np.random.default_rng(0)
    chance = rng.random(200_000)
    assert positive_calibration_error(rng.random(200_000) < chance, chance) < 0.005


def test_days_are_scored_one_by_one() -> None:
    """Each day's numbers are those of its rows alone, whatever their order."""
    y, score = _drawn(300, 5, ties=False)
    day = np.random.default_rng(1).integers(3, 6, 300)
    days = prequential(day, y, score, fpr=0.1, capacity=10)
    assert [d.day for d in days] == [3, 4, 5]
    for found in days:
        rows = day == found.day
        assert (found.rows, found.positives) == (rows.sum(), y[rows].sum())
        assert found.roc_auc == pytest.approx(roc_auc_score(y[rows], score[rows]))
        assert found.recall_at_fpr == recall_at_fpr(y[rows], score[rows], 0.1)
        assert found.precision_at_capacity == precision_at(y[rows], score[rows], 10)
        assert found.baseline == pytest.approx(y[rows].mean())


def test_labels_that_were_not_known_count_for_nothing() -> None:
    """Looking from day 9, labels that arrived on day 10 are pending."""
    day, y, score = np.array([1, 1, 2]), np.array([1, 0, 1]), np.array([0.9, 0.1, 0.8])
    first, second = prequential(day, y, score, known_day=np.array([8, 9, 10]), as_of=9)
    assert (first.rows, first.pending, first.average_precision) == (2, 0, 1.0)
    assert (second.rows, second.pending) == (0, 1)
    assert math.isnan(second.average_precision)
    with pytest.raises(ConfigError, match="belong together"):
        prequential(day, y, score, as_of=9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 60), st.integers(1, 10), st.integers(0, 8), st.integers(1, 10))
def test_blocks_never_see_the_future(end: int, train: int, delay: int, test: int) -> None:
    """Every label of the training days is known when the test days begin; tests never overlap."""
    before = train + delay
    for block in prequential_blocks(0, end, train_days=train, delay_days=delay, test_days=test):
        assert block.train_end - 1 + delay < block.test_start
        assert block.train_start >= 0
        assert (block.test_start, block.test_end - block.test_start) == (before, test)
        assert block.test_end <= end
        before = block.test_end
    assert end < before + test


def test_refuses_rates_and_blocks_that_make_no_sense() -> None:
    """A rate beyond one and an empty block are refused in words."""
    with pytest.raises(ConfigError, match=r"\[0, 1\]"):
        recall_at_fpr(np.array([0, 1]), np.array([0.1, 0.2]), 1.5)
    with pytest.raises(ConfigError, match="train_days=0"):
        next(prequential_blocks(0, 9, train_days=0, delay_days=1, test_days=1))
