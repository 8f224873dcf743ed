"""Values of texts on disk, for all processes of a machine and for the next run."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from promise.features.text_cache_stores import ENTRY_BYTES, LIMIT_MB, Held

_log = logging.getLogger(__name__)
_AT_ONCE = 500
_FILE = "texts.sqlite"
_TABLES = f"""
CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL, used INTEGER);
CREATE INDEX IF NOT EXISTS entries_by_use ON entries (used);
CREATE TABLE IF NOT EXISTS held (n INTEGER, n_bytes INTEGER, turn INTEGER);
INSERT INTO held SELECT 0, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM held);
CREATE TRIGGER IF NOT EXISTS entry_in AFTER INSERT ON entries BEGIN
  UPDATE held SET n = n + 1,
    n_bytes = n_bytes + length(new.key) + length(new.value) + {ENTRY_BYTES};
END;
CREATE TRIGGER IF NOT EXISTS entry_out AFTER DELETE ON entries BEGIN
  UPDATE held SET n = n - 1,
    n_bytes = n_bytes - length(old.key) - length(old.value) - {ENTRY_BYTES};
END;
"""

T = TypeVar("T")


class DiskEntries:
    """Keeps values in one SQLite file of a folder; safe for several threads and processes.

    A file that is damaged is begun anew: it holds nothing that cannot be computed again.

    Parameters
    ----------
    folder
        Made on first use.
    limit_mb
        Of keys and values; the file grows to somewhat more and then stays.
    wait_s
        How long another process's writing is waited for; then it is a miss.
    """

    def __init__(self, folder: Path, *, limit_mb: float = LIMIT_MB, wait_s: float = 2.0) -> None:
        self.path = Path(folder) / _FILE
        self._limit_mb, self._limit = limit_mb, int(limit_mb * 2**20)
        self._wait_s = wait_s
        self._guard = threading.Lock()
        self._opened: tuple[int, sqlite3.Connection] | None = None  # by process: forks open anew

    def __reduce__(self) -> tuple[Callable[..., DiskEntries], tuple[Path, float, float]]:
        """Travel to another process as the place alone, which opens the file by itself."""
        return _opened, (self.path.parent, self._limit_mb, self._wait_s)

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return what is known of these keys."""

        def work(connection: sqlite3.Connection) -> dict[bytes, bytes]:
            found: dict[bytes, bytes] = {}
            for part in _parts(list(keys)):
                marks = ",".join("?" * len(part))
                query = f"SELECT key, value FROM entries WHERE key IN ({marks})"
                found |= {bytes(k): bytes(v) for k, v in connection.execute(query, part)}
            self._use(connection, list(found))
            return found

        return self._run(work) or {}

    def put_many(self, entries: Mapping[bytes, bytes]) -> None:
        """Keep values; what was used least recently gives way."""

        def work(connection: sqlite3.Connection) -> None:
            turn = _turn(connection)
            connection.executemany("DELETE FROM entries WHERE key = ?", [(k,) for k in entries])
            rows = [(key, value, turn) for key, value in entries.items()]
            connection.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
            self._shrink(connection)

        self._run(work)

    def _use(self, connection: sqlite3.Connection, keys: list[bytes]) -> None:
        if keys:
            turn = _turn(connection)
            rows = [(turn, key) for key in keys]
            connection.executemany("UPDATE entries SET used = ? WHERE key = ?", rows)

    def _shrink(self, connection: sqlite3.Connection) -> None:
        while True:
            over = connection.execute("SELECT n_bytes - ? FROM held", (self._limit,)).fetchone()[0]
            if over <= 0:
                return
            query = "SELECT rowid, length(key) + length(value) FROM entries ORDER BY used LIMIT ?"
            gone = []
            for rowid, size in connection.execute(query, (_AT_ONCE,)):
                if over <= 0:
                    break
                gone.append((rowid,))
                over -= size + ENTRY_BYTES
            connection.executemany("DELETE FROM entries WHERE rowid = ?", gone)
            if not gone:
                return

    def held(self) -> Held:
        """Return how much is held."""

        def work(connection: sqlite3.Connection) -> Held:
            return Held(*connection.execute("SELECT n, n_bytes FROM held").fetchone())

        return self._run(work) or Held(0, 0)

    def clear(self) -> None:
        """Forget everything."""
        self._run(lambda connection: connection.execute("DELETE FROM entries"))

    def close(self) -> None:
        """Close the file."""
        with self._guard:
            self._close()

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Run work in one transaction; None where the file is busy, damaged or cannot be made."""
        with self._guard:
            for _ in range(2):
                try:
                    connection = self._connection()
                    with connection:
                        connection.execute("BEGIN IMMEDIATE")
                        return work(connection)
                except (sqlite3.OperationalError, OSError) as error:  # busy, full, not allowed
                    self._told(error)
                    return None
                except sqlite3.DatabaseError as error:
                    self._told(error)
                    self._begin_anew()
        return None

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None or self._opened[0] != os.getpid():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            found = sqlite3.connect(
                self.path, timeout=self._wait_s, isolation_level=None, check_same_thread=False
            )
            try:
                found.execute("PRAGMA journal_mode = WAL")
                found.execute("PRAGMA synchronous = OFF")  # what a power cut takes comes again
                found.executescript(_TABLES)
            except sqlite3.Error:
                found.close()
                raise
            self._opened = (os.getpid(), found)
        return self._opened[1]

    def _begin_anew(self) -> None:
        self._close()
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    def _close(self) -> None:
        if self._opened is not None and self._opened[0] == os.getpid():
            self._opened[1].close()
        self._opened = None

    def _told(self, error: Exception) -> None:
        facts = {"path": str(self.path), "reason": str(error)}
        _log.warning("the cache of texts on disk failed", extra=facts)


def _opened(folder: Path, limit_mb: float, wait_s: float) -> DiskEntries:
    return DiskEntries(folder, limit_mb=limit_mb, wait_s=wait_s)


def _turn(connection: sqlite3.Connection) -> int:
    """Return the next number in the order of uses."""
    query = "UPDATE held SET turn = turn + 1 RETURNING turn"
    return int(connection.execute(query).fetchall()[0][0])


def _parts(keys: list[bytes]) -> list[list[bytes]]:
    return [keys[first : first + _AT_ONCE] for first in range(0, len(keys), _AT_ONCE)]
