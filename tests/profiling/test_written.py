"""Digits in groups and dates of several forms are told, with a line that reads them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas
import pyarrow as pa
import pytest

from promise.data.infer import infer_schema
from promise.data.source import open_source
from promise.profiling.checks import check_profile
from promise.profiling.findings import Finding
from promise.profiling.profile import profile_source


def findings(name: str, cells: Sequence[str]) -> list[Finding]:
    source = open_source(pa.table({name: list(cells)}))
    schema = infer_schema(source)
    found = check_profile(profile_source(source, schema), schema)
    return [one for one in found if one.check in ("grouped_digits", "mixed_dates")]


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (["1,001.50", "12.25", "1,234,567.00"], [1001.5, 12.25, 1234567.0]),
        (["1.001,50", "12,25", "1.234.567,00"], [1001.5, 12.25, 1234567.0]),
        (["1,001", "12", "13,500"], [1001.0, 12.0, 13500.0]),
        (["1 001,5", "12,2", "1 234 567"], [1001.5, 12.2, 1234567.0]),
        (["$1,001.50", "$12", "-$3.5"], [1001.5, 12.0, -3.5]),
    ],
)
def test_grouped_digits_are_told_and_the_fix_reads_them(
    cells: list[str], read: list[float]
) -> None:
    (found,) = findings("price", cells * 40)
    assert (found.check, found.severity, found.columns) == (
        "grouped_digits", "warning", ("price",),
    )  # fmt: skip
    frame = pandas.DataFrame({"price": cells})
    exec(found.fix, {"frame": frame, "pandas": pandas})
    assert frame["price"].tolist() == read


@pytest.mark.parametrize(
    "cells",
    [
        ["red", "1,001", "blue"],
        ["555 123 456", "555 123 457", "555 777 888"],
        ["12.5", "1001.5", "3"],
        ["A1,001", "B2,002", "C3,003"],
    ],
)
def test_what_is_no_number_is_left_in_peace(cells: list[str]) -> None:
    assert findings("what", cells * 40) == []


def test_dates_of_several_forms_are_told() -> None:
    (found,) = findings("day", ["2024-05-13", "13.05.2024", "14.05.2024"] * 40)
    assert (found.check, found.severity) == ("mixed_dates", "note")
    assert "%Y-%m-%d, %d.%m.%Y" in found.evidence
    (found,) = findings("day", ["05/13/2024", "13/05/2024", "01/02/2024"] * 40)
    assert found.severity == "warning"
    assert "%d/%m/%Y is tried first" in found.evidence


def test_the_time_of_the_rows_is_looked_at_though_it_is_no_input() -> None:
    days = ["2024-05-13", "13.05.2024", "14.05.2024"] * 40
    source = open_source(pa.table({"day": days, "y": [0, 1, 1] * 40}))
    schema = infer_schema(source).with_roles({"day": "time"})
    found = check_profile(profile_source(source, schema), schema, target="y", time="day")
    assert ("mixed_dates", ("day",)) in [(one.check, one.columns) for one in found]


def test_one_form_with_and_without_a_clock_is_one_form() -> None:
    assert findings("at", ["2024-05-13", "2024-05-13 10:00:00"] * 40) == []
    assert findings("at", ["13.05.2024", "13.05.2024 10:00"] * 40) == []
