"""Tensors of the Open Inference Protocol as rows of a request, and answers as tensors."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from promise.data.schema import Field, Schema
from promise.errors import DataError, near
from promise.pipeline.json_types import NO_FIELDS, json_kind

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
    "FP16", "FP32", "FP64", "BYTES",
]  # fmt: skip
Dimension = Annotated[int, Meta(ge=0, le=10_000_000)]

_BITS = {
    "UINT8": (0, 2**8), "UINT16": (0, 2**16), "UINT32": (0, 2**32), "UINT64": (0, 2**64),
    "INT8": (-(2**7), 2**7), "INT16": (-(2**15), 2**15), "INT32": (-(2**31), 2**31),
    "INT64": (-(2**63), 2**63),
}  # fmt: skip
_FLOATS = ("FP16", "FP32", "FP64")
_NUMBERS = (*_BITS, *_FLOATS)
_READS: dict[str, tuple[str, ...]] = {
    "number": _NUMBERS,
    "boolean": ("BOOL", *_NUMBERS),
    "category": ("BYTES", "BOOL", *_NUMBERS),
    "text": ("BYTES",),
    "date": ("BYTES", *_NUMBERS),
    "iso": ("BYTES",),
    "epoch": _NUMBERS,
}
"""Datatypes that each kind of `promise.pipeline.json_types` is read from."""
_NATIVE = {"number": "FP64", "boolean": "BOOL", "epoch": "FP64"}


class TensorSent(Struct):
    """One named input: its values row by row, flat or nested; null stands for missing."""

    name: str
    shape: Annotated[list[Dimension], Meta(min_length=1, max_length=2)]
    datatype: Datatype
    data: list[Any]
    parameters: dict[str, Any] | None = None


class TensorAnswer(Struct, omit_defaults=True):
    """One named output, row by row and flat."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] | None = None


class TensorMetadata(Struct):
    """Name, type and shape of a tensor; -1 stands for the number of rows."""

    name: str
    datatype: str
    shape: list[int]


def input_metadata(schema: Schema) -> list[TensorMetadata]:
    """Return one tensor for each field of a request."""
    return [TensorMetadata(field.name, _native(field), [-1]) for field in schema]


def _native(field: Field) -> str:
    return _NATIVE.get(json_kind(field), "BYTES")


def rows_of(
    inputs: Sequence[TensorSent],
    schema: Schema,
    optional: Schema = NO_FIELDS,
    *,
    ignored: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Return the rows that tensors hold, with JSON values as a request names them.

    One tensor for each field, of shape [n] or [n, 1]; or, where every field is a number, one
    tensor of shape [n, d] in the schema's order.

    Parameters
    ----------
    optional
        Fields whose tensor may be absent.
    ignored
        Names of tensors that are passed over, whatever they hold.

    Raises
    ------
    DataError
        Naming the tensor that does not fit.

    Examples
    --------
    >>> schema = Schema((Field("age", "number"), Field("sex", "category")))
    >>> rows_of([TensorSent("age", [2], "INT64", [41, 7]),
    ...          TensorSent("sex", [2, 1], "BYTES", [["f"], ["m"]])], schema)
    [{'age': 41, 'sex': 'f'}, {'age': 7, 'sex': 'm'}]
    """
    if not _is_matrix(inputs, schema):  # which may be called anything
        inputs = [tensor for tensor in inputs if tensor.name not in ignored]
    if _is_matrix(inputs, schema):
        return _matrix_rows(inputs[0], schema)
    named: dict[str, list[Any]] = {}
    for tensor in inputs:
        if tensor.name in named:
            raise DataError(f"tensor {tensor.name!r} came twice; send each field once.")
        fields = schema if tensor.name in schema else optional
        if tensor.name not in fields:
            known = (*schema.names, *optional.names)
            raise DataError(f"there is no input {tensor.name!r}; {near(tensor.name, known)}")
        named[tensor.name] = _column(tensor, fields[tensor.name])
    absent = [name for name in schema.names if name not in named]
    if absent:
        raise DataError(
            f"input {absent[0]!r} is missing"
            + (f" (and {len(absent) - 1} more)" if len(absent) > 1 else "")
            + "; send one tensor for each field, with null for what is not known."
        )
    lengths = {name: len(column) for name, column in named.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"the tensors differ in their number of rows: {lengths}.")
    return [dict(zip(named, values, strict=True)) for values in zip(*named.values(), strict=True)]


def _is_matrix(inputs: Sequence[TensorSent], schema: Schema) -> bool:
    if len(inputs) != 1 or len(inputs[0].shape) != 2:
        return False
    return len(schema) > 1 or inputs[0].name not in schema


def _matrix_rows(tensor: TensorSent, schema: Schema) -> list[dict[str, Any]]:
    rest = [field.name for field in schema if field.type not in ("number", "boolean")]
    if rest:
        raise DataError(
            f"one tensor can hold all inputs only where every field is a number; {rest[0]!r} is "
            f"{schema[rest[0]].type}: send one tensor for each field."
        )
    if tensor.shape[1] != len(schema):
        raise DataError(
            f"tensor {tensor.name!r} has {tensor.shape[1]} columns, the request has "
            f"{len(schema)} fields: {', '.join(schema.names)}."
        )
    if tensor.datatype == "BYTES":
        raise DataError(f"tensor {tensor.name!r} is BYTES, expected FP64 or another number type.")
    flat, wide = _values(tensor), len(schema)
    truths = [place for place, field in enumerate(schema) if field.type == "boolean"]
    rows = [flat[start : start + wide] for start in range(0, len(flat), wide)]
    for row in rows:
        for place in truths:
            if row[place] in (0, 1):
                row[place] = bool(row[place])
    return [dict(zip(schema.names, row, strict=True)) for row in rows]


def _column(tensor: TensorSent, field: Field) -> list[Any]:
    if len(tensor.shape) == 2 and tensor.shape[1] != 1:
        raise DataError(
            f"tensor {tensor.name!r} has the shape {tensor.shape}, expected [n] or [n, 1]."
        )
    if tensor.datatype not in _READS[json_kind(field)]:
        raise DataError(
            f"tensor {tensor.name!r} is {tensor.datatype}; field {field.name!r} is {field.type}, "
            f"expected {_native(field)}."
        )
    return _values(tensor)


def _values(tensor: TensorSent) -> list[Any]:
    """Return the values row by row, each checked against the tensor's type."""
    flat = list(_flat(tensor.data))
    expected = math.prod(tensor.shape)
    if len(flat) != expected:
        raise DataError(
            f"tensor {tensor.name!r} holds {len(flat)} values, its shape {tensor.shape} says "
            f"{expected}."
        )
    for place, value in enumerate(flat):
        if value is not None and not _fits(value, tensor.datatype):
            raise DataError(
                f"tensor {tensor.name!r}, value {place}: {value!r} is no {tensor.datatype}."
            )
    return flat


def _flat(data: list[Any]) -> Iterable[Any]:
    for value in data:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _fits(value: Any, datatype: str) -> bool:
    if datatype == "BOOL":
        return isinstance(value, bool)
    if datatype == "BYTES":
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if datatype in _FLOATS:
        return True
    low, high = _BITS[datatype]
    return isinstance(value, int) and low <= value < high
