"""Bets against a share are fair while it holds, exactly; intervals agree with the bets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binom

from promise.metrics import sequential
from promise.metrics.sequential import (
    fixed_sample,
    log_e_above,
    log_e_below,
    requests_to_break,
    requests_to_keep,
    share_interval,
)

COUNTS = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
SHARES = st.floats(0.001, 0.9)


def slow_log_e(n: int, k: int, share: float, sign: int) -> float:
    """Average the likelihood ratios one by one."""
    weights = np.exp(sequential._LOG_WEIGHTS)
    total = 0.0
    for step, weight in zip(sequential._STEPS, weights, strict=True):
        q = float(expit(logit(share) + sign * step))
        total += weight * (q / share) ** k * ((1 - q) / (1 - share)) ** (n - k)
    return math.log(total)


@pytest.mark.parametrize(("n", "k"), [(1, 0), (1, 1), (40, 0), (40, 40), (200, 9)])
@pytest.mark.parametrize("share", [0.01, 0.5])
def test_evidence_is_the_average_of_likelihood_ratios(n: int, k: int, share: float) -> None:
    assert log_e_above(n, k, share) == pytest.approx(slow_log_e(n, k, share, 1), abs=1e-9)
    assert log_e_below(n, k, share) == pytest.approx(slow_log_e(n, k, share, -1), abs=1e-9)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5])
@pytest.mark.parametrize("n", [1, 7, 100, 1000])
def test_a_bet_is_fair_at_the_bound_and_loses_on_the_kept_side(n: int, share: float) -> None:
    k = np.arange(n + 1)
    above, below = log_e_above(n, k, share), log_e_below(n, k, share)

    def mean(true: float, log_e: np.ndarray) -> float:
        return float(np.exp(binom.logpmf(k, n, true) + log_e).sum())

    assert mean(share, above) == pytest.approx(1, abs=1e-6)
    assert mean(share, below) == pytest.approx(1, abs=1e-6)
    assert mean(share * 0.7, above) <= 1 + 1e-9
    assert mean(share * 1.4, below) <= 1 + 1e-9


@settings(max_examples=60, deadline=None)
@given(COUNTS, SHARES)
def test_the_interval_says_what_the_evidence_says(counts: tuple[int, int], share: float) -> None:
    n, k = counts
    low, high = share_interval(n, k, alpha_low=0.01, alpha_high=0.05)
    assert 0 <= low <= k / n <= high <= 1
    if abs(low - share) > 1e-6:
        assert (low > share) == bool(log_e_above(n, k, share) >= -math.log(0.01))
    if abs(high - share) > 1e-6:
        assert (high < share) == bool(log_e_below(n, k, share) >= -math.log(0.05))


@settings(max_examples=40, deadline=None)
@given(COUNTS, SHARES)
def test_a_bad_request_never_speaks_for_the_model(counts: tuple[int, int], share: float) -> None:
    n, k = counts
    assert log_e_above(n + 1, k + 1, share) >= log_e_above(n, k, share) - 1e-9
    assert log_e_below(n + 1, k, share) >= log_e_below(n, k, share) - 1e-9


def looked_at(rng: np.random.Generator, share: float, n: int, runs: int) -> np.ndarray:
    """Return the first of `n` looks, one a request, that says above 1 %; infinite for none."""
    found = np.full(runs, np.inf)
    for run in range(runs):
        at = np.flatnonzero(rng.random(n) < share) + 1  # evidence rises at bad requests alone
        over = log_e_above(at, np.arange(1, len(at) + 1), 0.01) >= math.log(100)
        found[run] = at[over.argmax()] if over.any() else np.inf
    return found


def test_looking_at_every_request_seldom_accuses_a_model_that_keeps_its_promise() -> None:
    rng = np.random.default_rng(11)
    assert np.isfinite(looked_at(rng, 0.01, 20_000, 400)).mean() <= 0.02
    assert np.isfinite(looked_at(rng, 0.005, 20_000, 400)).mean() <= 0.0025


@pytest.mark.parametrize(
    ("share", "low", "high"), [(0.02, 1100, 1700), (0.05, 105, 155), (0.1, 28, 45), (1.0, 2, 2)]
)
def test_bad_models_are_caught_as_early_as_measured(share: float, low: int, high: int) -> None:
    found = looked_at(np.random.default_rng(5), share, min(8000, round(200 / share)), 300)
    assert low <= np.median(found) <= high


def test_what_is_needed_is_the_first_count_that_suffices() -> None:
    keep, broke = requests_to_keep(0.01, 0.0), requests_to_break(0.01, 0.05)
    assert keep is not None
    assert broke is not None
    assert log_e_below(keep, 0, 0.01) >= math.log(20) > log_e_below(keep - 1, 0, 0.01)
    assert log_e_above(broke, broke * 0.05, 0.01) >= math.log(100)
    assert 299 < keep < 420


def test_fixed_samples_have_their_textbook_sizes() -> None:
    assert fixed_sample(0.01, 0.0) == 299
    assert [fixed_sample(0.25, 1 - a) for a in (0.80, 0.78, 0.77)] == [203, 564, 1269]
    assert fixed_sample(0.25, 0.25) is None
    # beside them, the price of looking at every label
    assert [requests_to_keep(0.25, 1 - a) for a in (0.80, 0.78, 0.77)] == [871, 2458, 6517]


def test_a_share_that_is_never_settled_needs_no_number() -> None:
    assert requests_to_keep(0.01, 0.01) is None
    assert requests_to_break(0.01, 0.01) is None
    assert requests_to_keep(0.5, 0.49999) is None
