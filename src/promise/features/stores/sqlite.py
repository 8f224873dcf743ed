"""Event state in SQLite: one write transaction for each event, for the workers of one machine."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.errors import ConfigError
from promise.features.store import Entry, Held, Lifetimes, Reach
from promise.features.stores.answers import checked, checked_keys, duplicate, held
from promise.features.stores.batches import BATCH, batches
from promise.features.stores.frames import framed, joined, unframed
from promise.features.stores.sqlite_writes import written
from promise.state.database import Database, Migrations

FEATURE_STATE = Migrations(
    "feature_state",
    (
        """CREATE TABLE feature_entities (
            key TEXT PRIMARY KEY,
            base BIGINT NOT NULL,
            version BIGINT NOT NULL,
            snapshot BLOB,
            tail BLOB NOT NULL,
            until_us BIGINT NOT NULL
        )""",
        """CREATE TABLE feature_events (
            event_id TEXT PRIMARY KEY,
            given TEXT NOT NULL,
            seen_us BIGINT NOT NULL
        )""",
        "CREATE INDEX feature_events_by_time ON feature_events (seen_us)",
    ),
)
"""An entity's row is its snapshot and framed tail; an event's row tells the versions it gave."""

_json = msgspec.json.Encoder().encode
_IMPORTED = 5_000  # entities in one transaction: each costs a commit

# what changes state goes by the driver itself: SQLAlchemy would be most of what it costs
_KNOWN = "SELECT given FROM feature_events WHERE event_id = :id AND seen_us > :after"
# past its lifetime an entity starts anew, one version further, so that no compaction under way
# and no cached vector of its former life fits it
_APPEND = """INSERT INTO feature_entities AS e (key, base, version, snapshot, tail, until_us)
    VALUES (:key, :now, :now + 1, NULL, :frame, :until)
    ON CONFLICT (key) DO UPDATE SET
        base = CASE WHEN e.until_us <= :now THEN e.version + 1 ELSE e.base END,
        version = e.version + CASE WHEN e.until_us <= :now THEN 2 ELSE 1 END,
        snapshot = CASE WHEN e.until_us <= :now THEN NULL ELSE e.snapshot END,
        tail = CASE WHEN e.until_us <= :now THEN excluded.tail
               ELSE CAST(e.tail || excluded.tail AS BLOB) END,
        until_us = MAX(e.until_us, excluded.until_us)
    RETURNING base, version, snapshot, tail"""
_NOTE = (
    "INSERT INTO feature_events (event_id, given, seen_us) VALUES (:id, :given, :now) "
    "ON CONFLICT (event_id) DO UPDATE SET given = excluded.given, seen_us = excluded.seen_us"
)
_READ = sa.text(
    "SELECT key, base, snapshot, tail FROM feature_entities WHERE key IN :keys AND until_us > :now"
).bindparams(sa.bindparam("keys", expanding=True))
_VERSIONS = sa.text(
    "SELECT key, version FROM feature_entities WHERE key IN :keys AND until_us > :now"
).bindparams(sa.bindparam("keys", expanding=True))
_ONE = (
    "SELECT base, version, snapshot, tail FROM feature_entities "
    "WHERE key = :key AND until_us > :now"
)
_COMPACT = (
    "UPDATE feature_entities SET base = :version, snapshot = :snapshot, tail = :tail "
    "WHERE key = :key"
)
_PAGE = sa.text(
    "SELECT key, snapshot, tail FROM feature_entities WHERE key > :after AND until_us > :now "
    "ORDER BY key LIMIT :limit"
)
_IMPORT = """INSERT INTO feature_entities AS e (key, base, version, snapshot, tail, until_us)
    VALUES (:key, :now, :now + :n, :snapshot, :tail, :until)
    ON CONFLICT (key) DO UPDATE SET
        base = MAX(e.version + 1, :now),
        version = MAX(e.version + 1, :now) + :n,
        snapshot = excluded.snapshot, tail = excluded.tail, until_us = excluded.until_us
        WHERE :replace OR e.until_us <= :now"""
_EXPIRE = sa.text("DELETE FROM feature_entities WHERE until_us <= :now")
_FORGET = sa.text("DELETE FROM feature_events WHERE seen_us <= :after")


@dataclass
class SQLiteStore:
    """Keeps event state in the installation's SQLite file, with nothing to install.

    Parameters
    ----------
    database
        A SQLite database; its `wait_s` bounds how long an exchange waits for other writers.
    clock
        Tells when an entity or an event id is past its lifetime.

    Examples
    --------
    >>> store = SQLiteStore(Database("sqlite://"))
    >>> store.exchange("e1", 0, ["card:7"], b"first")[0].tail
    ()
    >>> store.exchange("e2", 5, ["card:7"], b"second")[0].tail
    (b'first',)
    """

    database: Database
    clock: Clock = field(default_factory=SystemClock)
    lifetimes: Lifetimes = field(default_factory=Lifetimes)

    def __post_init__(self) -> None:
        if not self.database.url.startswith("sqlite"):
            raise ConfigError(
                "this store needs a SQLite database; for Postgres use PostgresStore, which keeps "
                "event state for every machine."
            )
        self.database.migrate(FEATURE_STATE)

    @property
    def reach(self) -> Reach:
        """The processes of one machine."""
        return "machine"

    def exchange(self, event_id: str, at: int, keys: Sequence[str], payload: bytes) -> list[Held]:
        """Append the event to every entity, and return what each held before it."""
        distinct = checked(event_id, at, keys)
        if not distinct:
            return []
        frame = framed(payload)
        found = written(
            self.database, lambda cursor: self._exchange(cursor, event_id, at, distinct, frame)
        )
        before = {
            key: row if isinstance(row, Held) else held(row[0], row[1], unframed(row[2]))
            for key, row in found.items()
        }
        return [before[key] for key in keys]

    def _exchange(
        self, cursor: sqlite3.Cursor, event_id: str, at: int, keys: list[str], frame: bytes
    ) -> dict[str, Held | _Before]:
        """Return what each held before, unread yet: other writers wait until this returns."""
        now = self._now_us()
        after = now - self.lifetimes.remember_us
        known = cursor.execute(_KNOWN, {"id": event_id, "after": after}).fetchone()
        if known is not None:
            return _as_before(cursor, json.loads(known[0]), keys, now)
        values = {"now": now, "frame": frame, "until": self.lifetimes.until_us(at, now)}
        before: dict[str, Held | _Before] = {}
        given = {}
        for key in keys:
            values["key"] = key
            base, given[key], snapshot, tail = cursor.execute(_APPEND, values).fetchone()
            before[key] = (base, snapshot, tail[: -len(frame)])
        cursor.execute(_NOTE, {"id": event_id, "given": _json(given).decode(), "now": now})
        return before

    def compact(self, key: str, expected_version: int, snapshot: bytes) -> bool:
        """Put a snapshot in the place of the events that it folds; say whether it was taken."""

        def work(cursor: sqlite3.Cursor) -> bool:
            row = cursor.execute(_ONE, {"key": key, "now": self._now_us()}).fetchone()
            if row is None or not row[0] <= expected_version <= row[1]:
                return False
            tail = joined(unframed(row[3])[expected_version - row[0] :])
            values = {"key": key, "version": expected_version, "snapshot": snapshot, "tail": tail}
            cursor.execute(_COMPACT, values)
            return True

        return written(self.database, work)

    def read(self, keys: Sequence[str]) -> list[Held]:
        """Return the present state of entities, writing nothing."""
        distinct = checked_keys(keys)
        with self.database.reading() as connection:
            rows = _rows(connection, distinct, self._now_us())
        return [held(*rows[key]) if key in rows else Held(None, ()) for key in keys]

    def versions(self, keys: Sequence[str]) -> list[int]:
        """Return the present versions alone; 0 for entities without events."""
        distinct = checked_keys(keys)
        found: dict[str, int] = {}
        with self.database.reading() as connection:
            for part in batches(distinct):
                rows = connection.execute(_VERSIONS, {"keys": part, "now": self._now_us()})
                found.update((row.key, int(row.version)) for row in rows)
        return [found.get(key, 0) for key in keys]

    def expire(self) -> int:
        """Remove what is past its lifetime; return how many entities."""

        def work(connection: sa.Connection) -> int:
            now = self._now_us()
            connection.execute(_FORGET, {"after": now - self.lifetimes.remember_us})
            return int(connection.execute(_EXPIRE, {"now": now}).rowcount)

        return self.database.run(work)

    def export(self) -> Iterator[Entry]:
        """Yield every entity once, in the order of keys."""
        after = ""
        while True:
            with self.database.reading() as connection:
                values = {"after": after, "now": self._now_us(), "limit": BATCH}
                rows = list(connection.execute(_PAGE, values))
            for row in rows:
                yield Entry(row.key, row.snapshot, unframed(row.tail))
            if len(rows) < BATCH:
                return
            after = rows[-1].key

    def import_(self, entries: Iterable[Entry], *, replace: bool = False) -> int:
        """Take over entities, for a warm start or a backfill; return how many were taken."""
        taken = 0
        for part in batches(entries, _IMPORTED):
            checked_keys([entry.key for entry in part])
            taken += written(self.database, partial(self._import, part=part, replace=replace))
        return taken

    def _import(self, cursor: sqlite3.Cursor, part: list[Entry], replace: bool) -> int:
        now = self._now_us()
        rows: list[dict[str, Any]] = [
            {
                "key": entry.key, "now": now, "n": len(entry.tail), "snapshot": entry.snapshot,
                "tail": joined(entry.tail), "until": now + self.lifetimes.retention_us,
                "replace": replace,
            }
            for entry in part
        ]  # fmt: skip
        return int(cursor.executemany(_IMPORT, rows).rowcount)

    def close(self) -> None:
        """Leave the database to its owner, who closes it."""

    def _now_us(self) -> int:
        return int(self.clock.now().timestamp() * 1e6)


_Row = tuple[int, bytes | None, tuple[bytes, ...]]
_Before = tuple[int, bytes | None, bytes]
"""Base, snapshot and framed tail."""


def _rows(connection: sa.Connection, keys: list[str], now: int) -> dict[str, _Row]:
    found: dict[str, _Row] = {}
    for part in batches(keys):
        for row in connection.execute(_READ, {"keys": part, "now": now}):
            found[row.key] = (row.base, row.snapshot, unframed(row.tail))
    return found


def _as_before(
    cursor: sqlite3.Cursor, given: dict[str, int], keys: list[str], now: int
) -> dict[str, Held | _Before]:
    """Return what was held before an event that is known, from the versions that it gave."""
    found: dict[str, Held | _Before] = {}
    for key in keys:
        row = cursor.execute(_ONE, {"key": key, "now": now}).fetchone()
        now_held = None if row is None else (row[0], row[2], unframed(row[3]))
        found[key] = duplicate(now_held, given.get(key))
    return found
