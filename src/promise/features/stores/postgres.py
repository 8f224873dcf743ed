"""Event state in Postgres: one call of one function for each event, for every machine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy as sa

from promise.errors import ConfigError, StateError
from promise.features.store import Entry, Held, Lifetimes, Reach
from promise.features.stores.answers import checked, checked_keys, duplicate, held
from promise.features.stores.batches import BATCH, batches
from promise.features.stores.frames import framed, joined, unframed
from promise.features.stores.postgres_tables import FEATURE_STATE
from promise.state.database import Database
from promise.state.refusals import refusal_of, told

T = TypeVar("T")

_EXCHANGE = sa.text(
    "SELECT * FROM promise_feature_exchange(:event, :at, :keys, :frame, :retention, :remember)"
)
_READ = sa.text(
    "SELECT key, base, version, snapshot, tail FROM feature_entities "
    "WHERE key = ANY(:keys) AND until_us > promise_feature_now()"
)
_VERSIONS = sa.text(
    "SELECT key, version FROM feature_entities "
    "WHERE key = ANY(:keys) AND until_us > promise_feature_now()"
)
_PAGE = sa.text(
    "SELECT key, snapshot, tail FROM feature_entities "
    "WHERE key > :after AND until_us > promise_feature_now() ORDER BY key LIMIT :limit"
)
_ONE = sa.text(
    "SELECT base, version, tail FROM feature_entities "
    "WHERE key = :key AND until_us > promise_feature_now()"
)
# taken only where nothing has come since the tail was read
_COMPACT = sa.text(
    "UPDATE feature_entities SET base = :expected, snapshot = :snapshot, tail = :tail "
    "WHERE key = :key AND base = :base AND version = :version"
)
_IMPORT = sa.text(
    """INSERT INTO feature_entities AS e (key, base, version, snapshot, tail, until_us)
    SELECT :key, now_us, now_us + :n, :snapshot, :tail, now_us + :retention
        FROM promise_feature_now() AS now_us
    ON CONFLICT (key) DO UPDATE SET
        base = GREATEST(e.version + 1, excluded.base),
        version = GREATEST(e.version + 1, excluded.base) + :n,
        snapshot = excluded.snapshot, tail = excluded.tail, until_us = excluded.until_us
        WHERE :replace OR e.until_us <= excluded.base"""
)
_EXPIRE = sa.text("DELETE FROM feature_entities WHERE until_us <= promise_feature_now()")
_FORGET = sa.text("DELETE FROM feature_events WHERE seen_us <= promise_feature_now() - :remember")


@dataclass
class PostgresStore:
    """Keeps event state where every machine sees it, as durable as the database is.

    The server's clock tells what is past its lifetime, so that machines need not agree on it.
    A thread keeps a connection of its own, outside of transactions: an exchange is one round
    trip.

    Parameters
    ----------
    database
        A Postgres database; its tables are made here, its connections are not used after that.
    timeout_s
        A call that the server works on for longer fails with StateError, and soon after that one
        to a server that hangs.

    Raises
    ------
    ConfigError
        When the database is no Postgres.
    """

    database: Database
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    timeout_s: float = 5.0
    _local: threading.local = field(default_factory=threading.local, repr=False)
    _opened: list[sa.Connection] = field(default_factory=list, repr=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        if not self.database.url.startswith("postgresql"):
            raise ConfigError(
                "this store needs a Postgres database (postgresql+psycopg://…); "
                "for SQLite use SQLiteStore."
            )
        self.database.migrate(FEATURE_STATE)

    @property
    def reach(self) -> Reach:
        """Every machine that reaches the database."""
        return "cluster"

    def exchange(self, event_id: str, at: int, keys: Sequence[str], payload: bytes) -> list[Held]:
        """Append the event to every entity, and return what each held before it."""
        distinct = checked(event_id, at, keys)
        if not distinct:
            return []
        frame = framed(payload)
        values = {
            "event": event_id, "at": at, "keys": distinct, "frame": frame,
            "retention": self.lifetimes.retention_us, "remember": self.lifetimes.remember_us,
        }  # fmt: skip
        rows = self._run(lambda c: c.execute(_EXCHANGE, values).all())
        found = {row.key: _before(row, len(frame)) for row in rows}
        return [found[key] for key in keys]

    def compact(self, key: str, expected_version: int, snapshot: bytes) -> bool:
        """Put a snapshot in the place of the events that it folds; say whether it was taken."""
        # events may come between reading the tail and shortening it: then it is read again
        while True:
            row = self._run(lambda c: c.execute(_ONE, {"key": key}).one_or_none())
            if row is None or not row.base <= expected_version <= row.version:
                return False
            values = {
                "key": key, "expected": expected_version, "snapshot": snapshot, "base": row.base,
                "version": row.version,
                "tail": joined(unframed(row.tail)[expected_version - row.base :]),
            }  # fmt: skip
            if self._run(lambda c, v=values: c.execute(_COMPACT, v).rowcount):  # type: ignore[misc]
                return True

    def read(self, keys: Sequence[str]) -> list[Held]:
        """Return the present state of entities, writing nothing."""
        values = {"keys": checked_keys(keys)}
        rows = self._run(lambda c: c.execute(_READ, values).all())
        found = {row.key: held(row.base, row.snapshot, unframed(row.tail)) for row in rows}
        return [found.get(key, Held(None, ())) for key in keys]

    def versions(self, keys: Sequence[str]) -> list[int]:
        """Return the present versions alone; 0 for entities without events."""
        values = {"keys": checked_keys(keys)}
        rows = self._run(lambda c: c.execute(_VERSIONS, values).all())
        found = {row.key: int(row.version) for row in rows}
        return [found.get(key, 0) for key in keys]

    def expire(self) -> int:
        """Remove what is past its lifetime; return how many entities."""
        values = {"remember": self.lifetimes.remember_us}
        self._run(lambda c: c.execute(_FORGET, values))
        return int(self._run(lambda c: c.execute(_EXPIRE).rowcount))

    def export(self) -> Iterator[Entry]:
        """Yield every entity once, in the order of keys."""
        after = ""
        while True:
            values = {"after": after, "limit": BATCH}
            rows = self._run(lambda c, v=values: c.execute(_PAGE, v).all())  # type: ignore[misc]
            for row in rows:
                yield Entry(row.key, row.snapshot, unframed(row.tail))
            if len(rows) < BATCH:
                return
            after = rows[-1].key

    def import_(self, entries: Iterable[Entry], *, replace: bool = False) -> int:
        """Take over entities, for a warm start or a backfill; return how many were taken."""
        taken = 0
        for part in batches(entries):
            checked_keys([entry.key for entry in part])
            # in the order of keys, as exchanges lock them
            rows = [
                {
                    "key": entry.key, "n": len(entry.tail), "snapshot": entry.snapshot,
                    "tail": joined(entry.tail), "retention": self.lifetimes.retention_us,
                    "replace": replace,
                }
                for entry in sorted(part, key=lambda entry: entry.key.encode())
            ]  # fmt: skip
            taken += self.database.run(
                lambda c, rows=rows: sum(c.execute(_IMPORT, row).rowcount for row in rows)  # type: ignore[misc]
            )
        return taken

    def close(self) -> None:
        """Close the connections of every thread; the database stays its owner's."""
        with self._guard:
            opened, self._opened = self._opened, []
        for connection in opened:
            connection.close()
        self._local = threading.local()

    def _run(self, work: Callable[[sa.Connection], T]) -> T:
        """Do one statement; again where the connection was lost or another came between.

        Sending it twice is safe: an event counts once by its id, and the other statements say
        what they expect to find.
        """
        deadline = time.monotonic() + self.timeout_s
        lost = 0
        while True:
            try:
                return work(self._connection())
            except sa.exc.DBAPIError as error:
                self._drop()
                found = refusal_of(error)
                kind = found.kind if found is not None else None
                lost += kind == "away"
                again = kind in ("conflict", "duplicate") or (kind == "away" and lost < 2)
                if not again or time.monotonic() >= deadline:
                    self._tell(error)

    def _tell(self, error: sa.exc.DBAPIError) -> None:
        if getattr(error.orig, "sqlstate", None) == "57014":
            raise StateError(
                f"Postgres did not answer within {self.timeout_s:g} s; send the event again with "
                "the same id, it counts once."
            ) from error
        with told(self.database.url, self.timeout_s, conflicts=True):
            raise error

    def _connection(self) -> sa.Connection:
        kept: sa.Connection | None = getattr(self._local, "connection", None)
        if kept is not None:
            return kept
        options = {"isolation_level": "AUTOCOMMIT"}
        made = self.database.engine.connect().execution_options(**options)
        driver: Any = made.connection.driver_connection
        driver.most_s = self.timeout_s
        made.detach()  # its settings are its own, and it never goes back among the others
        milliseconds = max(1, round(self.timeout_s * 1000))
        for name in ("statement_timeout", "lock_timeout"):
            made.execute(sa.text(f"SET {name} = {milliseconds}"))
        self._local.connection = made
        with self._guard:
            self._opened.append(made)
        return made

    def _drop(self) -> None:
        kept: sa.Connection | None = getattr(self._local, "connection", None)
        if kept is None:
            return
        self._local.connection = None
        with self._guard:
            self._opened = [one for one in self._opened if one is not kept]
        kept.invalidate()
        kept.close()


def _before(row: Any, frame_size: int) -> Held:
    """Return what the entity held before the event, from the row as it is after it."""
    if row.given is None:
        return held(row.base, row.snapshot, unframed(row.tail[:-frame_size]))
    now = None if row.base is None else (row.base, row.snapshot, unframed(row.tail))
    return duplicate(now, json.loads(row.given).get(row.key))
