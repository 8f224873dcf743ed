"""Importance is measured on windows that are whole where the order of rows counts."""

from __future__ import annotations

import numpy as np

from promise.data.columns import Columns
from promise.discovery.importance import drawn
from promise.models.base import ORDER


def test_ordered_rows_are_drawn_as_one_stretch_of_time() -> None:
    rng = np.random.default_rng(2)
    rank = rng.permutation(5000)
    order = np.column_stack([rng.integers(0, 3, 5000), rank])
    rows = drawn(Columns({ORDER: order}), 5000, np.random.default_rng(1))
    assert len(rows) == 2000
    assert np.ptp(rank[rows]) == 1999
    assert (np.diff(rows) > 0).all()


def test_rows_without_an_order_are_scattered() -> None:
    rows = drawn(Columns({"x": np.zeros(5000)}), 5000, np.random.default_rng(1))
    assert len(np.unique(rows)) == 2000
    assert np.ptp(rows) > 4000
