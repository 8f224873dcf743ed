"""How requests to one model are read: by the fields of every version that may answer them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from promise.data.schema import Field, Schema
from promise.errors import DataError
from promise.pipeline.json_text import MalformedRequest
from promise.pipeline.wire import ROWS, Decoded, RequestCodec, TooManyRows

Row = tuple[Any, ...]

_UNREADABLE = (DataError, MalformedRequest, TooManyRows)


@dataclass(frozen=True)
class _Way:
    """How one version gets its rows from those that were read.

    Parameters
    ----------
    places
        Of its fields in the row that was read, in its own order; None where they are the row.
    absent
        Places that a request may lack.
    codec
        Reads the body again, where a field has another type or format in this version.
    never
        Whether no request can hold its fields.
    """

    places: tuple[int, ...] | None = None
    absent: tuple[int, ...] = ()
    codec: RequestCodec | None = None
    never: bool = False


class Intake:
    """Reads a request once and gives each version the rows as its own schema orders them.

    Fields of the leading version (the live one) are required and have its types. Fields that only
    other versions know may be absent; a version whose own fields are absent, or hold what it
    cannot read, does not fit that request. Where all versions read the same fields this is the
    leading version's codec and nothing else.

    Parameters
    ----------
    schemas
        The request of each version that may be asked.
    lead
        The version whose fields are required.
    ignored
        Names that are passed over where no version reads them.

    Examples
    --------
    >>> age, plan = Field("age", "number"), Field("plan", "category")
    >>> intake = Intake({1: Schema((age,)), 2: Schema((plan, age))}, lead=1)
    >>> rows, _ = intake.decode(b'{"age": 41, "plan": "gold"}')
    >>> intake.rows_for(1, rows, b""), intake.rows_for(2, rows, b"")
    ([(41.0,)], [('gold', 41.0)])
    >>> intake.rows_for(2, intake.decode(b'{"age": 41}')[0], b"") is None
    True
    """

    def __init__(
        self,
        schemas: Mapping[int, Schema],
        lead: int,
        *,
        row_limit: int = 10_000,
        ignored: Iterable[str] = (),
    ) -> None:
        self.lead, self.schema = lead, schemas[lead]
        self._schemas, self._row_limit = dict(schemas), row_limit
        self.optional = _only_others(self.schema, schemas.values())
        self._ignored = tuple(ignored)
        self.codec = RequestCodec(
            self.schema, row_limit=row_limit, optional=self.optional, ignored=self._ignored
        )
        self._fields = (*self.schema.fields, *self.optional.fields)
        self._ways = {number: self._way(schema) for number, schema in schemas.items()}
        self._led: dict[int, Intake] = {}
        entity = self.schema.find("entity")
        self._entity_at = None if entity is None else self.schema.names.index(entity.name)

    def reads(self, schemas: Mapping[int, Schema], lead: int, ignored: Iterable[str] = ()) -> bool:
        """Say whether this is what reads requests of these versions."""
        same = (lead, dict(schemas)) == (self.lead, self._schemas)
        return same and tuple(ignored) == self._ignored

    def decode(self, body: bytes) -> tuple[list[Row], bool]:
        """Return the rows, wide enough for every version, and whether they came as a batch.

        Raises
        ------
        MalformedRequest, DataError, TooManyRows
            As `RequestCodec.decode` does.
        """
        return self.codec.decode(body)

    def read(self, body: bytes) -> Decoded:
        """Return what `decode` does, and whether a row came with nothing that is passed over."""
        return self.codec.read(body)

    def plain(self, number: int) -> bool:
        """Say whether a version takes rows just as they are read."""
        return self._ways.get(number) is _PLAIN

    def names(self, number: int) -> tuple[str, ...]:
        """Return the names of a version's fields, in its order."""
        return self._schemas[number].names

    def rows_for(self, number: int, rows: Sequence[Row], body: bytes) -> Sequence[Row] | None:
        """Return rows that were read as a version orders them; None where they do not fit it.

        Parameters
        ----------
        body
            What the rows were read from.
        """
        way = self._ways.get(number)
        if way is None or way.never:
            return None
        if way.codec is not None:
            try:
                return way.codec.decode(body)[0]
            except _UNREADABLE:
                return None
        if way.places is None:
            return rows
        if way.absent and any(row[place] is UNSET for row in rows for place in way.absent):
            return None
        return [tuple([row[place] for place in way.places]) for row in rows]

    def entity(self, rows: Sequence[Row]) -> str | None:
        """Return the entity that the rows name in the schema's entity field, if they agree."""
        if self._entity_at is None or not rows:
            return None
        first = rows[0][self._entity_at]
        if first is None or any(row[self._entity_at] != first for row in rows):
            return None
        return str(first)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names that are passed over."""
        return self.codec.ignored

    @property
    def asks_entity(self) -> bool:
        """Whether a field of the request names the entity."""
        return self._entity_at is not None

    def led_by(self, number: int) -> Intake:
        """Return the intake whose required fields are those of another version."""
        if number == self.lead or self.plain(number):
            return self
        found = self._led.get(number)
        if found is None:
            found = Intake(self._schemas, number, row_limit=self._row_limit, ignored=self._ignored)
            self._led[number] = found
        return found

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON schema of one row, for OpenAPI."""
        return self.codec.json_schema()

    def _way(self, schema: Schema) -> _Way:
        read = {field.name: field for field in self._fields}
        if any(field.name not in read for field in schema):
            return _Way(never=True)
        if not all(_alike(field, read[field.name]) for field in schema):
            codec = RequestCodec(schema, row_limit=self._row_limit, others=True)
            return _Way(codec=codec)
        at = {field.name: place for place, field in enumerate(self._fields)}
        places = tuple(at[name] for name in schema.names)
        absent = tuple(place for place in places if place >= len(self.schema))
        if places == tuple(range(len(self._fields))) and not absent:
            return _PLAIN
        return _Way(places, absent)


_PLAIN = _Way()


def _alike(one: Field, other: Field) -> bool:
    """Say whether two versions take the same values of a field; dates have formats of their own."""
    if one.type != "date" or other.type != "date":
        return one.type == other.type
    return (one.format or "iso", one.nulls) == (other.format or "iso", other.nulls)


def _only_others(lead: Schema, schemas: Iterable[Schema]) -> Schema:
    """Return the fields that the leading version does not know.

    Where others disagree about a type, or how a date is written, the field takes whatever a
    category takes, which is any plain value, and each reads it again for itself. A field named
    `rows` stands for a batch as long as the leading version has none of this name.
    """
    found: dict[str, Field] = {}
    for schema in schemas:
        for field in schema:
            if field.name in lead or field.name == ROWS:
                continue
            known = found.get(field.name)
            if known is not None and not _alike(known, field):
                field = Field(field.name, "category")
            found[field.name] = field
    return Schema(tuple(found.values()))
