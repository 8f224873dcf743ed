"""Frozen bins count what training counted; the index and its chance level are the textbook's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.errors import DataError
from promise.metrics.drift import Bins, add_counts, count_bins, drift_of, rows_for_psi
from promise.workloads.tabular.contents import edges

VALUES = st.lists(st.sampled_from([0.0, 1.0, 2.5, -3.0, 7.0, math.nan]), min_size=1, max_size=80)


def test_the_index_of_two_bins_is_the_sum_by_hand() -> None:
    entry = {"kind": "category", "counts": {"a": 80, "b": 20}, "rows": 100, "known": 100}
    found = drift_of(entry, {"bins": [50, 50], "unseen": 0, "missing": 0})
    assert found is not None
    p, q = np.array([80.5, 20.5]) / 101, np.array([50.5, 50.5]) / 101
    assert found.psi == pytest.approx(float(((p - q) * np.log(p / q)).sum()))
    assert found.null_mean == pytest.approx(1 / 100 + 1 / 100)
    assert found.low <= found.psi <= found.high
    assert (found.n_bins, found.n_reference, found.n_new) == (2, 100, 100)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_training_rows_counted_again_show_no_drift(values: list[float]) -> None:
    x = np.array(values)
    entry = edges(x)
    found = drift_of(entry, count_bins(entry, x))
    assert found is not None
    assert found.psi == pytest.approx(0)
    assert Bins.of(entry).counts.sum() == len(x)


@settings(max_examples=60, deadline=None)
@given(VALUES, VALUES)
def test_counts_add_up_over_windows(first: list[float], second: list[float]) -> None:
    entry = edges(np.arange(20.0))
    apart = [count_bins(entry, np.array(part)) for part in (first, second)]
    assert add_counts(*apart) == count_bins(entry, np.array(first + second))


def test_ties_fall_into_the_bins_that_training_counted() -> None:
    x = np.r_[np.zeros(70), np.arange(30.0)]
    entry = edges(x)
    assert len(entry["edges"]) < 9
    assert count_bins(entry, x)["bins"] == entry["counts"]
    assert drift_of(entry, count_bins(entry, x)).psi == pytest.approx(0)  # type: ignore[union-attr]


def test_without_counts_the_bins_share_the_known_rows() -> None:
    bins = Bins.of({"kind": "number", "edges": [1.0, 2.0, 3.0], "rows": 100, "known": 80})
    assert bins.counts.tolist() == [20, 20, 20, 20, 0, 20]


def test_missing_unseen_and_infinite_have_bins_of_their_own() -> None:
    numbers = edges(np.arange(100.0))
    assert count_bins(numbers, np.array([np.nan, np.inf, 5.0])) == {
        "bins": [1, 0, 0, 0, 0, 0, 0, 0, 0, 0], "unseen": 1, "missing": 1,
    }  # fmt: skip
    words = edges(np.array(["a"] * 5 + ["b", None], dtype=object))
    new = np.array(["a", "c", None, "", math.nan, 3.0], dtype=object)
    assert count_bins(words, new) == {"bins": [1, 0], "unseen": 2, "missing": 3}


def test_numbers_that_are_categories_match_their_text() -> None:
    entry = {"kind": "category", "counts": {"3": 5, "2.5": 5}, "rows": 10, "known": 10}
    assert count_bins(entry, np.array([3.0, 2.5, "3"], dtype=object))["bins"] == [2, 1]


def test_dates_are_binned_by_seconds() -> None:
    days = np.datetime64("2026-01-01", "us") + np.arange(100) * np.timedelta64(1, "D")
    entry = edges(days)
    counted = count_bins(entry, np.r_[days, np.datetime64("NaT")])
    assert (counted["bins"], counted["missing"]) == ([10] * 10, 1)


def test_probabilities_of_classes_have_bins_each() -> None:
    output = np.random.default_rng(0).dirichlet([1, 2], 50)
    entries = [edges(output[:, i]) for i in range(2)]
    counted = count_bins(entries, output)
    assert [c["bins"] for c in counted] == [e["counts"] for e in entries]
    assert add_counts(counted, counted)[0]["bins"] == [10] * 10


def test_chance_exceeds_its_quantile_as_seldom_as_it_says() -> None:
    rng = np.random.default_rng(1)
    over, indices, runs = 0, [], 600
    for _ in range(runs):
        before, after = rng.multinomial(5000, [0.1] * 10), rng.multinomial(500, [0.1] * 10)
        entry = {
            "kind": "number", "edges": list(range(9)), "rows": 5000, "known": 5000,
            "counts": before.tolist(),
        }  # fmt: skip
        found = drift_of(entry, {"bins": after.tolist(), "unseen": 0, "missing": 0})
        assert found is not None
        over += found.psi > found.by_chance(0.05)
        indices.append(found.psi)
    assert 0.02 <= over / runs <= 0.08
    assert np.mean(indices) == pytest.approx(found.null_mean, rel=0.1)


def test_an_outlier_does_not_hide_a_shift() -> None:
    rng = np.random.default_rng(2)
    entry = edges(rng.normal(size=5000))
    shifted = np.r_[rng.normal(1, 1, size=2000), 1e9]
    found = drift_of(entry, count_bins(entry, shifted))
    assert found is not None
    assert found.psi > 0.8
    assert found.low > 0.5


def test_rows_needed_grow_with_bins_and_fall_with_the_bound() -> None:
    assert rows_for_psi(0.1, 1e-5, n_bins=10) == 450
    assert rows_for_psi(0.02, 1e-5, n_bins=10) > 450  # type: ignore[operator]
    assert rows_for_psi(0.1, 1e-5, n_bins=51) == 2500
    assert rows_for_psi(0.1, 1e-5, n_bins=10, n_reference=300) is None


def test_counts_of_another_reference_are_refused() -> None:
    with pytest.raises(DataError, match="count again"):
        drift_of(edges(np.arange(50.0)), {"bins": [1, 2], "unseen": 0, "missing": 0})
    assert drift_of(edges(np.arange(50.0)), {"bins": [0] * 10, "unseen": 0, "missing": 0}) is None
