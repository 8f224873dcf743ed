"""From rows as users send them to the typed columns that a pipeline reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from promise.data.columns import Array, Columns, IntArray
from promise.data.schema import Field, Schema
from promise.errors import DataError, near
from promise.kernels.parsing import parse_columns
from promise.models.base import ORDER


def request_from_rows(rows: Sequence[Mapping[str, Any]], schema: Schema) -> Columns:
    """Return typed columns of plain dictionaries; an absent field is a missing value.

    Raises
    ------
    DataError
        For a field that the schema does not know, naming the near match, or a value that is no
        plain text, number, truth value or date.

    Examples
    --------
    >>> from promise.data.schema import Field
    >>> schema = Schema((Field("age", "number"),))
    >>> request_from_rows([{"age": "41"}, {}], schema)["age"]
    array([41., nan])
    """
    known = set(schema.names)
    for number, row in enumerate(rows):
        unknown = next((name for name in row if name not in known), None)
        if unknown is not None:
            raise DataError(f"row {number}: there is no field {unknown!r}; {near(unknown, known)}")
    arrays = {}
    for field in schema:
        values = [row.get(field.name) for row in rows]
        try:
            arrays[field.name] = _arrow(values, field)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise DataError(
                f"field {field.name!r} holds a value that is not {field.type}: {error}."
            ) from error
    return request_from_table(pa.table(arrays), schema)


def _arrow(values: list[Any], field: Field) -> Any:
    kinds = {type(value) for value in values if value is not None}
    if field.type in ("number", "boolean") and kinds <= {bool, int, float}:
        return pa.array([None if v is None else float(v) for v in values], type=pa.float64())
    if list in kinds and field.role == "label":  # several labels, as sources tell them
        texts = (json.dumps(v) if isinstance(v, list) else v for v in values)
        return pa.array(list(texts), type=pa.string())
    if len(kinds) > 1 and kinds != {int, float}:
        return pa.array([None if v is None else str(v) for v in values], type=pa.string())
    return pa.array(values, from_pandas=True) if kinds else pa.nulls(len(values), pa.string())


def request_from_table(table: pa.Table, schema: Schema) -> Columns:
    """Return typed columns of an Arrow table, told column by column where it does not fit."""
    present = set(table.column_names)
    missing = [name for name in schema.names if name not in present]
    if missing:
        raise DataError(
            f"column {missing[0]!r} is missing"
            + (f" (and {len(missing) - 1} more)" if len(missing) > 1 else "")
            + f"; {near(missing[0], table.column_names)}"
        )
    columns = Columns(parse_columns(table.select(list(schema.names)), schema.to_json()))
    return with_order(columns, schema)


def with_order(columns: Columns, schema: Schema) -> Columns:
    """Add the order of rows where the schema names a time column."""
    time, entity = schema.find("time"), schema.find("entity")
    if time is None:
        return columns
    order = row_order(columns[time.name], None if entity is None else columns[entity.name])
    return columns.with_columns({ORDER: order})


def row_order(time: Array, entity: Array | None) -> IntArray:
    """Return int64 (n, 2): entity code, rank in time (ties keep their order in the source).

    Examples
    --------
    >>> row_order(np.array(["2026-01-02", "2026-01-01"], dtype="datetime64[us]"), None)
    array([[0, 1],
           [0, 0]])
    """
    rank = np.empty(len(time), dtype=np.int64)
    rank[np.argsort(time, kind="stable")] = np.arange(len(time))
    if entity is None:
        codes = np.zeros(len(time), dtype=np.int64)
    else:
        codes = np.unique(entity.astype(str), return_inverse=True)[1].astype(np.int64)
    return np.column_stack([codes, rank])
