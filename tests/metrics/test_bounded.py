"""Betting on a mean is fair at the bound, and its interval holds the mean at every look."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from promise.metrics.bounded import log_e_mean_above, log_e_mean_below, mean_interval


@pytest.mark.parametrize("mean", [0.1, 0.5, 0.75])
def test_a_bet_on_zeros_and_ones_is_fair_at_the_bound(mean: float) -> None:
    n = 60
    chances = binom.pmf(np.arange(n + 1), n, mean)
    rows = [np.repeat([1.0, 0.0], [k, n - k]) for k in range(n + 1)]
    for evidence in (log_e_mean_above, log_e_mean_below):
        capital = np.exp([evidence(row, mean) for row in rows])
        assert (chances * capital).sum() == pytest.approx(1, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=300), st.randoms())
def test_the_order_of_rows_does_not_matter(values: list[float], random: object) -> None:
    x = np.array(values)
    low, high = mean_interval(x)
    assert 0 <= low <= x.mean() + 1e-3
    assert x.mean() - 1e-3 <= high <= 1
    random.shuffle(values)  # type: ignore[attr-defined]
    assert mean_interval(np.array(values)) == pytest.approx((low, high))


def test_looking_often_does_not_refute_the_truth() -> None:
    rng, wrong = np.random.default_rng(6), 0
    for _ in range(150):
        x = rng.beta(0.5, 2.0, 1500)
        wrong += any(log_e_mean_above(x[:n], 0.2) >= math.log(20) for n in range(10, 1500, 60))
    assert wrong <= 150 * 0.05 + 4


def test_small_spread_is_rewarded() -> None:
    """Bets learn from the variance, which bounds for shares alone cannot."""
    narrow = mean_interval(np.random.default_rng(1).uniform(0.18, 0.22, 400))
    wide = mean_interval(np.random.default_rng(1).integers(0, 5, 400) == 0)
    assert narrow[1] - narrow[0] < 0.4 * (wide[1] - wide[0])
