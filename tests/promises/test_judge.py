"""Verdicts: KEPT and BROKEN only where proven, UNKNOWN with the way out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.data.answer import Class, Number, Ranking
from promise.errors import ConfigError
from promise.metrics.drift import SCORE, count_bins
from promise.metrics.pointwise import metric_named
from promise.promises.judge import (
    judge_drift,
    judge_fairness,
    judge_level,
    judge_live_share,
    judge_metric,
    judge_psi,
    judge_share,
)
from promise.promises.spec import Promise
from promise.promises.verdict import Verdict

ERRORS = Promise("errors", "request_errors", at_most=0.01, warn=0.002, on_break=("rollback",))
SPEED = Promise("speed", "latency_p99", at_most=12.0)
QUALITY = Promise("quality", "accuracy", at_least=0.75)
DRIFT = Promise("drift", "psi", at_most=0.1)
BINARY = Class(("no", "yes"))


def labelled(right: int, wrong: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities, of which so many decide right and wrong, shuffled."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, right + wrong)
    decided = np.where(rng.permutation(right + wrong) < right, y, 1 - y)
    return y, np.where(decided[:, None] == [0, 1], 0.8, 0.2)


# shares of requests


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 4000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_a_share_is_judged_by_its_interval(counts: tuple[int, int]) -> None:
    n, k = counts
    judged = judge_share(ERRORS, n, k)
    if n == 0:
        assert judged.status == "UNKNOWN"
        return
    assert judged.measured == k / n
    assert judged.low is not None
    assert judged.high is not None
    if judged.status == "BROKEN":
        assert judged.low >= 0.01 - 1e-6
    if judged.status == "KEPT":
        assert judged.high <= 0.01 + 1e-6
    if judged.status == "UNKNOWN":
        assert judged.low <= 0.01 + 1e-6
        assert judged.high >= 0.01 - 1e-6
    assert not judged.shared


def test_no_error_in_a_few_requests_is_not_yet_kept() -> None:
    few = judge_share(ERRORS, 299, 0)
    assert few.status == "UNKNOWN"
    assert few.needed is not None
    assert judge_share(ERRORS, 299 + few.needed, 0).status == "KEPT"
    assert "more requests will tell" in few.reason


def test_a_model_that_only_fails_is_caught_at_the_second_request() -> None:
    assert judge_share(ERRORS, 1, 1).status == "UNKNOWN"
    assert judge_share(ERRORS, 2, 2).status == "BROKEN"


def test_a_latency_counts_answers_above_its_bound() -> None:
    judged = judge_share(SPEED, 5000, 10)
    assert (judged.status, judged.tolerated, judged.bound) == ("KEPT", 0.01, 12.0)
    assert "10 of 5,000 answers took longer than 12 ms" in judged.reason
    assert judge_share(Promise("half", "latency_p50", at_most=3.0), 5000, 2000).status == "KEPT"
    near = Promise("speed", "latency_p99", at_most=12.0, warn=10.0)
    assert judge_share(near, 1000, 1, k_warn=60).warns
    assert not judge_share(near, 1000, 1, k_warn=5).warns
    # sixty of a hundred that were counted are many, whatever was not counted for it
    assert judge_share(near, 100_000, 1, k_warn=60, n_warn=100).warns
    assert not judge_share(near, 100_000, 1, k_warn=60).warns
    assert judge_live_share(near, [(1000, 0)] * 9, warned=[(1000, 60)] * 9).warns
    assert not judge_live_share(near, [(1000, 0)] * 9, warned=[(1000, 4)] * 9).warns


def test_the_warning_comes_before_the_break() -> None:
    judged = judge_share(ERRORS, 5000, 25)
    assert (judged.status, judged.warns) == ("KEPT", True)
    assert not judge_share(ERRORS, 5000, 5).warns


@pytest.mark.parametrize(
    ("stable", "shared"),
    [
        (None, False),
        ((9000, 40), False),
        ((9000, 900), True),
        ((9000, 200), False),
        ((0, 0), False),
    ],
)
def test_trouble_that_the_stable_version_shares_is_not_the_candidates(
    stable: tuple[int, int] | None, shared: bool
) -> None:
    judged = judge_share(ERRORS, 1000, 100, stable=stable)
    assert judged.status == "BROKEN"
    assert judged.shared is shared
    assert ("rollback would not help" in judged.reason) is shared


def test_a_share_too_near_to_its_bound_needs_no_number() -> None:
    judged = judge_share(ERRORS, 10_000, 100)
    assert (judged.status, judged.needed) == ("UNKNOWN", None)
    assert "too near" in judged.reason


def test_only_shares_are_judged_as_shares() -> None:
    with pytest.raises(ConfigError, match="'memory' is no share"):
        judge_share(Promise("m", "memory", at_most=5.0), 10, 1)


def test_a_live_version_is_watched_for_change() -> None:
    fine = [(100, int(k)) for k in np.random.default_rng(0).binomial(100, 0.003, 5000)]
    assert judge_live_share(ERRORS, fine).status == "KEPT"
    broken = judge_live_share(ERRORS, fine + [(100, 6)] * 10)
    assert broken.status == "BROKEN"
    assert broken.measured == pytest.approx(0.06, abs=0.01)
    assert judge_live_share(ERRORS, fine + [(100, 6)] * 10 + fine[:100]).status == "KEPT"
    assert judge_live_share(ERRORS, []).status == "UNKNOWN"
    assert judge_live_share(ERRORS, fine[:1]).needed is not None


# metrics of the task


@pytest.mark.parametrize(
    ("right", "n", "status"),
    [(560, 700, "KEPT"), (608, 800, "UNKNOWN"), (480, 800, "BROKEN"), (1, 1, "UNKNOWN")],
)
def test_the_gate_looks_once(right: int, n: int, status: str) -> None:
    judged = judge_metric(QUALITY, BINARY, *labelled(right, n - right), peeking=False)
    assert judged.status == status
    assert judged.n == n
    assert judged.low is not None
    assert judged.high is not None
    assert judged.low <= right / n <= judged.high


def test_the_gate_says_how_many_labels_are_missing() -> None:
    y, output = labelled(231, 69)
    judged = judge_metric(QUALITY, BINARY, y, output, peeking=False)
    assert judged.status == "UNKNOWN"
    assert judged.needed == 1269 - 300
    assert "about 969 more labels will tell" in judged.reason


def test_labels_that_arrive_one_by_one_are_judged_at_each() -> None:
    y, output = labelled(720, 180)
    statuses = [judge_metric(QUALITY, BINARY, y[:n], output[:n]).status for n in (50, 300, 900)]
    assert statuses[0] == "UNKNOWN"
    assert statuses[-1] == "KEPT"
    worse = judge_metric(QUALITY, BINARY, *labelled(550, 350))
    assert worse.status == "BROKEN"
    assert worse.high is not None
    assert worse.high < 0.75


def test_other_metrics_are_judged_at_planned_looks_only() -> None:
    promise = Promise("rank", "roc_auc", at_least=0.7)
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 1000)
    p = 1 / (1 + np.exp(-(2 * y - 1 + rng.normal(size=1000))))
    output = np.column_stack([1 - p, p])
    first = judge_metric(promise, BINARY, y[:49], output[:49])
    assert (first.status, first.needed) == ("UNKNOWN", 1)
    at_800 = judge_metric(promise, BINARY, y[:800], output[:800])
    assert at_800.n == 800
    assert at_800 == judge_metric(promise, BINARY, y, output)
    assert at_800.status == "KEPT"


@pytest.mark.parametrize(
    "name", ["brier", "log_loss", "ece", "f1", "balanced_accuracy", "matthews"]
)
def test_every_metric_of_classes_is_judged(name: str) -> None:
    y, output = labelled(640, 160, seed=4)
    greater = name in ("f1", "balanced_accuracy", "matthews")
    kept = {"at_least": 0.3} if greater else {"at_most": 0.9}
    broken: dict[str, Any] = {"at_least": 0.95} if greater else {"at_most": 1e-4}
    for peeking in (True, False):
        for bound, status in ((kept, "KEPT"), (broken, "BROKEN")):
            promise = Promise("q", name, **bound)  # type: ignore[arg-type]
            if name == "ece" and status == "BROKEN":
                continue  # these rows are calibrated nearly exactly
            judged = judge_metric(promise, BINARY, y, output, peeking=peeking)
            assert judged.status == status, (name, peeking, judged)


@pytest.mark.parametrize("name", ["rmse", "mae", "r2"])
def test_numbers_are_judged_too(name: str) -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(size=900)
    output = y + 0.3 * rng.normal(size=900)
    bound = {"at_least": 0.8} if name == "r2" else {"at_most": 0.5}
    judged = judge_metric(Promise("q", name, **bound), Number(), y, output)  # type: ignore[arg-type]
    assert (judged.status, judged.n) == ("KEPT", 800)


def test_what_is_undefined_is_unknown_and_says_so() -> None:
    ones = np.ones(60, dtype=int)
    output = np.tile([0.4, 0.6], (60, 1))
    auc = Promise("rank", "roc_auc", at_least=0.7)
    for peeking in (True, False):
        judged = judge_metric(auc, BINARY, ones, output, peeking=peeking)
        assert judged.status == "UNKNOWN"
        assert "undefined" in judged.reason
    unfit = judge_metric(auc, Number(), np.zeros(60), np.zeros(60))
    assert "does not fit" in unfit.reason
    assert judge_metric(auc, Ranking(), ones, output).status == "UNKNOWN"
    assert judge_metric(auc, BINARY, ones[:0], output[:0]).status == "UNKNOWN"


def test_rows_that_hang_together_weigh_less() -> None:
    y, output = labelled(80, 20, seed=3)
    again = np.repeat(y, 8), np.repeat(output, 8, axis=0)
    groups = np.repeat(np.arange(100), 8)
    promise = Promise("quality", "accuracy", at_least=0.75)
    assert judge_metric(promise, BINARY, *again, peeking=False).status == "KEPT"
    honest = judge_metric(promise, BINARY, *again, peeking=False, groups=groups)
    assert honest.status == "UNKNOWN"
    assert judge_metric(promise, BINARY, *again, groups=groups).status == "UNKNOWN"


@pytest.mark.slow
def test_a_good_model_is_seldom_accused_by_a_metric_that_is_looked_at_often() -> None:
    rng, promise, accused = np.random.default_rng(5), Promise("q", "mae", at_most=1.0), 0
    for _ in range(60):
        y = rng.exponential(size=450)
        accused += any(
            judge_metric(promise, Number(), y[:n], np.zeros(n)).status == "BROKEN"
            for n in (60, 120, 240, 450)
        )
    assert accused <= 3


def rare(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of a class of one in ten and scores that tell it half-heartedly."""
    y = (rng.random(n) < 0.1).astype(int)
    p = 1 / (1 + np.exp(2.2 - 1.5 * (y - 0.5) - rng.normal(size=n)))
    return y, np.column_stack([1 - p, p])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["f1", "balanced_accuracy", "roc_auc"])
