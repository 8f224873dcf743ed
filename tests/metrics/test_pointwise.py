"""Metrics by name: what fits which answer, and what is shown."""

from __future__ import annotations

import numpy as np
import pytest

from promise.data.answer import Class, Decision, Number, Ranking
from promise.errors import ConfigError
from promise.metrics.intervals import bootstrap_interval
from promise.metrics.pointwise import (
    all_metrics,
    default_metric,
    metric_named,
    metrics_for,
)

TWO, THREE = Class(("no", "yes")), Class(("a", "b", "c"))


def test_defaults_are_r2_and_accuracy() -> None:
    assert default_metric(Number()).name == "r2"
    assert default_metric(THREE).name == "accuracy"


def test_a_misspelt_metric_names_near_matches() -> None:
    with pytest.raises(ConfigError, match="did you mean 'roc_auc'"):
        metric_named("roc_acu", TWO)


@pytest.mark.parametrize(
    ("name", "answer", "told"),
    [("f1", THREE, "3 classes"), ("r2", TWO, "2 classes"), ("accuracy", Number(), "a number")],
)
def test_a_metric_that_does_not_fit_is_refused(name: str, answer: object, told: str) -> None:
    with pytest.raises(ConfigError, match=f"does not fit an answer of {told}"):
        metric_named(name, answer)


def test_lists_are_scored_by_what_each_request_found() -> None:
    assert default_metric(Ranking()).name == "recall_at_20"
    with pytest.raises(ConfigError, match="does not fit an answer of lists"):
        metric_named("accuracy", Ranking())


def test_utility_is_larger_for_the_better_output() -> None:
    y = np.array([1.0, 2.0, 4.0])
    for name in ("r2", "rmse", "mae", "mape", "rmsle", "median_absolute_error"):
        metric = metric_named(name, Number())
        assert metric.utility(y, y * 1.01) > metric.utility(y, y * 1.5)


def test_all_metrics_leave_out_what_one_class_cannot_define() -> None:
    one = all_metrics(TWO, np.zeros(5, int), np.tile([0.9, 0.1], (5, 1)))
    assert "roc_auc" not in one
    assert "average_precision" not in one
    assert one["accuracy"] == 1.0
    assert "f1" in one
    assert "f1" not in all_metrics(THREE, np.array([0, 1, 2]), np.eye(3))


def test_the_calibration_error_of_the_rare_outcome_is_a_metric_of_decisions() -> None:
    y, chance = np.array([0, 0, 1, 0]), np.array([0.1, 0.2, 0.9, 0.3])
    output = np.stack([1 - chance, chance], axis=1)
    metric = metric_named("positive_calibration_error", Decision())
    # 0.1 and 0.2 lie in bins of their own, as do 0.3 and 0.9
    assert metric.score(y, output) == pytest.approx((0.1 + 0.2 + 0.1 + 0.3) / 4)
    assert metric not in metrics_for(Class(("no", "yes")))
    low, high = bootstrap_interval(metric, np.tile(y, 50), np.tile(output, (50, 1)), seed=7, n=200)
    assert 0 <= low <= metric.score(y, output) <= high
