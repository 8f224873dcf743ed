"""Two concurrent shares: looked at all the time, wrong seldom; worse ones are told soon."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.metrics.comparison import compare_shares
from promise.metrics.sequential import log_e_above

ARM = st.integers(0, 4000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


def ever_worse(rng: np.random.Generator, rates: tuple[float, float], dealt: float, n: int) -> float:
    """Return how often the first arm is ever called worse, looking at every bad request."""
    wrong = 0
    for _ in range(200):
        first = rng.random(n) < dealt
        trouble = np.where(np.arange(n) > n // 2, 3.0, 1.0)  # common: both arms fail more
        bad = rng.random(n) < np.where(first, *rates) * trouble
        n1, k1, k = first.cumsum(), (first & bad).cumsum(), bad.cumsum()
        at = np.flatnonzero(bad & (n1 > 0) & (n1 < np.arange(1, n + 1)))[::3]
        wrong += any(log_e_above(k[i], k1[i], float(n1[i] / (i + 1))) >= math.log(40) for i in at)
    return wrong / 200


@pytest.mark.slow
def test_common_trouble_blames_nobody() -> None:
    rng = np.random.default_rng(2)
    assert ever_worse(rng, (0.02, 0.02), 0.1, 5000) <= 0.025
    assert ever_worse(rng, (0.2, 0.2), 0.5, 1000) <= 0.025


def test_a_worse_canary_is_told_from_its_stable() -> None:
    assert ever_worse(np.random.default_rng(2), (0.06, 0.01), 0.1, 5000) > 0.95


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(ARM, ARM)
def test_the_comparison_is_consistent(canary: tuple[int, int], stable: tuple[int, int]) -> None:
    found = compare_shares(canary, stable)
    assert -1 <= found.low <= found.high <= 1
    assert not (found.worse and found.better)
    if found.difference is not None:
        assert found.low - 1e-9 <= found.difference <= found.high + 1e-9
        assert (found.low > 0) <= (found.difference > 0)
    turned = compare_shares(stable, canary)
    assert (turned.worse, turned.better) == (found.better, found.worse)


@pytest.mark.slow
def test_the_interval_holds_the_true_difference() -> None:
    rng, missed = np.random.default_rng(4), 0
    for _ in range(300):
        n1, n2 = 800, 3000
        found = compare_shares((n1, rng.binomial(n1, 0.08)), (n2, rng.binomial(n2, 0.03)))
        missed += not found.low <= 0.05 <= found.high
        missed += not found.ratio_low <= 0.08 / 0.03 <= found.ratio_high
    assert missed <= 15


def test_an_arm_without_requests_is_not_compared() -> None:
    found = compare_shares((0, 0), (100, 1))
    assert (found.difference, found.worse, found.better) == (None, False, False)
    assert found.to_json()["ratio_high"] is None
