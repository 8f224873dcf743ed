"""The same manners on SQLite and Postgres: migrations once, write lock at the start."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from promise.errors import ConfigError
from promise.state.database import Database, Migrations


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        made = Database(f"sqlite:///{tmp_path}/deep/promise.db")
        yield made
        made.close()
        return
    url = request.getfixturevalue("postgres_url")
    name = f"t{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    made = Database(str(sa.make_url(url).set(database=name).render_as_string(False)))
    yield made
    made.close()
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


COUNTER = Migrations(
    "test", ("CREATE TABLE counter (n INTEGER NOT NULL)", "INSERT INTO counter VALUES (0)")
)


def test_migrations_are_applied_once_and_forward_only(database: Database) -> None:
    database.migrate(Migrations("test", COUNTER.steps[:1]))
    Database(database.url).migrate(COUNTER)
    again = Database(database.url)
    again.migrate(COUNTER)
    with again.reading() as connection:
        assert connection.execute(sa.text("SELECT COUNT(*) FROM counter")).scalar() == 1
    with pytest.raises(ConfigError, match="newer Promise"):
        Database(database.url).migrate(Migrations("test", COUNTER.steps[:1]))
    again.close()


def test_read_modify_write_by_four_writers_loses_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/promise.db")
    database.migrate(COUNTER)

    def add() -> None:
        for _ in range(25):
            with database.transaction() as connection:
                n = connection.execute(sa.text("SELECT n FROM counter")).scalar_one()
                connection.execute(sa.text("UPDATE counter SET n = :n"), {"n": n + 1})

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as connection:
        assert connection.execute(sa.text("SELECT n FROM counter")).scalar() == 100
    database.close()


def test_a_wrong_url_is_told_in_words() -> None:
    with pytest.raises(ConfigError, match="no database URL"), Database("nonsense").reading():
        pass
