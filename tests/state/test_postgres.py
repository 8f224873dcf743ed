"""A server that takes a statement and never answers is left, and found again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from tests.state.frozen import FrozenWay, frozen_way

from promise.errors import StateError
from promise.features.stores.postgres import PostgresStore
from promise.state.database import Database, Migrations
from promise.state.patience import at_most

COUNTER = Migrations(
    "test", ("CREATE TABLE counter (n INTEGER NOT NULL)", "INSERT INTO counter VALUES (0)")
)


@pytest.fixture
def way(postgres_schema: str) -> Iterator[FrozenWay]:
    url = sa.make_url(postgres_schema)
    with frozen_way(url.host or "127.0.0.1", url.port or 5432) as made:
        yield made


@pytest.fixture
def database(way: FrozenWay, postgres_schema: str) -> Iterator[Database]:
    url = sa.make_url(postgres_schema).set(host="127.0.0.1", port=way.port)
    made = Database(url.render_as_string(hide_password=False))
    yield made
    way.close()
    made.close()


def n(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute(sa.text("SELECT n FROM counter")).scalar_one())


def add(connection: sa.Connection) -> None:
    connection.execute(sa.text("UPDATE counter SET n = n + 1"))


@pytest.mark.slow
def test_a_frozen_server_is_waited_for_no_longer_than_there_is_time(
    database: Database, way: FrozenWay
) -> None:
    database.migrate(COUNTER)
    database.run(add)
    way.freeze()
    with at_most(0.2), pytest.raises(StateError, match="does not answer"):
        n(database)
    with at_most(0.2), pytest.raises(StateError, match="does not answer"):
        database.run(add)
    way.thaw()
    assert n(database) == 1
    database.run(add)
    assert n(database) == 2


@pytest.mark.slow
def test_a_server_that_freezes_within_a_transaction_keeps_nothing_of_it(
    database: Database, way: FrozenWay
) -> None:
    database.migrate(COUNTER)

    def work(connection: sa.Connection) -> None:
        add(connection)
        way.freeze()
        add(connection)

    with at_most(0.5), pytest.raises(StateError, match="nothing was changed"):
        database.run(work)
    way.thaw()
    assert n(database) == 0


@pytest.mark.slow
def test_event_state_on_a_frozen_server_is_away(database: Database, way: FrozenWay) -> None:
    store = PostgresStore(database, timeout_s=1.0)
    store.exchange("e1", 1, ["a"], b"1")
    way.freeze()
    with at_most(3.0), pytest.raises(StateError):
        store.exchange("e2", 2, ["a"], b"2")
    way.thaw()
    (before,) = store.exchange("e2", 2, ["a"], b"2")
    assert before.tail == (b"1",)
    store.close()


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("-csearch_path=nowhere", "no schema has been selected"),
        ("-cdefault_transaction_read_only=on", "read-only transaction"),
    ],
)
def test_a_server_that_forbids_writing_is_told_in_one_sentence(
    postgres_schema: str, option: str, told: str
) -> None:
    url = sa.make_url(postgres_schema).update_query_dict({"options": option})
    database = Database(url.render_as_string(hide_password=False))
    with pytest.raises(StateError, match="does not let this user write there") as refused:
        database.migrate(COUNTER)
    database.close()
    assert told in str(refused.value)
    assert "grant the rights" in str(refused.value)
    assert "\n" not in str(refused.value)
