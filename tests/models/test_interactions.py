"""Pairs as compressed rows: added up, turned, sifted, saved."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.errors import DataError
from promise.models.interactions import Interactions

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4), st.integers(-2, 3)), max_size=40)


def of(pairs: list[tuple[int, int, int]]) -> Interactions:
    """Return these pairs as rows."""
    table = np.array(pairs, np.int64).reshape(-1, 3)
    weights = table[:, 2].astype(np.float32)
    return Interactions.from_pairs(table[:, 0], table[:, 1], weights, shape=(7, 5))


@given(PAIRS)
@settings(max_examples=60, deadline=None)
def test_pairs_that_come_twice_are_added_up_in_any_order(pairs: list[tuple[int, int, int]]) -> None:
    dense = np.zeros((7, 5), np.float32)
    for chooser, chosen, weight in pairs:
        dense[chooser, chosen] += weight
    found = of(pairs)
    np.testing.assert_array_equal(found.matrix().toarray(), dense)
    assert found.nnz == np.count_nonzero(dense)
    np.testing.assert_array_equal(found.transposed().matrix().toarray(), dense.T)
    np.testing.assert_array_equal(found.positive().matrix().toarray(), np.maximum(dense, 0))
    np.testing.assert_array_equal(found.matrix().toarray(), of(pairs[::-1]).matrix().toarray())
    for chooser in range(7):
        codes, weights = found.row(chooser)
        np.testing.assert_array_equal(codes, np.flatnonzero(dense[chooser]))
        np.testing.assert_array_equal(weights, dense[chooser][codes])


def test_types_and_shape() -> None:
    likes = Interactions.from_pairs(np.array([2, 0]), np.array([1, 3]))
    assert (likes.n_choosers, likes.n_chosen, likes.nnz) == (3, 4, 2)
    assert (likes.starts.dtype, likes.others.dtype, likes.weights.dtype) == ("i8", "i4", "f4")
    turned = likes.transposed()
    assert (turned.starts.dtype, turned.others.dtype, turned.weights.dtype) == ("i8", "i4", "f4")
    assert turned.n_chosen == 3
    assert likes.rows().tolist() == [0, 2]
    assert likes.counts.tolist() == [1, 0, 1]


@pytest.mark.parametrize("mapped", [False, True])
def test_saved_is_loaded(tmp_path: Path, mapped: bool) -> None:
    likes = of([(1, 2, 3), (4, 0, -1)])
    likes.save(tmp_path)
    again = Interactions.load(tmp_path, mapped=mapped)
    np.testing.assert_array_equal(again.matrix().toarray(), likes.matrix().toarray())
    assert again.n_chosen == 5


def test_nobody_at_all() -> None:
    likes = Interactions.from_pairs(np.empty(0, int), np.empty(0, int))
    assert (likes.n_choosers, likes.n_chosen, likes.nnz) == (0, 0, 0)
    assert likes.transposed().nnz == 0


@pytest.mark.parametrize(
    ("choosers", "chosen", "weights", "said"),
    [
        ([0, 9], [0, 0], [1, 1], r"pair 1 has the chooser code 9; codes run from 0 to 2"),
        ([0], [-1], [1], r"pair 0 has the chosen code -1"),
        ([0, 1], [0, 1], [1, np.nan], r"pair 1 has the weight nan"),
        ([0, 1], [0], [1, 1], r"2 choosers, 1 chosen and 2 weights"),
    ],
)
def test_wrong_pairs_are_named(choosers: list, chosen: list, weights: list, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Interactions.from_pairs(
            np.array(choosers), np.array(chosen), np.array(weights, np.float32), shape=(3, 3)
        )
