"""From the bytes of a request to values in the schema's order, compiled once for each schema."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from promise.data.schema import Field, Schema
from promise.errors import DataError, PromiseError, near
from promise.pipeline.row_schema import row_schema

ROWS = "rows"
DIAGNOSED_BYTES = 1_000_000
"""Above this size a refused body is not read a second time to say more about it."""

TYPES: dict[str, Any] = {
    "number": float | bool | None,  # an integer becomes the nearest float at once
    "boolean": bool | int | None,
    "category": str | int | float | bool | None,
    "text": str | None,
    "date": str | int | float | None,
}
EXPECTED = {
    "number": "a number",
    "boolean": "true, false or a whole number",
    "category": "text, a number or a truth value",
    "text": "text",
    "date": "text in the field's format, or a number",
}
NAMED = {str: "text", bool: "a truth value", int: "a whole number", float: "a number with decimals",
         list: "a list", dict: "an object", type(None): "null"}  # fmt: skip

TEXT = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\Z)', re.DOTALL)
LITERAL = re.compile(rb"[-+]?(?:NaN|nan|Infinity|inf)")
AT_BYTE = re.compile(r"\(byte (\d+)\)")
AT_PATH = re.compile(r" - at `\$(?:\.rows\[(\d+)\])?(?:\.(.+))?`$", re.DOTALL)
UNKNOWN = re.compile(r"unknown field `(.*?)`(?: - at|$)", re.DOTALL)

Values = tuple[Any, ...]


class MalformedRequest(PromiseError):
    """The body is no JSON object at all."""


class TooManyRows(PromiseError):
    """The batch is longer than one request may be."""


class RequestCodec:
    """Decodes JSON rows strictly: every field present (null for missing), right types, no others.

    Parameters
    ----------
    schema
        The request's fields: numbers and booleans as JSON numbers or truth values, categories as
        text (numbers become canonical text), dates as text in the field's format or ISO.
    row_limit
        Most rows of one batch.

    Examples
    --------
    >>> codec = RequestCodec(Schema((Field("age", "number"), Field("sex", "category"))))
    >>> codec.decode(b'{"sex": "f", "age": 41}')
    ([(41.0, 'f')], False)
    >>> codec.decode(b'{"rows": [{"age": null, "sex": "m"}]}')
    ([(None, 'm')], True)
    """

    def __init__(self, schema: Schema, *, row_limit: int = 10_000) -> None:
        self._schema = schema
        self._limit = row_limit
        self._types = {f.name: ACCEPTED[f.type] for f in schema}
        self._batched = ROWS not in schema
        row: Any = compiled_row(schema)
        self._row = None if row is None else msgspec.json.Decoder(row)
        self._batch: Any = None
        if row is not None and self._batched:
            batch = msgspec.defstruct("Batch", [(ROWS, list[row])], forbid_unknown_fields=True)
            self._batch = msgspec.json.Decoder(batch)

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
        if self._row is not None:
            try:
                return [msgspec.structs.astuple(self._row.decode(body))], False
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                pass  # a batch, or refused below in words
        if self._batched and b'"rows"' in body:
            self._count(body)
        return self._many(body)

    def rows_as_dicts(self, rows: Iterable[Values]) -> list[dict[str, Any]]:
        """Return rows as dictionaries, as the prediction log keeps them."""
        names = self._schema.names
        return [dict(zip(names, row, strict=True)) for row in rows]

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON schema of one row, for OpenAPI."""
        return row_schema(self._schema)

    def _count(self, body: bytes) -> None:
        """Refuse a batch that is too long, before any object of it is built."""
        if body.count(b"{") <= self._limit + 1:
            return
        n_rows = TEXT.sub(b"", body).count(b"{") - 1
        if n_rows > self._limit:
            raise too_many(n_rows, self._limit)

    def _many(self, body: bytes) -> tuple[list[Values], bool]:
        refusal: Exception | None = None
        if self._batch is not None:
            try:
                rows = self._batch.decode(body).rows
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                refusal = error
            else:
                if len(rows) > self._limit:
                    raise too_many(len(rows), self._limit)
                return [msgspec.structs.astuple(row) for row in rows], True
        if isinstance(refusal, msgspec.ValidationError) and len(body) > DIAGNOSED_BYTES:
            raise self._briefly(refusal)
        return self._slowly(body)

    def _briefly(self, refusal: msgspec.ValidationError) -> DataError:
        """Put the decoder's own words into ours, for bodies too large to look at again."""
        said = str(refusal)
        unknown = UNKNOWN.search(said)
        found = AT_PATH.search(said)
        row = None if found is None or found[1] is None else int(found[1])
        if unknown is not None:
            return self._unknown(unknown[1], row)
        what = AT_PATH.sub("", said).replace("`", "'")
        named = "" if found is None or found[2] is None else f"field {found[2]!r}: "
        return DataError(f"{place(row)}{named}{what[:1].lower()}{what[1:]}.")

    def _slowly(self, body: bytes) -> tuple[list[Values], bool]:
        """Read a body value by value: the readable twin of the compiled decoder."""
        data = self._parsed(body)
        if not isinstance(data, dict):
            raise MalformedRequest(
                f"the body is {NAMED.get(type(data), 'no object')}, expected one JSON object: "
                f"a row with the fields {self._shown()}"
                + (', or {"rows": [...]}.' if self._batched else ".")
            )
        rows = data.get(ROWS)
        if not self._batched or not isinstance(rows, list):
            return [self._checked(data, None)], False
        if len(rows) > self._limit:
            raise too_many(len(rows), self._limit)
        if len(data) > 1:
            beside = next(name for name in data if name != ROWS)
            raise DataError(f"beside 'rows' there is {beside!r}; a batch holds 'rows' alone.")
        return [self._checked(row, number) for number, row in enumerate(rows)], True

    def _parsed(self, body: bytes) -> Any:
        if not body.strip():
            raise MalformedRequest(
                f"the body is empty, expected one JSON object with the fields {self._shown()}."
            )
        try:
            return msgspec.json.decode(body)
        except UnicodeDecodeError as error:
            raise MalformedRequest(
                "the body is not valid UTF-8; send JSON encoded as UTF-8."
            ) from error
        except RecursionError as error:
            raise MalformedRequest(
                "the body is nested too deep; fields hold plain values."
            ) from error
        except msgspec.ValidationError as error:  # of untyped JSON only numbers can be refused
            raise DataError(
                "a number is beyond what 64-bit floats hold; send null for an unknown value."
            ) from error
        except msgspec.DecodeError as error:
            raise MalformedRequest(malformed(body, str(error))) from error

    def _checked(self, row: Any, number: int | None) -> Values:
        """Return the values of one row, or say what is wrong with it."""
        if not isinstance(row, dict):
            came = NAMED.get(type(row), "no object")
            raise DataError(f"{place(number)}it is {came}, expected an object with the fields "
                            f"{self._shown()}.")  # fmt: skip
        for name in row:
            if name not in self._types:
                raise self._unknown(name, number)
        missing = [name for name in self._types if name not in row]
        if missing:
            raise DataError(
                f"{place(number)}the field {missing[0]!r} is missing"
                + (f" (and {len(missing) - 1} more)" if len(missing) > 1 else "")
                + "; send null where a value is unknown."
            )
        return tuple(self._value(row[f.name], f, number) for f in self._schema)

    def _value(self, value: Any, field: Field, number: int | None) -> Any:
        where = f"{place(number)}the field {field.name!r}"
        if type(value) not in self._types[field.name]:
            raise DataError(
                f"{where} holds {NAMED.get(type(value), 'something else')}, "
                f"expected {EXPECTED[field.type]}, or null where it is unknown."
            )
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
        names = self._schema.names
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        return ", ".join(repr(name) for name in names[:6]) + more


