"""A SQLite file's log written back by a thread, so that no commit waits for the disk."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

_LOG = logging.getLogger(__name__)
_EVERY_S = 0.25
_LONG_PAGES = 4_096
"""A log that is longer starts anew: writers wait for its last pages, which are few by then."""
_UNTENDED_PAGES = 65_536
"""Where the thread is gone, a commit writes back a log of this length after all."""


class Checkpoints:
    """Writes the log of a database file back, a few times a second.

    SQLite itself lets the commit that makes the log longer than 1,000 pages do it, and wait for
    the disk: tens of milliseconds for one request in a hundred.

    Parameters
    ----------
    engine
        Of a SQLite file, before its first connection.

    Examples
    --------
    >>> Checkpoints(sa.create_engine("sqlite://")).close()  # nothing to do in memory
    """

    def __init__(self, engine: sa.Engine, *, every_s: float = _EVERY_S) -> None:
        self._path, self._every_s = engine.url.database, every_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if self._path in (None, "", ":memory:"):
            return
        event.listen(engine, "connect", _tended)
        self._thread = threading.Thread(target=self._run, name="promise-checkpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; the last connection to be closed writes back what is left."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(sqlite3.connect(str(self._path), isolation_level=None)) as raw:
            raw.execute("PRAGMA busy_timeout=100")
            while not self._stop.wait(self._every_s):
                try:
                    write_back(raw)
                except sqlite3.Error as error:
                    _LOG.warning("the log of %s is not written back: %s", self._path, error)


def write_back(raw: sqlite3.Connection) -> int:
    """Write back what nobody reads any more; return how many pages the log has.

    Writers go on meanwhile. A log that never comes to rest is begun anew once it is long.
    """
    _, pages, _ = raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if pages > _LONG_PAGES:
        raw.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    return int(pages)


def _tended(raw: Any, _record: Any) -> None:
    raw.execute(f"PRAGMA wal_autocheckpoint={_UNTENDED_PAGES}")
