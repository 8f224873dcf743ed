"""Cells become typed arrays, each cell by itself, whatever stands beside it."""

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.kernels.parsing import label_codes, parse_columns

TRICKY = (
    "", "?", " 3", "+5", "1e3", "nan", "inf", "-.5", "7.", "0x1", "1,5", "1e999", "٣", "true",
    "2024-02-29", "2023-02-29", "2024-01-02 03", "2024-01-02T03:04", "2024-13-01", "1/2/2024",
    "2024-01-02 03:04:05.123456789", "2024-01-02T03:04:05Z", "2024-01-02 25:00", "31/12/1999",
    "2024-01-02 03:04:05+02:00", "2024-01-02 03:04:60",
)  # fmt: skip
CELLS = st.one_of(st.sampled_from(TRICKY), st.text(max_size=12))


def parse(cells, **field):
    table = pa.table({"c": pa.array(cells, pa.string())})
    return parse_columns(table, [{"name": "c", **field}])["c"]


@settings(deadline=None)
@given(
    st.lists(CELLS, min_size=1, max_size=8),
    st.sampled_from(["number", "boolean", "category", "text", "date"]),
    st.sampled_from(["iso", "%d/%m/%Y", "iso|%d/%m/%Y"]),
)
def test_a_cell_reads_the_same_alone_and_in_a_batch(cells, kind, pattern):
    field = {"type": kind, "nulls": ["?"], "format": pattern}
    alone = np.concatenate([parse([cell], **field) for cell in cells])
    np.testing.assert_array_equal(parse(cells, **field), alone)


def test_numbers():
    cells = ["41", " 2.5 ", "+3", "?", "", "x", "inf", "NaN", "1e3", None]
    expected = [41, 2.5, 3, np.nan, np.nan, np.nan, np.nan, np.nan, 1000, np.nan]
    np.testing.assert_array_equal(parse(cells, type="number", nulls=["?"]), expected)
    np.testing.assert_array_equal(parse(["1,5", "2"], type="number", decimal=","), [1.5, 2])


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_written_numbers_read_back_to_the_bit(values):
    assert parse([repr(v) for v in values], type="number").tolist() == values


def test_dates():
    cells = ["2024-03-01", "2024-03-01T10:30:00+02:00", "29/02/2024", "2023-02-30", "soon", None]
    read = parse(cells, type="date", format="iso|%d/%m/%Y")
    expected = ["2024-03-01", "2024-03-01T08:30", "2024-02-29", "NaT", "NaT", "NaT"]
    np.testing.assert_array_equal(read, np.array(expected, dtype="M8[us]"))
    seconds = parse(["86400", ""], type="date", format="epoch_s")
    np.testing.assert_array_equal(seconds, np.array(["1970-01-02", "NaT"], dtype="M8[us]"))


@settings(deadline=None)
@given(st.datetimes())
def test_any_iso_moment_reads_back(moment):
    assert parse([moment.isoformat(), "soon"], type="date")[0] == np.datetime64(moment, "us")


def test_native_types_read_like_their_text():
    table = pa.table(
        {
            "number": pa.array([1, None, 3], pa.int32()),
            "flag": pa.array([True, None, False]),
            "code": pa.array([1.0, None, 2.5]),
            "day": pa.array([datetime.date(2024, 1, 2), None, None]),
            "void": pa.nulls(3),
        }
    )
    kinds = {"number": "number", "flag": "boolean", "code": "category", "day": "date"}
    fields = [{"name": n, "type": k} for n, k in kinds.items()] + [{"name": "void", "type": "text"}]
    read = parse_columns(table, fields)
    np.testing.assert_array_equal(read["number"], [1, np.nan, 3])
    np.testing.assert_array_equal(read["flag"], [1, np.nan, 0])
    assert read["code"].tolist() == ["1", None, "2.5"]
    np.testing.assert_array_equal(read["day"], np.array(["2024-01-02", "NaT", "NaT"], "M8[us]"))
    assert read["void"].tolist() == [None] * 3


def test_big_integers_and_decimals_become_floats():
    table = pa.table({"a": pa.array([2**60 + 1]), "b": pa.array([Decimal("1.50")])})
    fields = [{"name": "a", "type": "number"}, {"name": "b", "type": "number"}]
    read = parse_columns(table, fields)
    assert (read["a"][0], read["b"][0]) == (float(2**60), 1.5)


def test_a_lacking_column_is_named():
    with pytest.raises(ValueError, match="column 'income' is missing"):
        parse_columns(pa.table({"age": [1]}), [{"name": "income", "type": "number"}])


def test_labels_of_numbers_texts_and_booleans():
    assert label_codes(np.array([1.0, 2.0, 5.0, np.nan]), ["1", "2"]).tolist() == [0, 1, -1, -1]
    assert label_codes(np.array([1.0, 0.0]), ["false", "true"]).tolist() == [1, 0]
    assert label_codes(np.array(["b", "z", None], dtype=object), ["a", "b"]).tolist() == [1, -1, -1]
