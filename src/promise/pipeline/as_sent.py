"""Rows of a table as a client sends them: what a version is warmed and driven with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from promise.data.columns import Array
from promise.data.schema import Field, Schema
from promise.features.values import PER_SECOND
from promise.pipeline.artifact import read_golden
from promise.pipeline.request import request_from_table


def golden_bodies(folder: Path, schema: Schema) -> Iterator[bytes]:
    """Yield each golden row of a version folder as the body of a request; none where none is kept.

    Parameters
    ----------
    schema
        The version's request.
    """
    if not (folder / "golden.arrow").is_file():
        return
    table, _ = read_golden(folder)
    for row in rows_as_sent(table, schema):
        yield json.dumps(row, ensure_ascii=False).encode()


def rows_as_sent(table: pa.Table, schema: Schema) -> Iterator[dict[str, Any]]:
    """Yield rows with JSON values that a request takes; what cannot be read is null.

    Numbers, truth values and dates kept as numbers have their JSON types, even where the table
    has them as text; the rest is as it came.

    Examples
    --------
    >>> schema = Schema((Field("age", "number"), Field("paid", "boolean"), Field("day", "date")))
    >>> table = pa.table({"age": ["41", None], "paid": ["yes", "?"], "day": ["2026-01-31", "noon"]})
    >>> list(rows_as_sent(table, schema))
    [{'age': 41.0, 'paid': True, 'day': '2026-01-31'}, {'age': None, 'paid': None, 'day': None}]
    """
    typed = request_from_table(table, schema)
    columns = [_cells(table[field.name].to_pylist(), typed[field.name], field) for field in schema]
    for values in zip(*columns, strict=True):
        yield dict(zip(schema.names, values, strict=True))


def _cells(raw: list[Any], typed: Array, field: Field) -> list[Any]:
    if field.type in ("number", "boolean"):
        as_kind = bool if field.type == "boolean" else float
        return [as_kind(value) if np.isfinite(value) else None for value in typed.tolist()]
    if field.type != "date":
        return [_plain(value) for value in raw]
    per_second = PER_SECOND.get((field.format or "iso").split("|")[0])
    cells = [_plain(value) for value in raw]
    if per_second is not None:
        cells = [float(time) / per_second for time in typed.astype(np.int64).tolist()]
    missing = np.isnat(typed).tolist()
    return [None if gone else cell for gone, cell in zip(missing, cells, strict=True)]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