def test_few_cases_of_a_rare_class_neither_accuse_nor_acquit(name: str) -> None:
    rng, wrong = np.random.default_rng(7), 0
    true = metric_named(name, BINARY).score(*rare(200_000, rng))
    promise = Promise("q", name, at_least=true)
    for _ in range(40):
        y, output = rare(400, rng)
        looks = [judge_metric(promise, BINARY, y[:n], output[:n]) for n in (50, 100, 400)]
        wrong += any(judged.status != "UNKNOWN" for judged in looks)
    assert wrong <= 4
    few = judge_metric(promise, BINARY, y[:50], output[:50])
    assert "from 10 of each class" in few.reason


def test_perfect_order_of_few_rows_is_no_proof() -> None:
    y = np.repeat([0, 1], [40, 12])
    output = np.column_stack([1 - y, y]).astype(float)
    promise = Promise("rank", "roc_auc", at_least=0.99)
    assert judge_metric(promise, BINARY, y, output, peeking=False).status == "UNKNOWN"


@pytest.mark.slow
@pytest.mark.parametrize("peeking", [True, False])
def test_a_calibrated_model_is_not_accused_of_the_noise_in_its_bins(peeking: bool) -> None:
    promise, rng, accused = Promise("q", "ece", at_most=0.05), np.random.default_rng(6), 0
    for _ in range(40):
        p = rng.beta(2, 2, 100)
        y = (rng.random(100) < p).astype(int)
        judged = judge_metric(promise, BINARY, y, np.column_stack([1 - p, p]), peeking=peeking)
        accused += judged.status == "BROKEN"
    assert accused <= 3
    y = (rng.random(1600) < 0.5).astype(int)
    sure = np.tile([0.1, 0.9], (1600, 1))
    assert judge_metric(promise, BINARY, y, sure, peeking=peeking).status == "BROKEN"
    p = rng.beta(2, 2, 6400)
    y = (rng.random(6400) < p).astype(int)
    calibrated = np.column_stack([1 - p, p])
    assert judge_metric(promise, BINARY, y, calibrated, peeking=peeking).status == "KEPT"


