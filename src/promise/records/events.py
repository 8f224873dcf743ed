"""What happened to an entity, as its system told it: idempotent by event id, read in order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.errors import DataError, near
from promise.records.event_values import read_text, read_time
from promise.records.forgotten import FORGOTTEN, digests_in
from promise.records.isolation import wait_in_line
from promise.state.database import Database, Migrations
from promise.state.moments import from_text, to_text

KEYS = ("event_id", "entity", "other", "type", "at", "payload")
"""What an event says of itself."""
PAYLOAD_LIMIT = 65_536
"""Most characters of a payload, written as JSON."""

EVENTS_LOCK = 0x45564E54  # "EVNT"
"""Held while numbers are given, so that they follow the commits."""
_LOOKED_UP = 2_000  # ids in one question: SQLite bounds the parameters of a statement

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
        "ALTER TABLE events ADD COLUMN other VARCHAR(200) NOT NULL DEFAULT ''",
        # ids differ early in their texts, the model's name never: such keys compare sooner
        "DROP INDEX events_of_entity",
        "CREATE INDEX events_of_entity ON events (entity, model)",
        "CREATE INDEX events_of_other ON events (other, model) WHERE other <> ''",
        # who follows one model's log reads none of the others' events
        "CREATE INDEX events_in_order ON events (model, number)",
    ),
)


Told = tuple[int, str, str, str, datetime, dict[str, Any]]
"""Number, entity, other, type, time and payload of an event."""


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
    other
        To whom or what it was done; empty where it is about the entity alone.
    """

    number: int
    model: str
    event_id: str
    entity: str
    type: str
    at: datetime
    received_at: datetime
    payload: dict[str, Any]
    other: str = ""


@dataclass(frozen=True)
class Accepted:
    """What came of a batch: the events as they are kept, and how many of them were new.

    Parameters
    ----------
    forgotten
        Events left out, since they tell of somebody who asked to be deleted.
    """

    events: list[Event]
    added: int
    forgotten: int = 0


@dataclass
class Events:
    """Accepts events and gives them back in the order in which they were committed."""

    database: Database
    clock: Clock = field(default_factory=SystemClock)

    def add(self, model: str, given: Sequence[Mapping[str, Any]]) -> Accepted:
        """Keep events `{"event_id", "entity", "type", "other"?, "at"?, "payload"?}`; all or none.

        An event that is already kept changes nothing and is returned as it is. Without `at` it
        happened when it came; a time names its zone. What tells of somebody who was forgotten is
        left out.

        Raises
        ------
        DataError
            Naming the entry that cannot be kept.
        EventConflict
            When an id is known with another entity, type, time or payload.
        """
        self.database.migrate(EVENTS)
        self.database.migrate(FORGOTTEN)
        received = self.clock.now()
        read = [_read(number, entry, model, received) for number, entry in enumerate(given)]
        pairs = zip(read, given, strict=True)
        timed = {event.event_id for event, entry in pairs if entry.get("at")}
        return self.database.run(lambda connection: _keep(connection, read, timed))

    def read(self, model: str, entry: Mapping[str, Any], place: int = 0) -> Event:
        """Return an event as it would be kept, without keeping it; its number is 0.

        Parameters
        ----------
        place
            Of the entry among those that came, by which an error names it.

        Raises
        ------
        DataError
            When it cannot be kept.
        """
        return _read(place, entry, model, self.clock.now())

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

    def told_since(self, number: int, limit: int, *, model: str) -> list[Told]:
        """Return what `since` does, as little of each event as who follows the log needs."""
        self.database.migrate(EVENTS)
        query = (
            "SELECT number, entity, other, type, at, payload FROM events "
            "WHERE number > :number AND model = :model ORDER BY number LIMIT :limit"
        )
        asked = {"number": number, "limit": limit, "model": model}
        with self.database.reading() as connection:
            rows = connection.execute(sa.text(query), asked).all()
        return [
            (row[0], row[1], row[2], row[3], from_text(row[4]),
             {} if row[5] == "{}" else json.loads(row[5]))
            for row in rows
        ]  # fmt: skip

    def head(self) -> int:
        """Return the number of the event that was accepted last, of any model; 0 before the first.

        Numbers never fall, whatever is deleted.
        """
        self.database.migrate(EVENTS)
        with self.database.reading() as connection:
            query = sa.text("SELECT COALESCE(MAX(number), 0) FROM events")
            return int(connection.execute(query).scalar_one())


def _keep(connection: sa.Connection, read: list[Event], timed: set[str]) -> Accepted:
    wait_in_line(connection, EVENTS_LOCK)
    came, read = len(read), _without_forgotten(connection, read)
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
        names = list(Event.__dataclass_fields__)
        values = ", ".join(f":{name}" for name in names)
        connection.execute(
            sa.text(f"INSERT INTO events ({', '.join(names)}) VALUES ({values})"),
            [_to_row(event) for event in numbered.values()],
        )
    kept |= numbered
    return Accepted(
        [kept[event.event_id] for event in read], len(numbered), forgotten=came - len(read)
    )


def _without_forgotten(connection: sa.Connection, read: list[Event]) -> list[Event]:
    named = {id for event in read for id in (event.entity, event.other) if id}
    if not named:
        return read
    gone = digests_in(connection, read[0].model, sorted(named))
    if not gone:
        return read
    return [event for event in read if event.entity not in gone and event.other not in gone]


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
    return at and (known.entity, known.other, known.type, known.payload) == (
        event.entity, event.other, event.type, event.payload
    )  # fmt: skip


def _difference(known: Event, event: Event) -> str:
    for name in ("entity", "other", "type", "payload", "at"):
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
    other = entry.get("other")
    return Event(
        number=0, model=model, at=at, received_at=received, payload=dict(payload), **texts,
        other="" if other is None else read_text(where, "other", other),
    )  # fmt: skip


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