ACCEPTED: dict[str, frozenset[type]] = {
    "number": frozenset((float, int, bool, type(None))),
    "boolean": frozenset((bool, int, type(None))),
    "category": frozenset((str, int, float, bool, type(None))),
    "text": frozenset((str, type(None))),
    "date": frozenset((str, int, float, type(None))),
}
"""Python types of the JSON values that a field takes; `TYPES` says the same to the decoder."""


def compiled_row(schema: Schema) -> type[msgspec.Struct] | None:
    """Return a struct of the schema's fields, or None where a name cannot be compiled.

    Attribute names are numbered: column names are free text.
    """
    names = {f"f{place}": field.name for place, field in enumerate(schema)}
    fields = [(f"f{place}", TYPES[field.type]) for place, field in enumerate(schema)]
    try:
        return msgspec.defstruct(
            "Row", fields, rename=names, forbid_unknown_fields=True, gc=False, frozen=True
        )
    except ValueError:  # quotes, backslashes and control characters in a name
        return None


def too_many(n_rows: int, limit: int) -> TooManyRows:
    """Say how long a batch is and may be."""
    return TooManyRows(
        f"the batch has {n_rows:,} rows, at most {limit:,} are answered at once; split it, "
        "or use `promise predict` for files."
    )


def malformed(body: bytes, said: str) -> str:
    """Say why bytes are no JSON, by the decoder's words and what stands there.

    Examples
    --------
    >>> malformed(b'{"age": NaN}', "JSON is malformed: invalid character (byte 8)")
    'JSON has no NaN (byte 8): send null.'
    """
    found = AT_BYTE.search(said)
    at = int(found[1]) if found else 0
    literal = LITERAL.match(body, max(0, at - 1)) or LITERAL.match(body, at)
    if found and literal:
        word = literal[0].decode().lstrip("+")
        return f"JSON has no {word} (byte {at}): send null."
    reason = said.removeprefix("JSON is malformed: ")
    return f"the body is not valid JSON: {reason[:1].lower()}{reason[1:]}."


def place(number: int | None) -> str:
    """Say which row of a batch is meant; a single row needs no number."""
    return "" if number is None else f"row {number}: "
