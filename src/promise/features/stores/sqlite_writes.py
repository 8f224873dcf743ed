"""One write transaction of SQLite by its driver: an exchange is so short that SQLAlchemy's own
work for a transaction and its statements would be more than half of what it costs."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import sqlalchemy as sa

from promise.state.database import Database
from promise.state.opening import bound_wait

T = TypeVar("T")


def written(database: Database, work: Callable[[sqlite3.Cursor], T]) -> T:
    """Return what `work` returns, all that it wrote kept, or nothing of it.

    Waits and refusals are those of `Database.run`: the write lock is taken at the start, and
    work is done once more where another writer held it, so it must keep nothing from a try before.

    Raises
    ------
    StateError
        When the database is away, full, damaged or held by another writer for too long; nothing
        was changed then.

    Examples
    --------
    >>> database = Database("sqlite://")
    >>> written(database, lambda cursor: cursor.execute("SELECT 1").fetchone())
    (1,)
    """

    def attempt() -> T:
        with _cursor(database) as cursor:
            return _in_transaction(cursor, work)

    return database.tried(attempt)


def _in_transaction(cursor: sqlite3.Cursor, work: Callable[[sqlite3.Cursor], T]) -> T:
    cursor.execute("BEGIN IMMEDIATE")
    try:
        found = work(cursor)
        cursor.execute("COMMIT")
    except BaseException:
        # some errors have rolled back by themselves
        with contextlib.suppress(sqlite3.Error):
            cursor.execute("ROLLBACK")
        raise
    return found


@contextlib.contextmanager
def _cursor(database: Database) -> Iterator[sqlite3.Cursor]:
    """Yield a cursor of a connection of the pool; its errors are SQLAlchemy's."""
    try:
        with contextlib.closing(database.engine.raw_connection()) as held:
            driver: Any = held.driver_connection
            bound_wait(driver, held.info, database.wait_s)
            with contextlib.closing(driver.cursor()) as cursor:
                yield cursor
    except sqlite3.Error as error:
        raise sa.exc.OperationalError("a change of event state", {}, error) from error