# fairness


def people(n: int, rates: tuple[float, float], seed: int = 0) -> tuple[Any, ...]:
    """Return labels, output and sex of people whose group is decided for at these rates."""
    rng = np.random.default_rng(seed)
    sex = np.where(rng.random(n) < 0.5, "f", "m").astype(object)
    yes = rng.random(n) < np.where(sex == "f", *rates)
    return rng.integers(0, 2, n), np.where(yes[:, None] == [False, True], 0.9, 0.1), sex


@pytest.mark.parametrize(
    ("rates", "status"), [((0.5, 0.5), "KEPT"), ((0.6, 0.3), "BROKEN"), ((0.5, 0.41), "UNKNOWN")]
)
@pytest.mark.parametrize("peeking", [True, False])
def test_groups_are_compared(rates: tuple[float, float], status: str, peeking: bool) -> None:
    promise = Promise("fair", "demographic_parity_difference", at_most=0.1, of="sex")
    n = 3200 if status != "UNKNOWN" else 800
    _, output, sex = people(n, rates)
    judged = judge_fairness(promise, BINARY, None, output, sex, peeking=peeking)
    assert judged.status == status, judged
    assert "Furthest apart in 'sex'" in judged.reason
    if status == "UNKNOWN":
        assert judged.needed is not None


