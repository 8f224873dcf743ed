"""The one connection to the database; each room brings its own tables and migrations."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import sqlalchemy as sa

from promise.errors import ConfigError
from promise.state import patience
from promise.state.opening import open_engine
from promise.state.refusals import Refusal, commit_told, refusal_of, told

T = TypeVar("T")
STEPS = "promise_migrations"
"""The table that says which steps of each room were applied."""
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

    Parameters
    ----------
    url
        A SQLAlchemy URL.
    wait_s
        How long a write waits for other writers before it gives up with StateError; less inside
        `promise.state.patience.at_most`.

    Examples
    --------
    >>> database = Database("sqlite://")
    >>> with database.transaction() as connection:
    ...     connection.execute(sa.text("SELECT 1")).scalar()
    1
    """

    url: str
    wait_s: float = 30.0
    _engine: sa.Engine | None = None
    _migrated: set[str] = field(default_factory=set)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def engine(self) -> sa.Engine:
        """The SQLAlchemy engine, made at first use."""
        with self._guard:
            if self._engine is None:
                self._engine = open_engine(self.url, self.wait_s)
            return self._engine

    @property
    def patience_s(self) -> float:
        """How long may be waited from now on."""
        return patience.patience_s(self.wait_s)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Run a block under the write lock; commit at its end, roll back on any error.

        Raises
        ------
        StateError
            When the database is away, full, damaged or held by another writer for too long;
            nothing was changed then, unless the connection was lost at the commit itself.
        """
        with told(self.url, self.patience_s), self._committed() as connection:
            yield connection

    @contextlib.contextmanager
    def _committed(self) -> Iterator[sa.Connection]:
        """Run a block in a transaction; tell a connection that is lost at its commit apart."""
        with self.engine.connect() as connection, connection.begin() as begun:
            yield connection
            with commit_told(self.url):
                begun.commit()

    def run(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in a transaction, again where another writer came between.

        Postgres refuses what could not have happened one after the other; the work is then done
        once more on what is true by now, so it must not keep anything from the try before.
        A key that exists already is refused for good when the second try asks for the same key:
        then it is the work that insists, not another writer that was first.

        Raises
        ------
        StateError
            When other writers came between for `wait_s` seconds, or the database is away;
            nothing was changed then, unless the connection was lost at the commit itself.
        """

        def attempt() -> T:
            with self._committed() as connection:
                return work(connection)

        return self.tried(attempt)

    def tried(self, attempt: Callable[[], T]) -> T:
        """Return what a whole transaction returns, begun again as `run` begins one again.

        Raises
        ------
        StateError
            As `run` does.
        """
        patience_s = self.patience_s
        deadline = time.monotonic() + patience_s
        taken: set[str] = set()
        for number in itertools.count():
            try:
                return attempt()
            except sa.exc.DBAPIError as error:
                found = refusal_of(error)
                if not _worth_again(found, taken) or time.monotonic() >= deadline:
                    with told(self.url, patience_s, conflicts=True):
                        raise
            time.sleep(random.uniform(0, 0.005 * 2 ** min(number, 6)))
        raise AssertionError("the loop above ends by returning or raising")

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Run a block that only reads; it waits for no writer."""
        options = {"isolation_level": "AUTOCOMMIT"}
        with (
            told(self.url, self.patience_s),
            self.engine.connect().execution_options(**options) as connection,
        ):
            yield connection

    def migrate(self, migrations: Migrations) -> None:
        """Apply the room's missing steps, each in order, under one lock.

        Where nothing is missing, as nearly always, no lock is taken.

        Raises
        ------
        ConfigError
            When a newer Promise has written the database.
        """
        if migrations.room in self._migrated:
            return
        if not self._complete(migrations):
            self._climb(migrations)
        self._migrated.add(migrations.room)

    def _complete(self, migrations: Migrations) -> bool:
        with self.reading() as connection:
            if not sa.inspect(connection).has_table(STEPS):
                return False
            return _steps_done(connection, migrations) == len(migrations.steps)

    def _climb(self, migrations: Migrations) -> None:
        with told(self.url, self.patience_s), self.engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                # a snapshot taken before the lock was granted would not show what its holder did
                connection = connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    lock = sa.text("SELECT pg_advisory_xact_lock(:key)")
                    connection.execute(lock, {"key": _LOCK_KEY})
                make_steps(connection)
                climb(connection, migrations)

    def close(self) -> None:
        """Give back every connection."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None


def _worth_again(found: Refusal | None, taken: set[str]) -> bool:
    """Say whether a second try may go better; remember the keys that were taken."""
    if found is None or found.kind not in ("conflict", "duplicate", "locked"):
        return False
    if found.kind == "duplicate":
        if found.detail in taken:
            return False
        taken.add(found.detail)
    return True


def _steps_done(connection: sa.Connection, migrations: Migrations) -> int:
    done: int = connection.execute(
        sa.text(f"SELECT COUNT(*) FROM {STEPS} WHERE room = :room"),
        {"room": migrations.room},
    ).scalar_one()
    if done > len(migrations.steps):
        raise ConfigError(
            f"the database was written by a newer Promise ({migrations.room} step {done}, "
            f"known here: {len(migrations.steps)}); upgrade this installation."
        )
    return done


def make_steps(connection: sa.Connection) -> None:
    """Make the table of applied steps where it is missing."""
    connection.execute(
        sa.text(
            f"CREATE TABLE IF NOT EXISTS {STEPS} "
            "(room VARCHAR(64) NOT NULL, step INTEGER NOT NULL, PRIMARY KEY (room, step))"
        )
    )


def climb(connection: sa.Connection, migrations: Migrations, last: int | None = None) -> None:
    """Apply a room's missing steps, up to `last` of them, inside the caller's transaction."""
    done = _steps_done(connection, migrations)
    for number, step in enumerate(migrations.steps[done:last], start=done + 1):
        if isinstance(step, str):
            connection.execute(sa.text(step))
        else:
            step(connection)
        connection.execute(
            sa.text(f"INSERT INTO {STEPS} VALUES (:room, :step)"),
            {"room": migrations.room, "step": number},
        )
