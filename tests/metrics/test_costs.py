"""Costs of decisions: hand-computed tables, exact searches against all pairs, capacity kept."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.errors import ConfigError, DataError
from promise.metrics.costs import (
    APPROVE,
    DECLINE,
    NEVER,
    REVIEW,
    Costs,
    Cuts,
    cheapest_actions,
    cheapest_cuts,
    outcome,
    review_price,
    reviews_allowed,
)

money = st.floats(0, 50)
costs = st.builds(
    Costs,
    loss_share=st.floats(0, 2),
    loss_fixed=money,
    review=money,
    review_misses=st.floats(0, 1),
    decline_share=st.floats(0, 1),
    decline_fixed=money,
)


@st.composite
def blocks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Draw scores, often tied, and amounts."""
    n = draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    score = rng.beta(0.5, 2.0, n)
    if draw(st.booleans()):
        score = np.round(score, 1)
    return score, rng.lognormal(3.0, 1.5, n)


def _cost(actions: np.ndarray, table: np.ndarray) -> float:
    return float(table[np.arange(len(actions)), actions].sum())


def test_costs_by_hand() -> None:
    """Each action's cost for a fraud and for a good row."""
    table = Costs(0.9, 15.0, 4.0, 0.1, 0.02, 8.0).expected(
        np.array([1.0, 0.0, 1.0]), np.array([100.0, 100.0, -30.0])
    )
    assert np.allclose(table, [[105.0, 14.5, 0.0], [0.0, 4.0, 10.0], [15.0, 5.5, 0.0]])


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(blocks(), costs, st.integers(0, 30))
def test_cuts_equal_the_best_of_all_pairs(block, costs: Costs, allowed: int) -> None:
    """The sliding minimum finds what trying every pair of thresholds finds."""
    score, amount = block
    found = cheapest_cuts(score, amount, costs, capacity_per_day=allowed)
    table = costs.expected(score, amount)
    edges = [0.0, *np.unique(score), NEVER]
    pairs = [Cuts(a, b).actions(score) for a in edges for b in edges if a <= b]
    best = min(_cost(p, table) for p in pairs if (p == REVIEW).sum() <= allowed)
    actions = found.actions(score)
    assert (actions == REVIEW).sum() <= allowed
    assert _cost(actions, table) == pytest.approx(best, rel=1e-9, abs=1e-7)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(blocks(), costs, st.integers(0, 30), st.floats(0, 1), st.floats(0, 1))
def test_never_worse_than_fixed_thresholds(
    block, costs: Costs, allowed: int, low: float, high: float
) -> None:
    """On their block, chosen policies cost no more than any fixed pair that keeps the capacity."""
    score, amount = block
    table = costs.expected(score, amount)
    fixed = Cuts(min(low, high), max(low, high)).actions(score)
    if (fixed == REVIEW).sum() > allowed:
        return
    cuts = cheapest_cuts(score, amount, costs, capacity_per_day=allowed)
    assert _cost(cuts.actions(score), table) <= _cost(fixed, table) + 1e-7
    price = review_price(score, amount, costs, capacity_per_day=allowed)
    chosen = cheapest_actions(table, price)
    worth = np.minimum(table[:, APPROVE], table[:, DECLINE]) - table[:, REVIEW]
    tied = int((np.abs(worth - price) <= 1e-9).sum()) - 1 if price > 0 else 0
    assert (chosen == REVIEW).sum() <= allowed
    assert _cost(chosen, table) <= _cost(fixed, table) + 1e-7 + tied * price


@settings(max_examples=50, deadline=None)
@given(blocks(), costs, st.floats(0, 12), st.floats(0.5, 10))
def test_capacity_is_never_exceeded(block, costs: Costs, capacity: float, days: float) -> None:
    """Mean reviews per day stay at or under the capacity, by thresholds and by price."""
    score, amount = block
    terms = {"days": days, "capacity_per_day": capacity}
    cuts = cheapest_cuts(score, amount, costs, **terms)
    table = costs.expected(score, amount)
    priced = cheapest_actions(table, review_price(score, amount, costs, **terms))
    for actions in (cuts.actions(score), priced):
        assert (actions == REVIEW).sum() / days <= capacity + 1e-9


def test_amounts_matter_to_costs_alone() -> None:
    """Of two rows with the same chance, the dear one is reviewed and the cheap one passes."""
    table = Costs(review=5.0, decline_fixed=30.0).expected(
        np.array([0.1, 0.1, 0.9]), np.array([10.0, 500.0, 500.0])
    )
    assert cheapest_actions(table).tolist() == [APPROVE, REVIEW, DECLINE]


def test_scarce_reviews_go_where_they_save_most() -> None:
    """With room for one review a day, the price is what the second best would save."""
    score, amount = np.full(4, 0.5), np.array([10.0, 40.0, 20.0, 30.0])
    costs = Costs(review=1.0, decline_fixed=100.0)
    price = review_price(score, amount, costs, days=2.0, capacity_per_day=1.0)
    assert price == pytest.approx(0.5 * 20.0 - 1.0)
    actions = cheapest_actions(costs.expected(score, amount), price)
    assert actions.tolist() == [APPROVE, REVIEW, APPROVE, REVIEW]
    assert review_price(score, amount, costs) == 0.0


def test_outcome_counts_money_reviews_and_frauds() -> None:
    """Ten rows, two frauds: one reviewed, one approved, one good row declined."""
    y = np.array([1, 1] + [0] * 8)
    actions = np.array([REVIEW, APPROVE, DECLINE] + [APPROVE] * 7)
    found = outcome(actions, y, np.full(10, 100.0), Costs(review=5.0, decline_fixed=20.0), 2.0)
    assert found.cost == 5.0 + 100.0 + 20.0
    assert found.saved == 200.0 - 125.0
    assert (found.caught, found.reviews_per_day, found.declined_good) == (0.5, 0.5, 0.125)
    assert found.review_reduction == pytest.approx(1 - 1 / 5)
    nothing = outcome(np.zeros(2, int), np.zeros(2, int), np.ones(2), Costs(), 1.0)
    assert math.isnan(nothing.caught)
    assert math.isnan(nothing.review_reduction)


def test_refuses_what_has_no_price() -> None:
    """Negative costs, shares above one, empty blocks and missing amounts are refused in words."""
    with pytest.raises(ConfigError, match="review must be"):
        Costs(review=-1.0)
    with pytest.raises(ConfigError, match="review_misses"):
        Costs(review_misses=1.5)
    with pytest.raises(ConfigError, match="rise from 0"):
        Cuts(0.7, 0.2)
    with pytest.raises(ConfigError, match="capacity"):
        reviews_allowed(-1.0, 1.0, 5)
    with pytest.raises(DataError, match="1 missing"):
        cheapest_cuts(np.array([0.1]), np.array([np.nan]), Costs())
    with pytest.raises(DataError, match="0 rows"):
        review_price(np.array([]), np.array([]), Costs())
