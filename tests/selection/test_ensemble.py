"""Blends: known answers, bounds, and a guard against noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.metrics.pointwise import Metric
from promise.selection.ensemble import MEMBERS, blended, choose_blend, greedy_weights

R2 = Metric("r2", greater_is_better=True, kind="number")
ACCURACY = Metric("accuracy", greater_is_better=True, kind="decision")


def test_opposite_errors_cancel() -> None:
    y = np.linspace(0, 1, 400)
    wave = np.where(np.arange(400) % 3 == 0, 1.0, -1.0)
    weights = greedy_weights([y + wave, y - wave, y + 3.0], y, R2)
    assert weights == pytest.approx([0.5, 0.5, 0.0])


def test_blend_of_independent_errors_wins() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=600)
    choice = choose_blend([y + rng.normal(size=600) for _ in range(4)], y, R2, seed=1)
    assert choice.wins
    assert choice.weights.sum() == pytest.approx(1.0)


def test_a_perfect_single_model_is_not_blended() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(size=300)
    choice = choose_blend([y, y + rng.normal(size=300)], y, R2, seed=1)
    assert not choice.wins


def test_latency_keeps_the_slow_out() -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(size=300)
    outputs = [y + rng.normal(size=300) for _ in range(3)]
    costs = np.array([1.0, 1.0, 50.0])
    weights = greedy_weights(outputs, y, R2, costs=costs, cost_limit=10.0)
    assert costs[weights > 0].sum() <= 10.0


@given(st.integers(1, 12), st.integers(0, 2**16))
@settings(max_examples=20, deadline=None)
def test_weights_are_a_share_for_few_members(n_models: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, 80)
    outputs = [rng.dirichlet(np.ones(3), 80) for _ in range(n_models)]
    weights = greedy_weights(outputs, y, ACCURACY)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    assert 1 <= (weights > 0).sum() <= MEMBERS
    assert blended(outputs, weights).sum(axis=1) == pytest.approx(np.ones(80))
