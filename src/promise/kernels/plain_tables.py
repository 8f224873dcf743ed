"""Arrow tables of plain values: numbers, booleans, times and text, joined under one schema."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def joined_schema(first: Any, second: Any) -> Any:
    """Return the types that hold the columns of both: the wider number, or else text."""
    if first.equals(second):
        return first
    joined = []
    for one, other in zip(first, second, strict=True):
        if one.type == other.type:
            joined.append(one)
            continue
        pair = [pa.schema([pa.field("x", kind)]) for kind in (one.type, other.type)]
        try:
            kind = pa.unify_schemas(pair, promote_options="permissive").field(0).type
        except pa.ArrowException:
            kind = pa.string()
        joined.append(pa.field(one.name, kind))
    return pa.schema(joined)


def cast_table(table: pa.Table, schema: Any) -> pa.Table:
    """Return the table in the types of a schema that `joined_schema` made."""
    if table.schema.equals(schema):
        return table
    columns = []
    for column, field in zip(table.columns, schema, strict=True):
        if pa.types.is_floating(column.type) and pa.types.is_string(field.type):
            missing = pc.is_nan(column)  # NaN is a missing cell, not the word "nan"
            column = pc.if_else(missing, pa.scalar(None, column.type), column)
        same = column.type == field.type
        columns.append(column if same else column.cast(field.type, safe=False))
    return pa.table(columns, schema=schema)


def join_tables(tables: list[pa.Table]) -> pa.Table:
    """Put tables of the same columns below one another; columns of mixed types become text.

    Examples
    --------
    >>> join_tables([pa.table({"a": [1, 2]}), pa.table({"a": ["x"]})])["a"].to_pylist()
    ['1', '2', 'x']
    """
    schema = tables[0].schema
    for table in tables[1:]:
        schema = joined_schema(schema, table.schema)
    return pa.concat_tables([cast_table(table, schema) for table in tables])


def rows_table(rows: list[dict[str, Any]], columns: list[str]) -> pa.Table:
    """Turn dictionaries into a table of these columns."""
    arrays = [value_array([row.get(name) for row in rows]) for name in columns]
    return pa.table(arrays, names=columns)


def value_array(values: list[Any]) -> Any:
    """Turn Python values into an Arrow array; values of mixed types become text.

    Examples
    --------
    >>> value_array([1, None, "x"]).to_pylist()
    ['1', None, 'x']
    >>> value_array([{"a": 1}, None]).to_pylist()
    ['{"a": 1}', None]
    """
    simple = (int, float, str, datetime, date, Decimal)  # bool is an int
    kinds = {type(value) for value in values if value is not None}
    if kinds and all(issubclass(kind, timedelta) for kind in kinds):
        values = [None if value is None else value.total_seconds() for value in values]
        kinds = {float}
    if all(issubclass(kind, simple) for kind in kinds):
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError, TypeError):
            pass
    return pa.array([None if value is None else value_text(value) for value in values], pa.string())


def value_text(value: Any) -> str:
    """Write one value as text: containers as JSON, bytes in hexadecimal."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def plain_table(table: pa.Table) -> pa.Table:
    """Return the table with dictionaries decoded and nested values as JSON text."""
    return pa.table([plain_column(c) for c in table.columns], names=table.column_names)


def plain_column(column: Any) -> Any:
    """Return a column of simple values: numbers, booleans, times or text; durations in seconds.

    Examples
    --------
    >>> plain_column(pa.chunked_array([pa.array([1500, None], pa.duration("ms"))])).to_pylist()
    [1.5, None]
    """
    kind = column.type
    if pa.types.is_duration(kind):
        per_second = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
        return pc.divide(column.cast(pa.int64()).cast(pa.float64(), safe=False), per_second)
    if pa.types.is_dictionary(kind):
        return plain_column(column.cast(kind.value_type))
    if pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_float16(kind):  # Arrow counts and compares only wider ones
        return column.cast(pa.float32())
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        if not pa.types.is_nested(kind):
            try:
                return column.cast(pa.string())
            except pa.ArrowInvalid:
                pass
        texts = [None if v is None else value_text(v) for v in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    return column
