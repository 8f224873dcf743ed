"""A check names each feature that differs, and is fooled by nothing that is missing."""

from __future__ import annotations

import numpy as np
import pytest

from promise.errors import DataError
from promise.features.parity import check

NAN = float("nan")


def test_equal_and_missing_values_are_equal() -> None:
    matrix = np.array([[1.0, NAN], [0.0, 2.0]])
    assert check(["a", "b"], matrix, matrix.copy()).holds


def test_one_bit_is_a_difference_and_the_worst_comes_first() -> None:
    logged = np.array([[1.0, 5.0], [2.0, NAN], [3.0, 7.0]])
    other = np.array([[1.0, 6.0], [np.nextafter(2.0, 3.0), 1.0], [3.0, 9.0]])
    outcome = check(["a", "b"], logged, other, ids=["x", "y", "z"])
    assert [d.feature for d in outcome.differences] == ["b", "a"]
    worst, least = outcome.differences
    assert (worst.n_rows, worst.first, worst.logged, worst.largest) == (3, "x", 5.0, 2.0)
    assert (least.n_rows, least.first) == (1, "y")
    assert not outcome.holds
    assert outcome.told().startswith("b: 3 of 3 rows differ, first at 'x': logged 5.0")


def test_only_missing_on_one_side() -> None:
    outcome = check(["a"], np.array([[NAN]]), np.array([[1.0]]))
    assert np.isnan(outcome.differences[0].largest)


def test_columns_are_compared_by_name() -> None:
    outcome = check(
        ["a", "b"], np.array([[1.0, 2.0]]), np.array([[2.0, 3.0]]), recomputed_names=["b", "c"]
    )
    assert outcome.only_logged == ("a",)
    assert outcome.only_recomputed == ("c",)
    assert not outcome.differences
    assert not outcome.holds
    assert outcome.told() == "a: only in the log\nc: only recomputed"


def test_nothing_compared_is_no_proof() -> None:
    outcome = check(["a"], np.zeros((0, 1)), np.zeros((0, 1)))
    assert not outcome.holds
    assert outcome.told() == "no events to compare"


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="a column for"):
        check(["a"], np.zeros((2, 2)), np.zeros((2, 1)))
    with pytest.raises(DataError, match="same events"):
        check(["a"], np.zeros((2, 1)), np.zeros((3, 1)))
    with pytest.raises(DataError, match="ids came"):
        check(["a"], np.zeros((2, 1)), np.zeros((2, 1)), ids=["x"])
