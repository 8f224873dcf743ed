"""The one connection to the database; each room brings its own tables and migrations."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from promise.errors import ConfigError

_LOCK_KEY = 0x50524F4D  # "PROM": the advisory lock that migrations hold on Postgres


@dataclass(frozen=True)
class Migrations:
    """The forward-only steps of one room's tables, applied in order and once.

    Parameters
    ----------
    room
        Who owns the tables; steps are counted for each room.
    steps
        SQL statements or functions of a connection; never edited once released.
    """

    room: str
    steps: Sequence[str | Callable[[sa.Connection], None]]


@dataclass
class Database:
    """SQLite embedded or Postgres by URL, with the same manners.

    `transaction` takes the write lock at its start, so that a read inside it stays true until
    the commit: on SQLite by `BEGIN IMMEDIATE`, on Postgres by `SERIALIZABLE` isolation.

    Examples
    --------
    >>> database = Database("sqlite://")
    >>> with database.transaction() as connection:
    ...     connection.execute(sa.text("SELECT 1")).scalar()
    1
    """

    url: str
    _engine: sa.Engine | None = None
    _migrated: set[str] = field(default_factory=set)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def engine(self) -> sa.Engine:
        """The SQLAlchemy engine, made at first use."""
        with self._guard:
            if self._engine is None:
                self._engine = _open(self.url)
            return self._engine

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Run a block under the write lock; commit at its end, roll back on any error."""
        with self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Run a block that only reads; it waits for no writer."""
        options = {"isolation_level": "AUTOCOMMIT"}
        with self.engine.connect().execution_options(**options) as connection:
            yield connection

    def migrate(self, migrations: Migrations) -> None:
        """Apply the room's missing steps, each in order, under one lock."""
        if migrations.room in self._migrated:
            return
        with self.transaction() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(
                    sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY}
                )
            connection.execute(
                sa.text(
                    "CREATE TABLE IF NOT EXISTS promise_migrations "
                    "(room VARCHAR(64) NOT NULL, step INTEGER NOT NULL, PRIMARY KEY (room, step))"
                )
            )
            self._apply(connection, migrations)
        self._migrated.add(migrations.room)

    @staticmethod
    def _apply(connection: sa.Connection, migrations: Migrations) -> None:
        done = connection.execute(
            sa.text("SELECT COUNT(*) FROM promise_migrations WHERE room = :room"),
            {"room": migrations.room},
        ).scalar_one()
        if done > len(migrations.steps):
            raise ConfigError(
                f"the database was written by a newer Promise ({migrations.room} step {done}, "
                f"known here: {len(migrations.steps)}); upgrade this installation."
            )
        for number, step in enumerate(migrations.steps[done:], start=done + 1):
            if isinstance(step, str):
                connection.execute(sa.text(step))
            else:
                step(connection)
            connection.execute(
                sa.text("INSERT INTO promise_migrations VALUES (:room, :step)"),
                {"room": migrations.room, "step": number},
            )

    def close(self) -> None:
        """Give back every connection."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None


def _open(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigError(
            f"PROMISE_DATABASE is {url!r}, which is no database URL; "
            "expected e.g. postgresql+psycopg://user@host/name."
        ) from error
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed)
    try:
        return sa.create_engine(parsed, isolation_level="SERIALIZABLE", pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the driver for {parsed.drivername} is not installed ({error.name}); "
            "for Postgres: pip install 'promise-ml[postgres]'."
        ) from error


def _open_sqlite(url: sa.URL) -> sa.Engine:
    memory = url.database in (None, "", ":memory:")
    if not memory:
        Path(str(url.database)).absolute().parent.mkdir(parents=True, exist_ok=True)
    extra: dict[str, Any] = {"poolclass": sa.pool.StaticPool} if memory else {}
    engine = sa.create_engine(
        url, connect_args={"timeout": 30, "check_same_thread": False}, **extra
    )

    @event.listens_for(engine, "connect")
    def _connect(raw: Any, _record: Any) -> None:
        raw.isolation_level = None  # the driver's own BEGIN is deferred; ours is not
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute("PRAGMA synchronous=NORMAL")
        raw.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
