"""Rows of a table as clients send them are requests that the codec takes."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from promise.data.schema import Field, Schema
from promise.pipeline.as_sent import rows_as_sent
from promise.pipeline.bind import columns_of
from promise.pipeline.request import request_from_table
from promise.pipeline.wire import RequestCodec

MOMENT = datetime(2026, 1, 31, 12, 0, 0, 500000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        (pa.array([1, None, 3]), Field("x", "number")),
        (pa.array(["1,5", "?", "inf"]), Field("x", "number", decimal=",", nulls=("?",))),
        (pa.array([True, False, None]), Field("x", "boolean")),
        (pa.array(["yes", "off", "perhaps"]), Field("x", "boolean")),
        (pa.array([0, 1, 7]), Field("x", "boolean")),
        (pa.array([1.0, 2.5, float("nan")]), Field("x", "category")),
        (pa.array(["a", "", None]), Field("x", "category")),
        (pa.array(["2026-01-31T12:00Z", "noon", "?"]), Field("x", "date", nulls=("?",))),
        (pa.array(["31/01/2026", "2026-01-31", "x"]), Field("x", "date", format="%d/%m/%Y|iso")),
        (pa.array([date(2026, 1, 31), None]), Field("x", "date")),
        (pa.array([MOMENT, None], pa.timestamp("us", "UTC")), Field("x", "date")),
        (pa.array([1769860800, None]), Field("x", "date", format="epoch_s")),
        (pa.array(["1769860800123", "x"]), Field("x", "date", format="epoch_ms")),
        (pa.array([20260131, 20261301]), Field("x", "date", format="%Y%m%d")),
    ],
    ids=str,
)
def test_what_is_sent_is_taken_and_reads_as_the_table_does(cells: Any, field: Field) -> None:
    schema, table = Schema((field,)), pa.table({"x": cells})
    codec = RequestCodec(schema)
    rows = [json.dumps(row).encode() for row in rows_as_sent(table, schema)]
    values = [codec.decode(body)[0][0] for body in rows]
    found, expected = columns_of(values, schema)["x"], request_from_table(table, schema)["x"]
    assert list(map(str, found)) == list(map(str, expected))
