"""One value reads as a column of it alone does: kernels/parsing is the slow twin."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from promise.data.schema import Field
from promise.features.values import column_of, date_check, reader
from promise.kernels.parsing import parse_column

CHECKED = settings(deadline=None, max_examples=150)
NULLS = ("?", "n/a", "3", "false")
FIRST = datetime.fromisoformat("0001-01-02")
LAST = datetime.fromisoformat("9999-12-30")
SPACES = " \t\n\x0b\x1c\x85\xa0\u2003\u3000"


def twin(value: Any, field: Field) -> Any:
    settings = {"name": field.name, "type": field.type, "nulls": field.nulls}
    settings |= {"format": field.format, "decimal": field.decimal}
    return parse_column(pa.array([value], from_pandas=True), settings)[0]


def agrees(value: Any, field: Field) -> None:
    expected = twin(value, field)
    found = reader(field)(value)
    whole = column_of([value, None, value], field)
    if field.type in ("number", "boolean"):
        assert np.array_equal(found, expected, equal_nan=True)
        assert np.array_equal(whole, [expected, np.nan, expected], equal_nan=True)
    elif field.type == "date":
        assert (found is None) == bool(np.isnat(expected))
        assert found is None or found == int(expected.astype(np.int64))
        assert np.array_equal(whole[[0, 2]], np.array([expected] * 2), equal_nan=True)
    else:
        assert (found, type(found)) == (expected, type(expected))
        assert whole.tolist() == [expected, None, expected]


integers = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False)
plain_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
padded = st.builds(
    lambda a, t, b: a + t + b, st.text(SPACES), st.one_of(plain_text, st.sampled_from(NULLS)),
    st.text(SPACES),
)  # fmt: skip


@CHECKED
@given(st.one_of(integers, floats, st.booleans(), st.none()))
@example(2**53 + 1)
@example(-0.0)
def test_numbers(value: Any) -> None:
    agrees(value, Field("x", "number", nulls=NULLS))


@pytest.mark.parametrize("text", ["41", " -2.5e3 ", "+7", "?", "", "1,5", "abc", "1e400", "nan"])
def test_numbers_kept_as_text(text: str) -> None:
    agrees(text, Field("x", "number", nulls=NULLS))
    agrees(text, Field("x", "number", decimal=","))


def test_an_integer_beyond_every_float_is_missing_like_an_infinite_one() -> None:
    read = reader(Field("x", "number"))
    assert np.isnan(read(10**400))
    assert np.isnan(column_of([10**400], Field("x", "number"))).all()


@pytest.mark.slow
@CHECKED
@given(st.one_of(integers, floats, st.booleans(), st.none(), st.sampled_from([" Yes", "off", "?"])))
def test_truth_values(value: Any) -> None:
    agrees(value, Field("x", "boolean"))


@CHECKED
@given(st.one_of(padded, integers, floats, st.booleans(), st.none()))
@example(1e16)
@example(3)
@example(3.0)
@example(False)
def test_categories(value: Any) -> None:
    agrees(value, Field("x", "category", nulls=NULLS))


@CHECKED
@given(st.one_of(padded, st.none()))
def test_text(value: Any) -> None:
    agrees(value, Field("x", "text", nulls=NULLS))


@pytest.mark.slow
def test_python_strips_what_arrow_strips() -> None:
    points = [chr(c) for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
    kept = pc.utf8_length(pc.utf8_trim_whitespace(pa.array(points))).to_pylist()
    assert kept == [len(point.strip()) for point in points]


digits = st.integers(0, 99).map("{:02d}".format)
moments = st.datetimes(FIRST, LAST)
times = st.sampled_from(["", "T07", " 07:30", "T07:30:15", " 23:59:59.5", "T07:30:15.123456"])
zones = st.sampled_from(["", "Z", "+02", "-0530", "+05:30", "-11:45", "+00:00"])
spelled = st.builds(lambda m, t, z: f"{m:%Y-%m-%d}".rjust(10, "0") + t + z, moments, times, zones)
nearly = st.builds(
    lambda y, m, d, t: f"{y}-{m}-{d}{t}", digits.map("20".__add__), digits, digits, times
)
odd = st.sampled_from(
    ["20240101", "2024-W01-1", "2024-1-1", "2024-02-30", "0000-01-01", "2024-01-01t07:30", "?",
     "2024-01-01T24:00", "2024-01-01T07:30:60", "2024-01-01T07:30:15.1234567", "2024-01-01T0730",
     "٢٠٢٤-01-01", "2024-01-01T07:30:15,5", "0001-01-01T00:00+05:00", "2024-01-01 07:30:15 "]
)  # fmt: skip


@pytest.mark.slow
@CHECKED
@given(st.one_of(spelled, nearly, odd, plain_text, integers, floats, st.none()))
def test_dates(value: Any) -> None:
    agrees(value, Field("x", "date", nulls=NULLS))


@pytest.mark.slow
@CHECKED
@given(
    st.one_of(st.datetimes(FIRST.replace(year=1000)), st.none()),
    st.sampled_from(["%d/%m/%Y", "%Y%m%d", "%m-%d-%Y %H:%M", "%Y/%m/%dT%H:%M:%S", "%d %b %Y"]),
    st.sampled_from(["{}", " {} ", "{}x", "0{}"]),
)
def test_dates_of_a_pattern(moment: datetime | None, pattern: str, dress: str) -> None:
    value = None if moment is None else dress.format(moment.strftime(pattern))
    agrees(value, Field("x", "date", format=pattern))
    agrees(value, Field("x", "date", format=f"{pattern}|iso"))


@pytest.mark.parametrize("text", ["31/02/2024", "1/2/2024", "01/02/24", "00/01/2024", "20240102"])
def test_dates_that_only_the_kernel_reads(text: str) -> None:
    agrees(text, Field("x", "date", format="%d/%m/%Y|%Y%m%d"))


def test_whole_numbers_are_dates_where_the_pattern_says_so() -> None:
    agrees(20240102, Field("x", "date", format="%Y%m%d"))
    agrees(20240102, Field("x", "date"))


@CHECKED
@given(
    st.one_of(
        st.integers(-(2**40), 2**40), st.floats(-1e12, 1e12), st.none(),
        st.sampled_from(["1700000000", " 1.5e9", "?", "soon"]),
    ),
    st.sampled_from(["epoch_s", "epoch_ms", "epoch_us"]),
)  # fmt: skip
def test_dates_counted_from_1970(value: Any, pattern: str) -> None:
    agrees(value, Field("x", "date", format=pattern))


def test_dates_as_a_file_holds_them() -> None:
    for value in (LAST.replace(2024), datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)):
        for pattern in (None, "epoch_s", "%d/%m/%Y"):
            agrees(value, Field("x", "date", format=pattern))


def test_an_impossible_zone_is_no_date_and_no_error() -> None:
    assert reader(Field("x", "date"))("2024-01-01T07:30+99:00") is None


@pytest.mark.slow
@CHECKED
@given(st.lists(st.one_of(padded, integers, floats, st.booleans(), st.none()), min_size=1))
def test_neighbours_change_nothing(values: list[Any]) -> None:
    for field in (Field("x", "number"), Field("x", "category", nulls=NULLS)):
        alone = [column_of([value], field)[0] for value in values]
        together = column_of(values, field)
        if field.type == "number":
            assert np.array_equal(together, alone, equal_nan=True)
        else:
            assert together.tolist() == alone


@pytest.mark.slow
@CHECKED
@given(
    st.one_of(spelled, nearly, odd, padded, integers, floats, st.none()),
    st.sampled_from([None, "%d/%m/%Y|iso", "%Y%m%d"]),
)
def test_a_date_is_told_from_what_is_neither_date_nor_missing(
    value: Any, format: str | None
) -> None:
    field = Field("x", "date", format=format, nulls=NULLS)
    missing = value is None or (isinstance(value, str) and value.strip() in ("", *NULLS))
    assert date_check(field)(value) == (missing or not np.isnat(twin(value, field)))
