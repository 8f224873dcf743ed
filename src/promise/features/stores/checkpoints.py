"""A SQLite file's log written back by a thread, so that no commit waits for the disk."""

from __future__ import annotations

import logging
import sqlite3
import threading
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

_LOG = logging.getLogger(__name__)
_EVERY_S = 1.0
_LONG_PAGES = 32_768
"""A log that is longer (128 MB) starts anew. Writers wait for its last pages, which are few by
then, and for the disk: 10 to 20 ms on a quiet one, over 100 on a busy one, so it must be rare."""
_UNTENDED_PAGES = 131_072
"""Where the thread is gone, a commit writes back a log of this length after all."""


class Checkpoints:
    """Writes the log of a database file back, once a second.

    SQLite itself lets the commit that makes the log longer than 1,000 pages do it, and wait for
    the disk: tens of milliseconds for one request in a hundred.

    Parameters
    ----------
    engine
        Of a SQLite file, before its first connection: those that are open already go on to write
        the log back themselves.

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
        raw: sqlite3.Connection | None = None
        while not self._stop.wait(self._every_s):
            try:
                raw = raw or _connected(str(self._path))
                write_back(raw)
            except sqlite3.Error as error:
                _LOG.warning("the log of %s is not written back: %s", self._path, error)
        if raw is not None:
            raw.close()


def _connected(path: str) -> sqlite3.Connection:
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA busy_timeout=20")
    return raw


def write_back(raw: sqlite3.Connection) -> int:
    """Write back what nobody reads any more; return how many pages the log has.

    Writers go on meanwhile. A log that never comes to rest is begun anew once it is long.
    """
    _, pages, _ = raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if pages > _LONG_PAGES:
        raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()  # what came during the first
        raw.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    return int(pages)


def _tended(raw: Any, _record: Any) -> None:
    raw.execute(f"PRAGMA wal_autocheckpoint={_UNTENDED_PAGES}")
