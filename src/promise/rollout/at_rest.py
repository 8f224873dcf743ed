"""A look into a SQLite file that cannot be opened in the usual way."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import sqlalchemy as sa

from promise.state.database import Database


def copy_at_rest(url: str) -> Database | None:
    """Return a copy in memory of a SQLite file that nobody writes; None where that is not sure.

    Even to read, write-ahead logging wants a file for itself, which a full disk or a folder
    without the right to write refuses. Where no log lies beside the database, all that is known
    is in its one file, and that can be read as it is.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    path = Path(parsed.database).absolute()
    log = Path(f"{path}-wal")
    if not path.is_file() or (log.exists() and log.stat().st_size):
        return None
    copy = Database("sqlite://")
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as kept:
            raw = copy.engine.raw_connection()
            kept.backup(raw.driver_connection)  # type: ignore[arg-type]
            raw.close()
    except sqlite3.Error:
        copy.close()
        return None
    return copy
