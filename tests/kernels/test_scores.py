"""Scores equal scikit-learn's where it has them; decisions follow multipliers."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from promise.kernels import scores


def classified(n: int, k: int, seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    """Make codes and probabilities that know something about them; with ties, few values."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k)) + 1.5 * (y[:, None] == np.arange(k))
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    if ties:
        p = np.round(p, 1) + 1e-3
        p /= p.sum(axis=1, keepdims=True)
    return y, p


BINARY = {
    "accuracy": lambda y, p: sk.accuracy_score(y, p.argmax(1)),
    "balanced_accuracy": lambda y, p: sk.balanced_accuracy_score(y, p.argmax(1)),
    "f1_macro": lambda y, p: sk.f1_score(y, p.argmax(1), average="macro"),
    "f1": lambda y, p: sk.f1_score(y, p.argmax(1)),
    "matthews": lambda y, p: sk.matthews_corrcoef(y, p.argmax(1)),
    "roc_auc": lambda y, p: sk.roc_auc_score(y, p[:, 1]),
    "average_precision": lambda y, p: sk.average_precision_score(y, p[:, 1]),
    "log_loss": lambda y, p: sk.log_loss(y, p, labels=[0, 1]),
    "brier": lambda y, p: sk.brier_score_loss(y, p[:, 1]),
}
MULTICLASS = {
    **{name: BINARY[name] for name in ("accuracy", "balanced_accuracy", "f1_macro", "matthews")},
    "roc_auc": lambda y, p: sk.roc_auc_score(y, p, multi_class="ovr", average="macro"),
    "average_precision": lambda y, p: sk.average_precision_score(y, p, average="macro"),
    "log_loss": lambda y, p: sk.log_loss(y, p, labels=range(p.shape[1])),
    "brier": lambda y, p: sk.brier_score_loss(y, p, labels=range(p.shape[1])),
}
NUMBERS = {
    "r2": sk.r2_score,
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
    "mape": sk.mean_absolute_percentage_error,
    "rmsle": sk.root_mean_squared_log_error,
    "median_absolute_error": sk.median_absolute_error,
}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", BINARY)
def test_binary_scores_equal_scikit_learn(name: str, ties: bool) -> None:
    y, p = classified(400, 2, 3, ties)
    assert scores.score(name, y, p) == pytest.approx(BINARY[name](y, p), abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", MULTICLASS)
def test_multiclass_scores_equal_scikit_learn(name: str, ties: bool) -> None:
    y, p = classified(400, 5, 4, ties)
    assert scores.score(name, y, p) == pytest.approx(MULTICLASS[name](y, p), abs=1e-12)


@pytest.mark.parametrize("name", NUMBERS)
def test_number_scores_equal_scikit_learn(name: str) -> None:
    rng = np.random.default_rng(5)
    y = rng.gamma(2.0, size=301)
    p = y * rng.gamma(20, 1 / 20, size=301)
    assert scores.score(name, y, p) == pytest.approx(NUMBERS[name](y, p), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=30),
    st.sampled_from(["accuracy", "balanced_accuracy", "f1_macro", "matthews"]),
)
def test_decided_scores_equal_scikit_learn_on_any_codes(
    pairs: list[tuple[int, int]], name: str
) -> None:
    y, said = np.array(pairs).T
    with warnings.catch_warnings():  # scikit-learn warns of codes that only one side has
        warnings.simplefilter("ignore")
        expected = MULTICLASS[name](y, np.eye(5)[said])
    assert scores.score(name, y, np.eye(5)[said]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "f1_macro", "f1", "matthews"])
def test_counted_pairs_score_like_repeated_rows(name: str) -> None:
    rng = np.random.default_rng(1)
    y, said = rng.integers(0, 2, (2, 40))
    counts = rng.integers(0, 4, (5, 40))
    fast = scores.decided_scores(name, y, said, counts.astype(float))
    slow = [scores.score_decided(name, np.repeat(y, c), np.repeat(said, c)) for c in counts]
    np.testing.assert_allclose(fast, slow, atol=1e-12)


def test_decisions_follow_multipliers_and_probability_scores_do_not() -> None:
    y, p = np.array([1, 1, 0]), np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    assert scores.decide(p).tolist() == [0, 0, 0]
    moved = np.array([1.0, 3.0])
    assert scores.score("accuracy", y, p) == pytest.approx(1 / 3)
    assert scores.score("accuracy", y, p, moved) == 1.0
    assert scores.score("log_loss", y, p, moved) == scores.score("log_loss", y, p)


def test_ece_of_a_known_table() -> None:
    # Confidence 0.8 in both rows, one of them right: the gap is 0.3.
    p = np.array([[0.8, 0.2], [0.8, 0.2]])
    assert scores.score("ece", np.array([0, 1]), p) == pytest.approx(0.3)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_one_class_leaves_ranking_scores_undefined(name: str) -> None:
    assert math.isnan(scores.score(name, np.zeros(4, int), np.full((4, 2), 0.5)))


def test_constant_target_and_single_row_follow_scikit_learn() -> None:
    ones = np.ones(3)
    assert scores.score("r2", ones, ones) == sk.r2_score(ones, ones) == 1.0
    assert scores.score("r2", ones, ones + 1) == sk.r2_score(ones, ones + 1) == 0.0
    assert math.isnan(scores.score("r2", ones[:1], ones[:1]))
    assert math.isnan(scores.score("rmsle", -ones, ones))
    assert math.isnan(scores.score("mae", ones[:0], ones[:0]))


def test_a_constant_output_has_an_auc_of_one_half() -> None:
    y = np.array([0, 1, 1, 0, 1])
    assert scores.score("roc_auc", y, np.full((5, 2), 0.5)) == 0.5
    lowest_holds_a_hit = np.array([0.9, 0.1, 0.1, 0.1, 0.8])
    output = np.column_stack([1 - lowest_holds_a_hit, lowest_holds_a_hit])
    assert scores.score("roc_auc", y, output) == sk.roc_auc_score(y, lowest_holds_a_hit)
