"""What happened to an entity, as its system told it: idempotent by event id, read in order."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.errors import DataError, near
from promise.records.isolation import wait_in_line
from promise.state.database import Database, Migrations
from promise.state.moments import from_text, to_text

KEYS = ("event_id", "entity", "type", "at", "payload")
"""What an event says of itself."""
TEXT_LIMIT = 200
"""Most characters of an id, an entity or a type."""
PAYLOAD_LIMIT = 65_536
"""Most characters of a payload, written as JSON."""

_LOCK = 0x45564E54  # "EVNT": held while numbers are given, so that they follow the commits
_LOOKED_UP = 2_000  # ids in one question: SQLite bounds the parameters of a statement
_TEXT = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")

EVENTS = Migrations(
    "events",
    (
        """CREATE TABLE events (
            number BIGINT NOT NULL PRIMARY KEY,
            model VARCHAR(63) NOT NULL,
            event_id VARCHAR(200) NOT NULL,
            entity VARCHAR(200) NOT NULL,
            type VARCHAR(200) NOT NULL,
            at VARCHAR(40) NOT NULL,
            received_at VARCHAR(40) NOT NULL,
            payload TEXT NOT NULL,
            UNIQUE (model, event_id)
        )""",
        "CREATE INDEX events_of_entity ON events (model, entity, at)",
    ),
)


class EventConflict(DataError):
    """An event id came back with another content: one of the two is wrong, and neither is lost."""


@dataclass(frozen=True)
class Event:
    """One event of one model.

    Parameters
    ----------
    number
        Grows with every accepted event of the installation; readers remember how far they came.
    entity
        Whom or what it is about.
    at, received_at
        When it happened, and when it reached us.
    """

    number: int
    model: str
    event_id: str
    entity: str
    type: str
    at: datetime
    received_at: datetime
    payload: dict[str, Any]


@dataclass(frozen=True)
class Accepted:
    """What came of a batch: the events as they are kept, and how many of them were new."""

    events: list[Event]
    added: int


@dataclass
class Events:
    """Accepts events and gives them back in the order in which they were committed."""

    database: Database
    clock: Clock = field(default_factory=SystemClock)

    def add(self, model: str, given: Sequence[Mapping[str, Any]]) -> Accepted:
        """Keep events `{"event_id", "entity", "type", "at"?, "payload"?}`; all of them or none.

        An event that is already kept changes nothing and is returned as it is. Without `at` it
        happened when it came; a time names its zone.

        Raises
        ------
        DataError
            Naming the entry that cannot be kept.
        EventConflict
            When an id is known with another entity, type, time or payload.
        """
        self.database.migrate(EVENTS)
        received = self.clock.now()
        read = [_read(number, entry, model, received) for number, entry in enumerate(given)]
        pairs = zip(read, given, strict=True)
        timed = {event.event_id for event, entry in pairs if entry.get("at")}
        return self.database.run(lambda connection: _keep(connection, read, timed))

    def read(self, model: str, entry: Mapping[str, Any]) -> Event:
        """Return an event as it would be kept, without keeping it; its number is 0.

        Raises
        ------
        DataError
            When it cannot be kept.
        """
        return _read(0, entry, model, self.clock.now())

    def since(self, number: int, limit: int = 10_000, *, model: str | None = None) -> list[Event]:
        """Return events accepted after this number, in order; of one model or of all."""
        self.database.migrate(EVENTS)
        which = "" if model is None else "AND model = :model "
        query = f"SELECT * FROM events WHERE number > :number {which}ORDER BY number LIMIT :limit"
        with self.database.reading() as connection:
            rows = connection.execute(
                sa.text(query),
                {"number": number, "limit": limit} | ({} if model is None else {"model": model}),
            )
            return [_from_row(row) for row in rows.mappings()]


def _keep(connection: sa.Connection, read: list[Event], timed: set[str]) -> Accepted:
    wait_in_line(connection, _LOCK)
    kept = _known(connection, read)
    newest = connection.execute(sa.text("SELECT COALESCE(MAX(number), 0) FROM events")).scalar_one()
    fresh: list[Event] = []
    for event in read:
        known = kept.get(event.event_id)
        if known is None:
            kept[event.event_id] = event
            fresh.append(event)
        elif not _same(known, event, timed):
            raise EventConflict(
                f"event_id {event.event_id!r} is already kept with another content "
                f"({_difference(known, event)}); give every event an id of its own."
            )
    numbered = {
        event.event_id: Event(**{**vars(event), "number": newest + place})
        for place, event in enumerate(fresh, start=1)
    }
    if numbered:
        columns = ", ".join(f":{name}" for name in Event.__dataclass_fields__)
        connection.execute(
            sa.text(f"INSERT INTO events VALUES ({columns})"),
            [_to_row(event) for event in numbered.values()],
        )
    kept |= numbered
    return Accepted([kept[event.event_id] for event in read], len(numbered))


def _known(connection: sa.Connection, read: list[Event]) -> dict[str, Event]:
    question = sa.text("SELECT * FROM events WHERE model = :model AND event_id IN :ids").bindparams(
        sa.bindparam("ids", expanding=True)
    )
    ids = list(dict.fromkeys(event.event_id for event in read))
    kept: dict[str, Event] = {}
    for start in range(0, len(ids), _LOOKED_UP):
        asked = {"model": read[0].model, "ids": ids[start : start + _LOOKED_UP]}
        for row in connection.execute(question, asked).mappings():
            event = _from_row(row)
            kept[event.event_id] = event
    return kept


def _same(known: Event, event: Event, timed: set[str]) -> bool:
    at = event.event_id not in timed or known.at == event.at
    return at and (known.entity, known.type, known.payload) == (
        event.entity, event.type, event.payload
    )  # fmt: skip


def _difference(known: Event, event: Event) -> str:
    for name in ("entity", "type", "payload", "at"):
        was, came = getattr(known, name), getattr(event, name)
        if was != came:
            return f"{name} differs"
    return "the time differs"


def _read(number: int, entry: Mapping[str, Any], model: str, received: datetime) -> Event:
    where = f"event {number}"
    for name in entry:
        if name not in KEYS:
            raise DataError(f"{where}: there is no field {name!r}; {near(name, KEYS)}")
    payload = entry.get("payload")
    payload = {} if payload is None else payload
    if not isinstance(payload, Mapping):
        raise DataError(f"{where}: payload is {type(payload).__name__}, expected an object.")
    try:
        length = len(json.dumps(payload, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: the payload cannot be written as JSON: {error}.") from error
    if length > PAYLOAD_LIMIT:
        raise DataError(
            f"{where}: the payload is longer than {PAYLOAD_LIMIT:,} characters of JSON; send what "
            "the model reads."
        )
    names = ("event_id", "entity", "type")
    texts = {name: read_text(where, name, entry.get(name)) for name in names}
    at = read_time(where, "at", entry.get("at")) or received
    return Event(number=0, model=model, at=at, received_at=received, payload=dict(payload), **texts)


def read_text(where: str, name: str, value: Any) -> str:
    """Return a short text that every database keeps as it is; whole numbers are written out.

    Examples
    --------
    >>> read_text("event 0", "entity", 41)
    '41'
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None:
        raise DataError(f"{where}: {name} is missing.")
    if not isinstance(value, str):
        raise DataError(f"{where}: {name} is {type(value).__name__}, expected text.")
    if not 1 <= len(value) <= TEXT_LIMIT or not _TEXT.fullmatch(value):
        raise DataError(
            f"{where}: {name} must have 1 to {TEXT_LIMIT} printable characters, it has "
            f"{len(value)}."
        )
    return value


def read_time(where: str, name: str, value: Any) -> datetime | None:
    """Return a time in UTC, None where none is given.

    Examples
    --------
    >>> read_time("event 0", "at", "2026-01-01T10:00:00+02:00")
    datetime.datetime(2026, 1, 1, 8, 0, tzinfo=datetime.timezone.utc)
    """
    if value is None or value == "":
        return None
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise DataError(
        f"{where}: {name} is {value!r:.80}; expected a time with its zone, such as "
        "2026-01-31T12:00:00Z."
    )


def _to_row(event: Event) -> dict[str, Any]:
    return {
        **vars(event),
        "at": to_text(event.at),
        "received_at": to_text(event.received_at),
        "payload": json.dumps(event.payload, sort_keys=True),
    }


def _from_row(row: Mapping[Any, Any]) -> Event:
    return Event(
        **{
            **row,
            "at": from_text(row["at"]),
            "received_at": from_text(row["received_at"]),
            "payload": json.loads(row["payload"]),
        }
    )
