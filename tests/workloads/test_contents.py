"""What a version keeps to tell drift by: counts of the very rows that made the bins."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from promise.metrics.drift import SCORE, Bins, count_bins, drift_of
from promise.workloads.tabular.contents import edges, score_reference

NUMBERS = st.lists(
    st.one_of(st.integers(-3, 3).map(float), st.sampled_from([np.nan, np.inf, 0.5])), min_size=1
)
CATEGORIES = st.lists(
    st.one_of(st.none(), st.sampled_from([f"c{i}" for i in range(60)])), min_size=1
)


@given(NUMBERS)
def test_numbers_fall_into_the_bins_that_they_made(values: list[float]) -> None:
    array = np.array(values)
    entry = edges(array)
    found = count_bins(entry, array)
    assert found["bins"] == entry["counts"]
    assert found["missing"] == entry["missing"] == int(np.isnan(array).sum())
    assert found["unseen"] == int(np.isinf(array).sum())
    drift = drift_of(entry, found)
    assert drift is not None
    assert abs(drift.psi) < 1e-12


@given(CATEGORIES)
def test_categories_too(values: list[str | None]) -> None:
    array = np.array(values, dtype=object)
    entry = edges(array)
    found = count_bins(entry, array)
    assert sum(found["bins"]) + found["unseen"] == entry["known"]
    assert found["missing"] == entry["missing"]
    assert Bins.of(entry).counts.tolist() == [*found["bins"], found["unseen"], found["missing"]]


def test_the_score_has_bins_by_class_or_of_the_number() -> None:
    rng = np.random.default_rng(7)
    shares = rng.dirichlet(np.ones(3), 500)
    assert [entry["rows"] for entry in score_reference(shares)[SCORE]] == [500] * 3
    assert score_reference(shares[:, 0])[SCORE]["known"] == 500
    many = rng.dirichlet(np.ones(101), 50)
    assert score_reference(many)[SCORE]["kind"] == "number"


def test_dates_are_counted_by_the_second() -> None:
    days = np.arange("2026-01-01", "2026-02-01", dtype="M8[D]").astype("M8[us]")
    days[3] = np.datetime64("NaT")
    entry = edges(days)
    assert (entry["kind"], entry["missing"], sum(entry["counts"])) == ("date", 1, 30)
    assert count_bins(entry, days)["bins"] == entry["counts"]