def test_a_ratio_is_judged_from_below() -> None:
    promise = Promise("fair", "demographic_parity_ratio", at_least=0.8, of="sex")
    _, output, sex = people(3200, (0.6, 0.3))
    judged = judge_fairness(promise, BINARY, None, output, sex)
    assert judged.status == "BROKEN"
    assert judged.reason.endswith("m behind f.")


def test_small_groups_are_named_and_left_out() -> None:
    promise = Promise("fair", "accuracy_difference", at_most=0.3, of="sex")
    y, output, sex = people(400, (0.5, 0.5))
    sex[:9] = "x"
    judged = judge_fairness(promise, BINARY, y, output, sex, peeking=False)
    assert "under 30 rows: x." in judged.reason
    alone = judge_fairness(promise, BINARY, y, output, np.full(400, "f", dtype=object))
    assert (alone.status, alone.needed) == ("UNKNOWN", 400)


def test_fairness_says_what_it_lacks() -> None:
    promise = Promise("fair", "equal_opportunity_difference", at_most=0.1, of="sex")
    _, output, sex = people(100, (0.5, 0.5))
    assert "needs labels" in judge_fairness(promise, BINARY, None, output, sex).reason
    number = judge_fairness(promise, Number(), np.zeros(100), np.zeros(100), sex)
    assert "this answer is a Number" in number.reason


# drift

