"""Arrow columns as plain values."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa

from promise.kernels.plain_tables import plain_column, value_array


def test_durations_are_seconds() -> None:
    for unit, factor in (("s", 1), ("ms", 1000), ("us", 10**6), ("ns", 10**9)):
        column = pa.chunked_array([pa.array([3 * factor, None], pa.duration(unit))])
        assert plain_column(column).to_pylist() == [3.0, None]
    assert value_array([timedelta(minutes=1), None]).to_pylist() == [60.0, None]


def test_half_precision_is_widened() -> None:
    column = plain_column(pa.chunked_array([pa.array([1.5, None], pa.float16())]))
    assert (column.type, column.to_pylist()) == (pa.float32(), [1.5, None])
