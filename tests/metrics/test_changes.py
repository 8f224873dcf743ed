"""e-CUSUM equals its recursion, notices a rise and a recovery, and sleeps through health."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.metrics import changes
from promise.metrics.changes import THRESHOLD, watch_share
from promise.metrics.sequential import alternatives


def slow_alarm(buckets: list[tuple[int, int]], share: float) -> int | None:
    """Follow max(S, 0) + x bucket by bucket."""
    hit, miss = alternatives(share, upwards=True, steps=changes.STEPS)
    state = np.zeros(len(hit))
    for i, (n, k) in enumerate(buckets):
        state = np.maximum(state, 0) + k * hit + (n - k) * miss
        if np.log(np.exp(state + changes.LOG_WEIGHTS).sum()) >= math.log(THRESHOLD):
            return i
    return None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 60), st.floats(0.0, 0.3))
def test_the_unrolled_sum_alarms_where_the_recursion_does(
    seed: int, healthy: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    bad = np.r_[rng.binomial(30, 0.005, healthy), rng.binomial(30, share, 40)]
    buckets = [(30, int(k)) for k in bad]
    counts = np.asarray(buckets, dtype=np.float64)
    level = math.log(THRESHOLD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "_BLOCK", 7)  # the state is carried from block to block
        found, _, _ = changes._first_alarm(counts, 0.01, upwards=True, level=level)
    assert found == slow_alarm(buckets, 0.01)


def test_a_rise_after_long_health_is_noticed_and_counted_from_its_beginning() -> None:
    rng = np.random.default_rng(3)
    fine = [(100, int(k)) for k in rng.binomial(100, 0.005, 20_000)]
    waits = []
    for _ in range(40):
        worse = [(10, int(k)) for k in rng.binomial(10, 0.05, 300)]
        waits.append(
            next(i for i in range(300) if watch_share(fine[-50:] + worse[:i], 0.01).alarmed)
        )
    assert 200 <= 10 * np.median(waits) <= 600
    found = watch_share(fine + worse, 0.01)
    assert found.alarmed
    assert found.n < 100 * 30 + 3000
    assert found.k / found.n > 0.03


def test_no_alarm_in_two_million_healthy_requests() -> None:
    rng = np.random.default_rng(8)
    buckets = [(100, int(k)) for k in rng.binomial(100, 0.005, 20_000)]
    found = watch_share(buckets, 0.01)
    assert not found.alarmed
    assert (found.n, found.evidence) == (2_000_000, 0.0)


def test_a_recovery_ends_the_alarm_and_starts_the_count_anew() -> None:
    found = watch_share([(100, 0)] * 50 + [(100, 20)] * 5 + [(100, 0)] * 20, 0.01)
    assert not found.alarmed
    assert found.n == 2000
    assert watch_share([(100, 20)] * 5 + [(100, 0)] * 2, 0.01).alarmed


def test_nothing_seen_is_no_alarm() -> None:
    assert watch_share([], 0.01) == changes.Watched(False, 0, 0, 0.0)
    assert not watch_share([(0, 0)] * 10, 0.01).alarmed