BINS = {
    "kind": "number",
    "edges": [float(i) for i in range(1, 10)],
    "rows": 20_000,
    "known": 20_000,
}


def spread(n: int, shift: float, seed: int = 0) -> dict[str, Any]:
    """Count rows that are uniform over the ten bins, moved by a shift."""
    x = np.random.default_rng(seed).uniform(0, 10, n) + shift
    counted: dict[str, Any] = count_bins(BINS, x)
    return counted


def test_drift_is_unknown_until_chance_could_not_make_it() -> None:
    few = judge_psi(DRIFT, BINS, spread(100, 0.0))
    assert (few.status, few.measured is not None) == ("UNKNOWN", True)
    assert few.needed is not None
    assert judge_psi(DRIFT, BINS, spread(100 + few.needed, 0.0)).status == "KEPT"
    assert judge_psi(DRIFT, BINS, spread(2000, 3.0)).status == "BROKEN"


def test_more_features_need_more_rows() -> None:
    one, many = (judge_psi(DRIFT, BINS, spread(100, 0), features=f, looks=10**6) for f in (1, 1000))
    assert one.needed is not None
    assert many.needed is not None
    assert many.needed > one.needed


def test_a_small_reference_never_tells() -> None:
    judged = judge_psi(DRIFT, {**BINS, "rows": 100, "known": 100}, spread(10_000, 0.0))
    assert (judged.status, judged.needed) == ("UNKNOWN", None)
    assert "too few" in judged.reason


def test_false_alarms_of_thirty_features_are_rare() -> None:
    broken = sum(
        judge_psi(DRIFT, BINS, spread(n, 0.0, seed), features=30).status == "BROKEN"
        for seed in range(300)
        for n in (200, 600)
    )
    assert broken == 0


def test_the_worst_feature_stands_for_all() -> None:
    reference: dict[str, Any] = {"age": BINS, "income": BINS, SCORE: [BINS, BINS]}
    fine, moved = spread(3000, 0.0), spread(3000, 3.0)
    kept = judge_drift(DRIFT, reference, {"age": fine, "income": fine, SCORE: [fine, fine]})
    assert kept.status == "KEPT"
    broken = judge_drift(DRIFT, reference, {"age": fine, "income": moved})
    assert broken.status == "BROKEN"
    assert broken.reason.startswith("'income': psi is")
    score = Promise("drift", "psi", at_most=0.1, of="score")
    judged = judge_drift(score, reference, {"income": moved, SCORE: [fine, moved]})
    assert judged.reason.startswith("the score")
    assert judged.status == "BROKEN"
    absent = Promise("drift", "psi", at_most=0.1, of="height")
    assert judge_drift(absent, reference, {}).status == "UNKNOWN"
    assert judge_drift(DRIFT, reference, {}).status == "UNKNOWN"


# levels


def test_levels_are_measured() -> None:
    memory = Promise("size", "memory", at_most=100.0, warn=90.0)
    assert judge_level(memory, [50.0, 95.0, 60.0]).warns
    assert judge_level(memory, [50.0, 105.0]).status == "BROKEN"
    # the first fifth is warm-up
    assert judge_level(memory, [150.0, 50.0, 50.0, 50.0, 50.0]).status == "KEPT"
    flow = Promise("flow", "throughput", at_least=1000.0)
    judged = judge_level(flow, [900.0, 1200.0, 1100.0])
    assert (judged.status, judged.measured) == ("KEPT", 1100.0)
    assert judge_level(flow, [800.0] * 20).status == "BROKEN"
    assert judge_level(flow, [math.nan]).status == "UNKNOWN"
    # of twenty settled samples the sixth smallest and the sixth largest hold the median
    ranked = judge_level(flow, [float(i) for i in range(1, 26)])
    assert (ranked.low, ranked.high) == (11.0, 20.0)


def test_a_verdict_is_ready_for_json() -> None:
    shown = judge_share(ERRORS, 500, 2).to_json()
    assert Verdict(**shown) == judge_share(ERRORS, 500, 2)
