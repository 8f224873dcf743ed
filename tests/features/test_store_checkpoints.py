"""The log of a SQLite file is written back beside the writers, and nothing is lost by it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from promise.features.stores import checkpoints
from promise.features.stores.checkpoints import Checkpoints, write_back
from promise.features.stores.opening import open_store
from promise.settings import Settings
from promise.state.database import Database

ROWS = 400


def write(database: Database, first: int) -> None:
    for n in range(first, first + ROWS):
        database.run(
            lambda c, n=n: c.execute(
                sa.text("INSERT INTO rows VALUES (:n, :text)"), {"n": n, "text": "x" * 2_000}
            )
        )


def test_writers_go_on_while_the_log_is_written_back(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/state.db")
    tended = Checkpoints(database.engine, every_s=0.001)
    with database.transaction() as connection:
        connection.execute(sa.text("CREATE TABLE rows (n INTEGER PRIMARY KEY, text TEXT)"))
    writers = [threading.Thread(target=write, args=(database, k * ROWS)) for k in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    tended.close()
    database.close()
    with sqlite3.connect(tmp_path / "state.db") as raw:
        assert raw.execute("SELECT COUNT(*), MAX(n) FROM rows").fetchone() == (800, 799)
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_long_log_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "_LONG_PAGES", 100)
    database = Database(f"sqlite:///{tmp_path}/state.db")
    tended = Checkpoints(database.engine, every_s=3600)
    with database.transaction() as connection:
        connection.execute(sa.text("CREATE TABLE rows (n INTEGER PRIMARY KEY, text TEXT)"))
    raw = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    write(database, 0)
    pages = write_back(raw)
    assert pages > 400
    size = (tmp_path / "state.db-wal").stat().st_size
    assert size > 1_000_000
    write(database, ROWS)  # what was written back makes room for what comes
    assert (tmp_path / "state.db-wal").stat().st_size <= size * 1.2
    raw.close()
    tended.close()
    database.close()


def test_every_connection_of_an_opened_store_leaves_the_log_to_the_thread(tmp_path: Path) -> None:
    opened = open_store(Settings.load({"PROMISE_HOME": str(tmp_path)}))
    opened.store.exchange("e1", 0, ["card:7"], b"first")
    database = opened.store.database  # type: ignore[attr-defined]
    with database.reading() as connection:  # the pool's first, which exchanges take again
        pages = connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar()
    assert pages == checkpoints._UNTENDED_PAGES
    opened.close()
