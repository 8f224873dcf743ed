"""From the bytes of a request to values in the schema's order, compiled once for each schema."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from promise.data.schema import Field, Schema
from promise.errors import DataError, PromiseError, near
from promise.pipeline.json_text import NAMED, MalformedRequest, read_json
from promise.pipeline.json_types import (
    ACCEPTED,
    NO_FIELDS,
    Check,
    check_of,
    compiled_row,
    expected,
    json_kind,
)
from promise.pipeline.row_schema import row_schema

ROWS = "rows"
DIAGNOSED_BYTES = 1_000_000
"""Above this size only the row that was refused is read a second time, where it is known."""

TEXT = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\Z)', re.DOTALL)
AT_ROW = re.compile(r" - at `\$\.rows\[(\d+)\]")

_UNFIT = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
Values = tuple[Any, ...]


class _RowsUnread(msgspec.Struct):
    rows: list[msgspec.Raw]


_ROWS_UNREAD = msgspec.json.Decoder(_RowsUnread)


class TooManyRows(PromiseError):
    """The batch is longer than one request may be."""


class Decoded(NamedTuple):
    """What a body holds.

    Parameters
    ----------
    rows
        Values in schema order.
    batch
        Whether they came as `rows`.
    exact
        Whether one row came with nothing in it that is passed over.
    """

    rows: list[Values]
    batch: bool
    exact: bool


class RequestCodec:
    """Decodes JSON rows strictly: every field present (null for missing), right types, no others.

    Parameters
    ----------
    schema
        The request's fields: numbers as JSON numbers, booleans as truth values or 0 and 1,
        categories as text, numbers or truth values, dates in the field's formats: ISO 8601 text
        unless it has others. A date may also be one of the field's tokens for a missing value.
    row_limit
        Most rows of one batch.
    optional
        Further fields that may be absent; they come behind the others, `msgspec.UNSET` for absent.
    others
        Whether fields that neither names are passed over instead of refused.
    ignored
        Names of fields that are passed over, such as the columns of the training table that the
        model does not read.

    Examples
    --------
    >>> codec = RequestCodec(Schema((Field("age", "number"), Field("sex", "category"))))
    >>> codec.decode(b'{"sex": "f", "age": 41}')
    ([(41.0, 'f')], False)
    >>> codec.decode(b'{"rows": [{"age": null, "sex": "m"}]}')
    ([(None, 'm')], True)
    >>> more = RequestCodec(Schema((Field("age", "number"),)),
    ...                     optional=Schema((Field("sex", "category"),)))
    >>> more.decode(b'{"age": 41}'), more.decode(b'{"age": 41, "sex": "f"}')
    (([(41.0, UNSET)], False), ([(41.0, 'f')], False))
    """

    def __init__(
        self,
        schema: Schema,
        *,
        row_limit: int = 10_000,
        optional: Schema = NO_FIELDS,
        others: bool = False,
        ignored: Iterable[str] = (),
    ) -> None:
        self._schema, self._optional, self._others = schema, optional, others
        self._limit = row_limit
        self._fields = (*schema.fields, *optional.fields)
        self._types = {f.name: ACCEPTED[json_kind(f)] for f in self._fields}
        self.ignored = tuple(dict.fromkeys(n for n in ignored if n not in {*self._types, ROWS}))
        known = {f.name: check for f in self._fields if (check := check_of(f)) is not None}
        self._check_of: dict[str, Check] = known
        self._checks = tuple(
            (place, known[f.name]) for place, f in enumerate(self._fields) if f.name in known
        )
        self._batched = ROWS not in self._types
        self._row, self._batch = self._compiled(optional)
        # what is passed over is looked for only in a body that does not fit without it
        self._row_beside, self._batch_beside = None, None
        if self.ignored:
            beside = tuple(Field(name, "category") for name in self.ignored)
            self._row_beside, self._batch_beside = self._compiled(
                Schema((*optional.fields, *beside))
            )

    def _compiled(self, optional: Schema) -> tuple[Any, Any]:
        """Return decoders of one row and of a batch; None where there is none."""
        row: Any = compiled_row(self._schema, optional, others=self._others)
        if row is None:
            return None, None
        # beside others' fields a whole batch would pass for a row, if all of a row's were optional
        alone = bool(self._schema.fields) or not self._others or not self._batched
        batch: Any = None
        if self._batched:
            batch = msgspec.defstruct("Batch", [(ROWS, list[row])], forbid_unknown_fields=True)
        return (
            msgspec.json.Decoder(row) if alone else None,
            None if batch is None else msgspec.json.Decoder(batch),
        )

    def decode(self, body: bytes) -> tuple[list[Values], bool]:
        """Return rows as tuples of values in schema order, and whether it was a batch.

        One object is one row; `{"rows": [...]}` is a batch (unless the schema has a field `rows`).
        A key that occurs twice counts with its last value, as in every JSON reader.

        Raises
        ------
        MalformedRequest
            The body is no JSON object (HTTP 400).
        DataError
            A field is missing, unknown (near match named) or of a wrong type; names row and field
            (422).
        TooManyRows
            (413).
        """
        return self.read(body)[:2]

    def read(self, body: bytes) -> Decoded:
        """Return what `decode` does, and whether a row came with nothing that is passed over."""
        if self._row is not None:
            try:
                row = msgspec.structs.astuple(self._row.decode(body))
            except _UNFIT:
                pass  # a batch, or refused below in words
            else:
                return Decoded([self._read(row, None) if self._checks else row], False, True)
        if self._row_beside is not None:
            try:
                row = msgspec.structs.astuple(self._row_beside.decode(body))
            except _UNFIT:
                pass
            else:
                return Decoded([self._read(row[: len(self._fields)], None)], False, False)
        if self._batched and b'"rows"' in body:
            self._count(body)
        rows, batch = self._many(body)
        return Decoded(rows, batch, not self.ignored)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON schema of one row, for OpenAPI."""
        return row_schema(self._schema, self._optional, self.ignored)

    def _count(self, body: bytes) -> None:
        """Refuse a batch that is too long, before any object of it is built."""
        if body.count(b"{") <= self._limit + 1:
            return
        n_rows = TEXT.sub(b"", body).count(b"{") - 1
        if n_rows > self._limit:
            raise too_many(n_rows, self._limit)

    def _bound(self, n_rows: int) -> None:
        """Refuse a batch with too many rows, or with none."""
        if n_rows > self._limit:
            raise too_many(n_rows, self._limit)
        if not n_rows:
            raise DataError("rows is empty; send at least one.")

    def _many(self, body: bytes) -> tuple[list[Values], bool]:
        refusal: Exception | None = None
        for decoder in (self._batch, self._batch_beside):
            if decoder is None:
                continue
            try:
                rows = decoder.decode(body).rows
            except _UNFIT as error:
                refusal = error
            else:
                self._bound(len(rows))
                width, values = len(self._fields), map(msgspec.structs.astuple, rows)
                return [self._read(row[:width], n) for n, row in enumerate(values)], True
        if isinstance(refusal, msgspec.ValidationError) and len(body) > DIAGNOSED_BYTES:
            self._in_one_row(body, refusal)
        return self._slowly(body)

    def _read(self, row: Values, number: int | None) -> Values:
        """Return a row whose values can be read; the decoder knows types alone."""
        for place, check in self._checks:
            value = row[place]
            if value is not UNSET and not check(value):
                raise self._unreadable(value, self._fields[place], number)
        return row

    def _unreadable(self, value: Any, field: Field, number: int | None) -> DataError:
        return DataError(
            f"{place(number)}the field {field.name!r} holds {value!r:.80}, expected "
            f"{expected(field)}, or null where it is unknown."
        )

    def _in_one_row(self, body: bytes, refusal: Exception) -> None:
        """Raise what is wrong with the row that the decoder has refused, if it named one."""
        found = AT_ROW.search(str(refusal))
        if found is None:
            return
        with suppress(*_UNFIT):
            number = int(found[1])
            for raw in _ROWS_UNREAD.decode(body).rows[number : number + 1]:
                self._checked(msgspec.json.decode(raw), number)

    def _slowly(self, body: bytes) -> tuple[list[Values], bool]:
        """Read a body value by value: the readable twin of the compiled decoder."""
        data = read_json(body, f"one JSON object with the fields {self._shown()}")
        if not isinstance(data, dict):
            raise MalformedRequest(
                f"the body is {NAMED.get(type(data), 'no object')}, expected one JSON object: "
                f"a row with the fields {self._shown()}"
                + (', or {"rows": [...]}.' if self._batched else ".")
            )
        rows = data.get(ROWS)
        if self._batched and len(data) == 1 and ROWS in data and not isinstance(rows, list):
            came = NAMED.get(type(rows), "no list")
            raise DataError(f"'rows' holds {came}, expected a list of objects.")
        if not self._batched or not isinstance(rows, list):
            return [self._checked(data, None)], False
        self._bound(len(rows))
        if len(data) > 1:
            beside = next(name for name in data if name != ROWS)
            raise DataError(f"beside 'rows' there is {beside!r}; a batch holds 'rows' alone.")
        return [self._checked(row, number) for number, row in enumerate(rows)], True

    def _checked(self, row: Any, number: int | None) -> Values:
        """Return the values of one row, or say what is wrong with it."""
        if not isinstance(row, dict):
            came = NAMED.get(type(row), "no object")
            raise DataError(f"{place(number)}it is {came}, expected an object with the fields "
                            f"{self._shown()}.")  # fmt: skip
        for name in row:
            if name not in self._types and not self._others and name not in self.ignored:
                raise self._unknown(name, number)
        missing = [name for name in self._schema.names if name not in row]
        if missing:
            one = len(missing) == 1
            raise DataError(
                f"{place(number)}the field{'' if one else 's'} {listed(missing)} "
                f"{'is' if one else 'are'} missing; send null where a value is unknown."
            )
        return tuple(
            self._value(row[f.name], f, number) if f.name in row else UNSET for f in self._fields
        )

    def _value(self, value: Any, field: Field, number: int | None) -> Any:
        where = f"{place(number)}the field {field.name!r}"
        if type(value) not in self._types[field.name]:
            raise DataError(
                f"{where} holds {NAMED.get(type(value), 'something else')}, "
                f"expected {expected(field)}, or null where it is unknown."
            )
        check = self._check_of.get(field.name)
        if check is not None and not check(value):
            raise self._unreadable(value, field, number)
        if field.type != "number" or type(value) is not int:
            return value
        try:
            return float(value)
        except OverflowError as error:
            raise DataError(f"{where} holds a number beyond what 64-bit floats hold.") from error

    def _unknown(self, name: str, number: int | None) -> DataError:
        return DataError(
            f"{place(number)}there is no field {name[:80]!r}; {near(name[:80], self._types)}"
        )

    def _shown(self) -> str:
        return listed(self._schema.names)


def listed(names: Sequence[str]) -> str:
    """Name the first six.

    Examples
    --------
    >>> listed(["age", "plan"]), listed([str(number) for number in range(8)])
    ("'age', 'plan'", "'0', '1', '2', '3', '4', '5' and 2 more")
    """
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(repr(name) for name in names[:6]) + more


def too_many(n_rows: int, limit: int) -> TooManyRows:
    """Say how long a batch is and may be."""
    return TooManyRows(
        f"the batch has {n_rows:,} rows, at most {limit:,} are answered at once; split it, "
        "or use `promise predict` for files."
    )


def place(number: int | None) -> str:
    """Say which row of a batch is meant; a single row needs no number."""
    return "" if number is None else f"row {number}: "
