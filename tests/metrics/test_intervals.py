"""Fast replicates equal resampled rows; intervals cover; pairs that cannot be told apart tie."""

from __future__ import annotations

import math

import numpy as np
import pytest

from promise.data.answer import Class, Number
from promise.metrics import resamples
from promise.metrics.intervals import bootstrap_interval, paired_difference
from promise.metrics.pointwise import METRICS, Metric, metric_named, metrics_for
from promise.metrics.resamples import replicates

BY_NAME = {m.name: m for m in METRICS}


def example(metric: Metric, n: int, k: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    if metric.kind == "number":
        y = rng.gamma(2.0, size=n)
        return y, y * rng.gamma(20, 1 / 20, size=n)
    k = 2 if metric.name == "f1" else k
    y = rng.integers(0, k, n)
    p = np.exp(rng.normal(size=(n, k)) + 1.5 * (y[:, None] == np.arange(k)))
    return y, p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("name", BY_NAME)
def test_replicates_equal_scores_of_repeated_rows(
    name: str, grouped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric, draws = BY_NAME[name], 12
    y, output = example(metric, 60)
    groups = np.arange(60) // 3 if grouped else np.arange(60)
    # The slow twin repeats the rows of each drawn group and scores them again.
    rng = np.random.default_rng(5)
    (weights,) = resamples._unit_weights(rng, len(np.unique(groups)), draws)
    rows = weights.astype(int)[:, groups]
    slow = [metric.score(np.repeat(y, w), np.repeat(output, w, axis=0)) for w in rows]
    fast = replicates(metric, y, [(output, None)], seed=5, n=draws, groups=groups)
    np.testing.assert_allclose(fast[:, 0], slow, rtol=1e-9)


@pytest.mark.parametrize("name", ["f1_macro", "roc_auc", "rmse", "r2"])
def test_grouping_every_row_alone_changes_little(name: str) -> None:
    metric = BY_NAME[name]
    y, output = example(metric, 300)
    alone = bootstrap_interval(metric, y, output, seed=1, groups=np.arange(300))
    plain = bootstrap_interval(metric, y, output, seed=1)
    assert alone == pytest.approx(plain, abs=0.03)


def test_bundles_of_many_rows_keep_the_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = BY_NAME["mae"]
    y, output = example(metric, 4000)
    plain = bootstrap_interval(metric, y, output, seed=1)
    monkeypatch.setattr(resamples, "_MAX_UNITS", 400)
    bundled = bootstrap_interval(metric, y, output, seed=1)
    assert bundled[1] - bundled[0] == pytest.approx(plain[1] - plain[0], rel=0.2)


@pytest.mark.slow
def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    metric, covered = BY_NAME["mae"], 0
    for seed in range(200):
        errors = np.random.default_rng(seed).exponential(size=80)
        low, high = bootstrap_interval(metric, errors, np.zeros(80), seed=seed, n=300)
        covered += low <= 1.0 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_a_perfect_score_is_not_a_certain_one() -> None:
    y, p = np.arange(40) % 2, np.eye(2)[np.arange(40) % 2]
    for name in ("accuracy", "balanced_accuracy", "f1_macro", "matthews"):
        low, high = bootstrap_interval(BY_NAME[name], y, p, seed=1)
        # of matthews, 1 - 2 × the share of errors, the same rows prove less
        assert (0.8 if name == "matthews" else 0.85) < low < 0.95
        assert high == 1.0


def test_groups_without_an_error_count_as_so_many_rows() -> None:
    y = np.arange(40) % 2
    low, high = bootstrap_interval(
        BY_NAME["f1_macro"], y, np.eye(2)[y], seed=1, groups=np.arange(40) // 20
    )
    assert low < 0.4
    assert high == 1.0


@pytest.mark.parametrize("name", ["f1", "roc_auc", "average_precision"])
def test_a_few_cases_that_were_all_right_prove_little(name: str) -> None:
    y = np.r_[np.ones(5, int), np.zeros(995, int)]
    score = np.where(y == 1, 0.9, 0.1) + np.arange(1000) * 1e-5
    low, high = bootstrap_interval(BY_NAME[name], y, np.column_stack([1 - score, score]), seed=1)
    assert low < 0.85
    assert high == 1.0


@pytest.mark.slow
def test_noise_alone_does_not_say_that_probabilities_are_off() -> None:
    metric, accused = BY_NAME["ece"], 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        share = rng.random(200)
        y = (rng.random(200) < share).astype(int)
        low, high = bootstrap_interval(metric, y, np.column_stack([1 - share, share]), seed=seed)
        accused += low > 0
        assert low <= metric.score(y, np.column_stack([1 - share, share])) <= high
    assert accused <= 6


@pytest.mark.parametrize("name", ["f1_macro", "roc_auc"])
def test_where_rows_are_many_the_ends_are_those_of_resamples(name: str) -> None:
    metric = BY_NAME[name]
    y, output = example(metric, 3000, k=2)
    plain = np.quantile(
        replicates(metric, y, [(output, None)], seed=1, n=1000)[:, 0], [0.025, 0.975]
    )
    assert bootstrap_interval(metric, y, output, seed=1) == pytest.approx(tuple(plain), abs=0.004)


def test_groups_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    errors = np.repeat(rng.normal(size=30), 20)
    metric = BY_NAME["mae"]
    zero = np.zeros(600)
    plain = bootstrap_interval(metric, errors, zero, seed=1)
    grouped = bootstrap_interval(metric, errors, zero, seed=1, groups=np.repeat(np.arange(30), 20))
    assert grouped[1] - grouped[0] > 3 * (plain[1] - plain[0])


def test_undefined_scores_have_undefined_intervals() -> None:
    metric = metric_named("roc_auc", Class(("no", "yes")))
    assert math.isnan(bootstrap_interval(metric, np.zeros(5, int), np.eye(2)[[0] * 5], seed=1)[0])


@pytest.mark.parametrize("metric", metrics_for(Class(("a", "b", "c"))), ids=lambda m: m.name)
def test_the_same_output_ties_with_itself(metric: Metric) -> None:
    y, p = example(metric, 100)
    assert paired_difference(metric, y, p, p, seed=3).tie


def test_a_better_output_wins_and_a_lucky_row_ties() -> None:
    metric = metric_named("rmse", Number())
    y, good = example(metric, 200)
    found = paired_difference(metric, y, good, good + 1.0, seed=3)
    assert found.low > 0
    assert not found.tie
    accuracy, y = BY_NAME["accuracy"], np.zeros(50, int)
    right, wrong_once = np.eye(2)[y], np.eye(2)[np.r_[1, y[1:]]]
    lucky = paired_difference(accuracy, y, right, wrong_once, seed=3)
    assert lucky.tie
    assert lucky.mean == pytest.approx(0.02)


def test_pairs_share_multipliers_of_their_own() -> None:
    accuracy = BY_NAME["accuracy"]
    y, p = np.array([1, 1, 0] * 20), np.tile([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]], (20, 1))
    moved = np.array([1.0, 3.0])
    found = paired_difference(accuracy, y, p, p, seed=1, multipliers_a=moved)
    assert found.mean == pytest.approx(2 / 3)
