"""Events by the hundred thousand: a table's columns go into the log as they are."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.errors import DataError
from promise.records.events import EVENTS, EVENTS_LOCK, EventConflict
from promise.records.forgotten import FORGOTTEN, digests_in
from promise.records.isolation import wait_in_line
from promise.state.database import Database
from promise.state.moments import to_text

GIVEN = ("event_id", "entity", "other", "type", "at", "payload")
"""The columns of a table of events, all text; `other` is empty for events about one alone."""

_COLUMNS = (
    "number", "model", "event_id", "entity", "type", "at", "received_at", "payload", "other",
)  # fmt: skip
_CACHE_KB = 256 * 1024  # of SQLite: ids in no order touch every page of their index
_LOOKED_UP = 10_000  # ids in one question, well below SQLite's bound on parameters


@dataclass(frozen=True)
class Kept:
    """What came of a table of events."""

    added: int
    unchanged: int
    forgotten: int


@dataclass
class BulkEvents:
    """Keeps tables of events whose values were checked before.

    The log is the one of `Events`, and so are its rules: an id that is known changes nothing,
    numbers follow the commits, and what tells of somebody who was forgotten is left out.
    """

    database: Database
    clock: Clock = field(default_factory=SystemClock)

    def add(self, model: str, table: pa.Table, *, timed: bool = True) -> Kept:
        """Keep all events of a table, or none.

        Parameters
        ----------
        table
            The columns `GIVEN`; `at` as `promise.state.moments.to_text` writes times.
        timed
            Whether the times were told; else they are those of receipt, and another time is no
            other content.

        Raises
        ------
        EventConflict
            When an id is known, or stands twice, with another content.
        """
        self.database.migrate(EVENTS)
        self.database.migrate(FORGOTTEN)
        table = table.select(GIVEN).combine_chunks()
        compared = tuple(name for name in GIVEN[1:-1] if timed or name != "at")
        fresh, again = _each_once(table, compared)
        received = to_text(self.clock.now())

        def work(connection: sa.Connection) -> Kept:
            wait_in_line(connection, EVENTS_LOCK)
            new = told = _without_forgotten(connection, model, fresh)
            if not _inserted(connection, _numbered(connection, model, told, received)):
                new = _without_known(connection, model, told, compared)
                _insert(connection, _numbered(connection, model, new, received))
            known = told.num_rows - new.num_rows
            return Kept(new.num_rows, known + again, fresh.num_rows - told.num_rows)

        return self.database.run(work)


def _each_once(table: pa.Table, compared: Sequence[str]) -> tuple[pa.Table, int]:
    """Return each event of a table once, and how many were repetitions."""
    ids = table.column("event_id")
    if pc.count_distinct(ids).as_py() == len(ids):
        return table, 0
    seen: dict[str, int] = {}
    rows, kept = table.to_pylist(), []
    for place, row in enumerate(rows):
        first = seen.setdefault(row["event_id"], place)
        if first == place:
            kept.append(place)
        else:
            _refuse_other(rows[first], row, compared)
    return table.take(pa.array(kept)), len(rows) - len(kept)


def _without_forgotten(connection: sa.Connection, model: str, table: pa.Table) -> pa.Table:
    digests = digests_in(connection, model)
    if not digests:
        return table
    known = pa.array(
        [
            id
            for name in ("entity", "other")
            for id in pc.unique(table.column(name)).to_pylist()
            if id and id in digests
        ],
        pa.string(),
    )
    gone = pc.or_(pc.is_in(table.column("entity"), known), pc.is_in(table.column("other"), known))
    return table.filter(pc.invert(gone))


def _without_known(
    connection: sa.Connection, model: str, table: pa.Table, compared: Sequence[str]
) -> pa.Table:
    """Return the events whose ids are new; refuse one that is known with another content."""
    known: list[str] = []
    ids = table.column("event_id").to_pylist()
    for first in range(0, len(ids), _LOOKED_UP):
        some = ids[first : first + _LOOKED_UP]
        found = _known(connection, model, some)
        if found:
            rows = {row["event_id"]: row for row in table.slice(first, len(some)).to_pylist()}
            for kept in found:
                _refuse_other(kept, rows[kept["event_id"]], compared)
            known += [kept["event_id"] for kept in found]
    if not known:
        return table
    return table.filter(pc.invert(pc.is_in(table.column("event_id"), pa.array(known))))


def _known(connection: sa.Connection, model: str, ids: Sequence[str]) -> list[dict[str, Any]]:
    head = f"SELECT {', '.join(GIVEN)} FROM events WHERE model = "
    values: tuple[Any, ...] = (model, list(ids))
    query = f"{head}%s AND event_id = ANY(%s)"
    if connection.dialect.name == "sqlite":
        marks = ",".join(itertools.repeat("?", len(ids)))
        query, values = f"{head}? AND event_id IN ({marks})", (model, *ids)
    rows = connection.exec_driver_sql(query, values)
    return [dict(row) for row in rows.mappings()]


def _refuse_other(known: dict[str, Any], row: dict[str, Any], compared: Sequence[str]) -> None:
    """Refuse an event that comes back with another content."""
    differing = [name for name in compared if known[name] != row[name]]
    if json.loads(known["payload"]) != json.loads(row["payload"]):
        differing.append("payload")
    if differing:
        raise EventConflict(
            f"event_id {row['event_id']!r} is already kept with another content "
            f"({differing[0]} differs); give every event an id of its own."
        )


def _numbered(connection: sa.Connection, model: str, table: pa.Table, received: str) -> pa.Table:
    query = sa.text("SELECT COALESCE(MAX(number), 0) FROM events")
    newest, n = int(connection.execute(query).scalar_one()), table.num_rows
    columns = {
        "number": pa.array(range(newest + 1, newest + n + 1), pa.int64()),
        "model": pa.repeat(model, n),
        "received_at": pa.repeat(received, n),
        **{name: table.column(name) for name in GIVEN},
    }
    return pa.table({name: columns[name] for name in _COLUMNS})


def _inserted(connection: sa.Connection, table: pa.Table) -> bool:
    """Insert events that are likely all new, which nobody is asked first; False: one is known."""
    try:
        with connection.begin_nested():
            _insert(connection, table)
    except sa.exc.IntegrityError:
        return False
    return True


def _insert(connection: sa.Connection, table: pa.Table) -> None:
    if not table.num_rows:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, table)
        return
    connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KB}")
    marks = ", ".join("?" for _ in _COLUMNS)
    insert = f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES ({marks})"
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    connection.exec_driver_sql(insert, rows)


def _copy(connection: sa.Connection, table: pa.Table) -> None:
    text = io.BytesIO()
    options = pa.csv.WriteOptions(include_header=False, quoting_style="all_valid")
    pa.csv.write_csv(table, text, options)
    driver = connection.connection.driver_connection
    if driver is None:
        raise DataError("the database's connection was lost; import the file again.")
    into = f"COPY events ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT csv)"
    errors = connection.dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(into) as copying:
            copying.write(text.getbuffer())
    except errors as error:  # as any other statement's, so that it is told or tried again alike
        raise sa.exc.DBAPIError.instance(into, None, error, errors) from error
