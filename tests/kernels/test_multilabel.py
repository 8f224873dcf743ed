"""Scores of several labels beside scikit-learn's, and how label cells are read."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from promise.data.answer import Labels
from promise.kernels.multilabel import coded, decided, label_sets, members
from promise.metrics.intervals import bootstrap_interval, paired_difference
from promise.metrics.pointwise import all_metrics, metric_named
from promise.metrics.tails import resampled_ends

RNG = np.random.default_rng(3)
TRUTH = RNG.random((60, 4)) < np.array([0.5, 0.3, 0.2, 0.1])
OUTPUT = np.clip(0.6 * TRUTH + 0.5 * RNG.random((60, 4)), 0, 1)
ANSWER = Labels(("a", "b", "c", "d"))


def test_scores_are_scikit_learns() -> None:
    y, said = coded(TRUTH), OUTPUT >= 0.5
    found = all_metrics(ANSWER, y, OUTPUT)
    assert found["f1_macro"] == pytest.approx(f1_score(TRUTH, said, average="macro"))
    assert found["f1_micro"] == pytest.approx(f1_score(TRUTH, said, average="micro"))
    assert found["subset_accuracy"] == pytest.approx((said == TRUTH).all(axis=1).mean())
    expected = average_precision_score(TRUTH, OUTPUT, average="macro")
    assert found["average_precision"] == pytest.approx(expected)


def test_multipliers_move_thresholds() -> None:
    assert np.array_equal(decided(OUTPUT, [0.5 / 0.8] * 4), np.greater_equal(OUTPUT, 0.8))
    assert (members(coded(TRUTH), 4) == TRUTH).all()


def test_intervals_hold_the_score() -> None:
    y = coded(TRUTH)
    for name in ("f1_macro", "f1_micro", "subset_accuracy", "average_precision"):
        metric = metric_named(name, ANSWER)
        low, high = bootstrap_interval(metric, y, OUTPUT, seed=1, n=200)
        assert low <= metric.score(y, OUTPUT) <= high
        low, high = resampled_ends(
            metric, y, OUTPUT, alpha_low=0.05, alpha_high=0.05, seed=1, n=200
        )
        assert low <= metric.score(y, OUTPUT) <= high
    metric = metric_named("f1_micro", ANSWER)
    assert paired_difference(metric, y, OUTPUT, OUTPUT, seed=1, n=100).tie


def test_cells_are_lists_joined_texts_or_json() -> None:
    cells = ["a;b ; a", ["b", None], '["c"]', "[sic]", "", None]
    assert label_sets(cells) == [("a", "b"), ("b",), ("c",), ("[sic]",), (), ()]
