"""Samples are deterministic, nested, and the same however the work is divided."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.data.sample import Sampler, quantile_bins, sample_rows, sample_size
from promise.errors import ConfigError
from promise.kernels.rows import row_hash


def test_auto_follows_the_stated_rule():
    expected = {10: 10, 100_000: 100_000, 100_001: 10_000, 10**6: 100_000, 10**9: 100_000}
    assert {n: sample_size(n, "auto") for n in expected} == expected
    assert (sample_size(50, "full"), sample_size(50, 20), sample_size(50, "80")) == (50, 20, 50)
    for how in ("some", 0, "-3"):
        with pytest.raises(ConfigError, match="is unknown"):
            sample_size(10, how)


def test_a_random_sample_is_the_first_rows_by_hash():
    rows = np.arange(5000)
    expected = np.sort(rows[np.argsort(row_hash(rows, 3))][:40])
    np.testing.assert_array_equal(sample_rows(5000, 40, seed=3), expected)


strata_lists = st.lists(st.integers(0, 4), min_size=1, max_size=200)


@pytest.mark.slow
@settings(deadline=None)
@given(strata_lists, st.integers(1, 60), st.integers(1, 60), st.integers(0, 99))
def test_stratified_samples_nest_and_keep_every_class(codes, small, more, seed):
    strata = np.array(codes)
    draw = [
        sample_rows(len(strata), k, strategy="stratified", seed=seed, strata=strata)
        for k in (small, small + more)
    ]
    assert np.isin(draw[0], draw[1]).all()
    assert [len(d) for d in draw] == [min(len(strata), k) for k in (small, small + more)]
    counts = np.bincount(strata, minlength=5)
    if small >= 10:
        kept = np.bincount(strata[draw[0]], minlength=5)
        assert (kept >= np.minimum(counts, 2)).all()


def test_stratified_shares_are_kept():
    strata = np.repeat([0, 1, 2], [9000, 900, 100])
    rows = sample_rows(10_000, 1000, strategy="stratified", seed=7, strata=strata)
    assert np.bincount(strata[rows]).tolist() == [900, 90, 10]


def test_a_numeric_label_is_stratified_by_quantiles():
    values = np.random.default_rng(7).exponential(size=10_000)
    rows = sample_rows(10_000, 500, strategy="stratified", seed=7, strata=values)
    assert np.bincount(quantile_bins(values)[rows]).tolist() == [50] * 10


def test_time_samples_cover_the_history_evenly():
    time = np.datetime64("2024-01-01", "us") + np.arange(50_000) * np.timedelta64(60, "s")
    rows = sample_rows(50_000, 1000, strategy="time", seed=7, time=time)
    assert np.abs(np.bincount(rows // 500, minlength=100) - 10).max() <= 1


@pytest.mark.parametrize("workers", [1, 3, 7])
@pytest.mark.parametrize("stratified", [False, True])
def test_any_number_of_workers_gives_the_same_sample(workers, stratified):
    n_rows, k = 20_000, 300
    codes = (np.arange(n_rows) % 997) // 200 if stratified else None
    how = "stratified" if stratified else "random"
    whole = sample_rows(n_rows, k, strategy=how, seed=5, strata=codes)
    samplers = [Sampler(k, 5) for _ in range(workers)]
    for i, batch in enumerate(np.array_split(np.arange(n_rows), 40)):
        samplers[i % workers].add(batch, None if codes is None else codes[batch])
    merged = samplers[-1]
    for other in samplers[:-1]:
        merged.merge(other)
    np.testing.assert_array_equal(merged.rows(), whole)
    assert all(len(hashes) <= k for hashes, _ in merged._kept.values())


def test_quantile_bins_of_few_values_and_missing_ones():
    assert quantile_bins(np.array([0.0] * 9 + [1.0])).tolist() == [0] * 9 + [1]
    assert quantile_bins(np.full(3, np.nan)).tolist() == [-1] * 3
