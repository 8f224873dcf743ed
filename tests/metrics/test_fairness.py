"""Fairness measures equal answers computed by hand; intervals cover; small groups are named."""

from __future__ import annotations

import math

import numpy as np
import pytest

from promise.metrics.fairness import (
    MEASURES,
    MIN_ROWS,
    Rate,
    disparity,
    group_names,
    newcombe,
    ratio_interval,
)


def confusion(tp: int, fn: int, fp: int, tn: int) -> tuple[np.ndarray, np.ndarray]:
    """Return true and decided codes with these counts."""
    y = np.repeat([1, 1, 0, 0], [tp, fn, fp, tn])
    decided = np.repeat([1, 0, 1, 0], [tp, fn, fp, tn])
    return y, decided


@pytest.fixture
def two_groups() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # a: TPR .8, FPR .1, selected .45, right .85; b: TPR .6, FPR .3, selected .36, right .68
    a, b = confusion(80, 20, 10, 90), confusion(24, 16, 12, 28 + 20)
    y, decided = np.r_[a[0], b[0]], np.r_[a[1], b[1]]
    return y, decided, np.repeat(["a", "b"], [200, 100]).astype(object)


BY_HAND = {
    "demographic_parity_difference": 90 / 200 - 36 / 100,
    "demographic_parity_ratio": (36 / 100) / (90 / 200),
    "equal_opportunity_difference": 0.8 - 0.6,
    "equal_opportunity_ratio": 0.6 / 0.8,
    "equalized_odds_difference": max(0.2, 12 / 60 - 10 / 100),
    "equalized_odds_ratio": min(0.6 / 0.8, 0.1 / 0.2),
    "accuracy_difference": 170 / 200 - 72 / 100,
}


@pytest.mark.parametrize("measure", MEASURES)
def test_measures_equal_the_answer_by_hand(
    measure: str, two_groups: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    found = disparity(measure, *two_groups)
    assert found.value == pytest.approx(BY_HAND[measure])
    assert found.low <= found.value <= found.high
    assert found.worst is not None
    assert set(found.worst) == {"a", "b"}


def test_the_published_example_of_newcombe() -> None:
    # Newcombe (1998), table II: 56/70 against 48/80, method 10
    assert newcombe(Rate("a", 70, 56), Rate("b", 80, 48), 0.95) == pytest.approx(
        (0.0524, 0.3339), abs=5e-5
    )


def test_small_groups_are_left_out_by_name(
    two_groups: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    y, decided, groups = two_groups
    few = MIN_ROWS - 1
    found = disparity(
        "accuracy_difference",
        np.r_[y, np.ones(few, dtype=int)],
        np.r_[decided, np.zeros(few, dtype=int)],
        np.r_[groups, np.full(few, "c", dtype=object)],
    )
    assert found.left_out == ("c",)
    assert found.value == pytest.approx(BY_HAND["accuracy_difference"])
    alone = disparity("accuracy_difference", y[:200], decided[:200], groups[:200])
    assert math.isnan(alone.value)
    assert alone.worst is None


def test_a_group_with_few_positives_counts_only_where_it_can() -> None:
    a, b = confusion(80, 20, 10, 90), confusion(5, 5, 10, 90)
    y, decided = np.r_[a[0], b[0]], np.r_[a[1], b[1]]
    groups = np.repeat(["a", "b"], [200, 110])
    assert math.isnan(disparity("equal_opportunity_difference", y, decided, groups).value)
    odds = disparity("equalized_odds_difference", y, decided, groups)
    assert odds.value == pytest.approx(0.0)
    assert odds.left_out == ("b",)


def test_the_largest_disparity_of_many_classes_counts() -> None:
    decided = np.r_[np.repeat([0, 1, 2], [50, 30, 20]), np.repeat([0, 1, 2], [50, 10, 40])]
    groups = np.repeat(["a", "b"], 100)
    found = disparity("demographic_parity_difference", None, decided, groups, n_classes=3)
    assert found.value == pytest.approx(0.2)
    ratio = disparity("demographic_parity_ratio", None, decided, groups, n_classes=3)
    assert ratio.value == pytest.approx(1 / 3)


def test_nobody_decided_for_is_no_ratio() -> None:
    groups = np.repeat(["a", "b"], 50)
    nobody = np.zeros(100, dtype=int)
    assert math.isnan(disparity("demographic_parity_ratio", None, nobody, groups).value)
    assert disparity("demographic_parity_difference", None, nobody, groups).value == 0


@pytest.mark.parametrize("measure", ["demographic_parity_difference", "demographic_parity_ratio"])
@pytest.mark.parametrize("rates", [(0.3, 0.3, 0.3), (0.5, 0.4, 0.25)])
def test_the_ends_err_as_seldom_as_promised(measure: str, rates: tuple[float, ...]) -> None:
    rng, runs = np.random.default_rng(3), 300
    true = max(rates) - min(rates) if measure.endswith("difference") else min(rates) / max(rates)
    groups = np.repeat(np.arange(len(rates)), 150)
    below = above = 0
    for _ in range(runs):
        decided = (rng.random(len(groups)) < np.array(rates)[groups]).astype(int)
        found = disparity(measure, None, decided, groups, alpha_low=0.05, alpha_high=0.05)
        below += true < found.low - 1e-12
        above += true > found.high + 1e-12
    assert below / runs <= 0.09
    assert above / runs <= 0.09


def test_a_ratio_of_nought_lies_in_its_interval() -> None:
    decided = np.r_[np.zeros(60, dtype=int), np.ones(10, dtype=int), np.zeros(50, dtype=int)]
    found = disparity("demographic_parity_ratio", None, decided, np.repeat(["a", "b"], 60))
    assert found.low == found.value == 0 < found.high


def test_ratio_intervals_stay_defined_at_the_ends() -> None:
    for a, b in [(Rate("a", 50, 0), Rate("b", 50, 50)), (Rate("a", 50, 50), Rate("b", 50, 50))]:
        low, high = ratio_interval(a, b, 0.05)
        assert 0 < low <= high < math.inf


def test_groups_have_names() -> None:
    assert group_names(np.array([1.0, 2.0, np.nan])).tolist() == ["1", "2", "missing"]
    assert group_names(np.array([True, False])).tolist() == ["True", "False"]
    bands = group_names(np.r_[np.arange(400) / 4, np.nan])
    assert len(set(bands.tolist())) == 5
    assert bands[-1] == "missing"
