"""A transaction by SQLite's driver: all or nothing, and as patient as any other one."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from promise.errors import StateError
from promise.features.stores.sqlite_writes import written
from promise.state.database import Database
from promise.state.patience import at_most


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/state.db", wait_s=5)
    written(made, lambda cursor: cursor.execute("CREATE TABLE kept (n INTEGER PRIMARY KEY)"))
    yield made
    made.close()


def add(n: int) -> str:
    return f"INSERT INTO kept VALUES ({n})"


def kept(database: Database) -> list[int]:
    rows = written(database, lambda cursor: cursor.execute("SELECT n FROM kept").fetchall())
    return [n for (n,) in rows]


def test_what_fails_half_way_leaves_nothing(database: Database) -> None:
    def half(cursor: sqlite3.Cursor) -> None:
        cursor.execute(add(1))
        raise KeyError("half way")

    with pytest.raises(KeyError, match="half way"):
        written(database, half)
    written(database, lambda cursor: cursor.execute(add(3)))
    assert kept(database) == [3]


def test_another_writer_is_waited_for(database: Database) -> None:
    other = sqlite3.connect(database.url.removeprefix("sqlite:///"), isolation_level=None,
                            check_same_thread=False)  # fmt: skip
    other.execute("BEGIN IMMEDIATE")
    other.execute(add(1))
    with at_most(0.02), pytest.raises(StateError, match=r"another process has held its lock"):
        written(database, lambda cursor: cursor.execute(add(2)))
    done = threading.Timer(0.02, lambda: other.execute("COMMIT"))
    done.start()
    written(database, lambda cursor: cursor.execute(add(3)))
    done.join()
    other.close()
    assert kept(database) == [1, 3]


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"no database" * 1000)
    database = Database(f"sqlite:///{tmp_path}/state.db", wait_s=0.1)
    with pytest.raises(StateError, match="it is damaged"):
        written(database, lambda cursor: cursor.execute("SELECT 1"))
    database.close()
