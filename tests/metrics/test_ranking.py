"""Scores of ranked lists against hand computation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from promise.data.answer import Ranking
from promise.errors import DataError
from promise.metrics.intervals import bootstrap_interval, paired_difference
from promise.metrics.pointwise import OF_RANKINGS, all_metrics, default_metric
from promise.metrics.ranking import (
    Logged,
    Wanted,
    average_precision_at,
    coverage,
    each_request,
    exposure_gini,
    hit_at,
    mean_difference,
    mean_estimate,
    ndcg_at,
    off_policy,
    recall_at,
)


def test_wanted_counts_each_pair_once_and_finds_only_its_own() -> None:
    wanted = Wanted.of_pairs(np.array([1, 0, 1, 1]), np.array([7, 5, 7, 9]), 3)
    assert wanted.counts.tolist() == [1, 2, 0]
    lists = np.array([[7, 5, -1], [9, 5, 7], [5, 7, 9]])
    assert wanted.found(lists).tolist() == [
        [False, True, False],
        [True, False, True],
        [False, False, False],
    ]
    with pytest.raises(DataError, match="2 lists came for 3 requests"):
        wanted.found(lists[:2])


def test_scores_by_hand() -> None:
    found = np.array([[True, False, True, False], [False, False, False, True]])
    wanted = np.array([3, 1])
    assert recall_at(found, wanted, 3).tolist() == pytest.approx([2 / 3, 0.0])
    assert hit_at(found, wanted, 3).tolist() == [1.0, 0.0]
    best = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    gained = 1 + 1 / math.log2(4)
    assert ndcg_at(found, wanted, 4).tolist() == pytest.approx([gained / best, 1 / math.log2(5)])
    assert average_precision_at(found, wanted, 4).tolist() == pytest.approx([(1 + 2 / 3) / 3, 0.25])


def test_a_request_that_wants_nobody_is_undefined_and_left_out() -> None:
    each = each_request(np.array([[True], [False]]), np.array([1, 0]))
    assert np.isnan(each["recall_at_20"][1])
    assert mean_estimate(each["recall_at_20"], seed=7).n == 1
    assert math.isnan(mean_estimate(np.array([np.nan]), seed=7).value)


def test_more_wanted_than_places_can_still_be_perfect_by_gain() -> None:
    found = np.ones((1, 2), dtype=bool)
    assert ndcg_at(found, np.array([5]), 2)[0] == pytest.approx(1.0)
    assert average_precision_at(found, np.array([5]), 2)[0] == pytest.approx(1.0)
    assert recall_at(found, np.array([5]), 2)[0] == pytest.approx(0.4)


def test_exposure() -> None:
    lists = np.array([[0, 1], [0, -1]])
    assert coverage(lists, 4) == 0.5
    # shown 0, 0, 1, 2 times: (2 · (3 · 1 + 4 · 2) − 5 · 3) / (4 · 3)
    assert exposure_gini(lists, 4) == pytest.approx((2 * 11 - 15) / 12)


def test_intervals_hold_the_mean_and_pairs_cancel_noise() -> None:
    rng = np.random.default_rng(3)
    a = rng.random(400)
    told = mean_estimate(a, seed=7)
    assert told.low < 0.5 < told.high
    assert told == mean_estimate(a, seed=7)
    gain = mean_difference(a + 0.1, a, seed=7)
    assert (gain.low, gain.high) == pytest.approx((0.1, 0.1))


def test_off_policy_weighs_by_the_chance_of_being_shown() -> None:
    # two people, of each one showing with chance 1/2 and one with chance 1/4 is in the list
    logged = Logged(
        request=np.array([0, 0, 1, 1]),
        item=np.array([5, 6, 5, 7]),
        propensity=np.array([0.5, 0.5, 0.25, 0.5]),
        reward=np.array([1.0, 0.0, 0.0, 1.0]),
    )
    told = off_policy(logged, np.array([[5], [5]]), np.array([0, 1]), seed=7)
    assert told["snips"].value == pytest.approx(2 / 6)  # type: ignore[union-attr]
    assert told["ips"].value == pytest.approx(2 / 4)  # type: ignore[union-attr]
    assert told["logged"].value == 0.5  # type: ignore[union-attr]
    assert told["shown"] == 2.0
    assert told["effective"] == pytest.approx(36 / 20)


@pytest.mark.slow
def test_off_policy_recovers_what_a_list_would_have_earned() -> None:
    rng, n, m = np.random.default_rng(5), 4_000, 10
    liked = rng.random((n, m)) < np.linspace(0.05, 0.5, m)
    request, item = np.arange(n), rng.integers(0, m, n)
    logged = Logged(request, item, np.full(n, 1 / m), liked[request, item].astype(float))
    told = off_policy(logged, np.full((n, 1), m - 1), np.arange(n), seed=7)
    assert told["snips"].low < 0.5 < told["snips"].high  # type: ignore[union-attr]


def test_lists_have_metrics_by_request() -> None:
    rng = np.random.default_rng(1)
    output = rng.random((200, len(OF_RANKINGS)))
    metric, y = default_metric(Ranking()), np.ones(200)
    assert metric.name == "recall_at_20"
    assert all_metrics(Ranking(), y, output)["ndcg_at_20"] == pytest.approx(output[:, 1].mean())
    low, high = bootstrap_interval(metric, y, output, seed=7)
    assert low < output[:, 0].mean() < high
    better = paired_difference(metric, y, output + 0.05, output, seed=7)
    assert better.low == pytest.approx(0.05)
