"""Looks share out the error, and resampled ends reach as far as their chance asks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promise.metrics.looks import FIRST_LOOK, Look
from promise.metrics.pointwise import METRICS
from promise.metrics.tails import resampled_ends

BY_NAME = {metric.name: metric for metric in METRICS}


@given(st.integers(0, 10**7))
def test_a_look_is_reached_once_and_stands_until_it_doubles(n: int) -> None:
    look = Look.reached(n)
    assert look.rows <= n < look.following
    assert look.following in (2 * look.rows, FIRST_LOOK)


def test_rarer_errors_lie_further_out() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=400)
    output = y + rng.normal(size=400)
    ends = [
        resampled_ends(BY_NAME["rmse"], y, output, alpha_low=a, alpha_high=a, seed=7)
        for a in (0.1, 0.02, 0.001, 0.00001)
    ]
    lows, highs = zip(*ends, strict=True)
    assert list(lows) == sorted(lows, reverse=True)
    assert list(highs) == sorted(highs)
    # a root mean square of 400 normal errors has a standard deviation of 1 / sqrt(800)
    assert (highs[2] - lows[2]) / 2 == pytest.approx(3.09 / np.sqrt(800), rel=0.25)


def test_decisions_without_an_error_still_have_a_lower_end() -> None:
    y = np.array([0, 1] * 50)
    output = np.eye(2)[y]
    low, high = resampled_ends(
        BY_NAME["f1_macro"], y, output, alpha_low=0.05, alpha_high=0.05, seed=7
    )
    # what the exact binomial bound of a hundred rows without an error says, too
    assert low == pytest.approx(0.05 ** (1 / 100), abs=0.005)
    assert high == 1.0


@pytest.mark.slow
def test_the_two_ends_err_as_seldom_as_promised() -> None:
    rng, low_wrong, high_wrong, runs = np.random.default_rng(9), 0, 0, 200
    for _ in range(runs):
        y = rng.exponential(size=200)
        low, high = resampled_ends(
            BY_NAME["mae"], y, np.zeros(200), alpha_low=0.01, alpha_high=0.05, seed=7
        )
        low_wrong += low > 1
        high_wrong += high < 1
    assert low_wrong <= 6
    assert high_wrong <= 22
