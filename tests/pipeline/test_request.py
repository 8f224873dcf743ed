"""Rows as users send them: every value is read as itself, whatever stands beside it."""

from __future__ import annotations

import numpy as np
import pytest

from promise.data.schema import Field, Schema
from promise.errors import DataError
from promise.pipeline.request import request_from_rows

SCHEMA = Schema((Field("n", "number"), Field("b", "boolean"), Field("when", "date")))


def test_truth_values_and_numbers_of_one_field_stay_what_they_are() -> None:
    rows = [{"n": True, "b": 1}, {"n": 2.5, "b": False}, {"n": None, "b": None}]
    columns = request_from_rows(rows, SCHEMA)
    np.testing.assert_array_equal(columns["n"], [1.0, 2.5, np.nan])
    np.testing.assert_array_equal(columns["b"], [1.0, 0.0, np.nan])


def test_a_number_too_large_for_any_column_is_told() -> None:
    with pytest.raises(DataError, match="field 'n' holds a value that is not number"):
        request_from_rows([{"n": 10**400}], SCHEMA)


def test_one_impossible_time_zone_leaves_the_other_dates_alone() -> None:
    rows = [{"when": "2026-01-02T03:04:05+01:00"}, {"when": "2026-01-02T03:04:05+99:00"}]
    when = request_from_rows(rows, SCHEMA)["when"]
    assert when[0] == np.datetime64("2026-01-02T02:04:05")
    assert np.isnat(when[1])
