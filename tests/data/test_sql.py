"""Tables and queries are streamed in a stable order, from SQLite and from Postgres."""

import os

import numpy as np
import pytest
import sqlalchemy as sa

from promise.data.infer import infer_schema, read_columns
from promise.data.source import open_source
from promise.errors import DataError

POSTGRES = os.environ.get("PROMISE_TEST_DATABASE", "postgresql+psycopg://root@127.0.0.1:5432/test")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    address = f"sqlite:///{tmp_path}/x.db" if request.param == "sqlite" else POSTGRES
    name = f"people_{os.getpid()}"
    try:
        engine = sa.create_engine(address)
        with engine.begin() as connection:
            connection.execute(sa.text(f"DROP TABLE IF EXISTS {name}"))
            connection.execute(
                sa.text(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, age REAL, city TEXT)")
            )
            rows = [{"i": i, "a": i / 2, "c": "oslo" if i % 2 else None} for i in range(99, -1, -1)]
            connection.execute(sa.text(f"INSERT INTO {name} VALUES (:i, :a, :c)"), rows)
    except (sa.exc.OperationalError, ImportError) as error:
        pytest.skip(f"no database at {sa.make_url(address).host}: {type(error).__name__}")
    yield address, name
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP TABLE {name}"))
    engine.dispose()


def test_tables_and_queries(url):
    address, name = url
    table = open_source(f"{address}::{name}")
    query = open_source(f"{address}::SELECT id, age FROM {name} WHERE id < 10 ORDER BY id DESC;")
    assert table.columns == ("id", "age", "city")
    assert (table.size().rows, query.size().rows) == (100, 10)
    parts = [(first, part["id"].to_pylist()) for first, part in table.batches(["id"], 40)]
    assert [first for first, _ in parts] == [0, 40, 80]
    assert [i for _, ids in parts for i in ids] == list(range(100))
    columns, _ = read_columns(query, infer_schema(query))
    np.testing.assert_array_equal(columns["id"], np.arange(9.0, -1, -1))
    columns, _ = read_columns(table, infer_schema(table), np.array([1, 98]))
    assert columns["city"].tolist() == ["oslo", None]
    assert table.fingerprint() == open_source(address, table=name).fingerprint()


def test_unknown_names_are_told_with_near_ones(url):
    address, name = url
    with pytest.raises(DataError, match=f"no table '{name}s'; did you mean '{name}'"):
        open_source(f"{address}::{name}s")
    with pytest.raises(DataError, match="no column 'agee'; did you mean 'age'"):
        list(open_source(f"{address}::{name}").batches(["agee"]))
    with pytest.raises(DataError, match="cannot be read"):
        open_source(f"{address}::SELECT nothing FROM {name}")
    with pytest.raises(DataError, match="put `::table`"):
        open_source(address)


def test_a_missing_database_is_not_made(tmp_path):
    (tmp_path / "y.db").write_bytes(b"")
    with pytest.raises(DataError, match=r"did you mean 'y\.db'"):
        open_source(f"sqlite:///{tmp_path}/x.db::t")
    assert not (tmp_path / "x.db").exists()


def test_messages_hide_the_password():
    with pytest.raises(DataError) as caught:
        open_source("postgresql+psycopg://me:secret@127.0.0.1:1/x::t")
    assert "secret" not in str(caught.value)


def test_a_query_reaches_the_driver_as_it_is_written(url):
    address, name = url
    text = f"SELECT id, '%s 10% :x' AS note FROM {name} WHERE city LIKE 'o%' OR city = ' :x' -- end"
    source = open_source(address, query=text)
    assert source.size().rows == 50
    assert source.sample(3)["note"].to_pylist() == 3 * ["%s 10% :x"]


def test_a_query_in_brackets_has_no_as(monkeypatch):
    """Oracle knows no AS before the name of a subquery."""
    heard = []
    engine = sa.create_engine("sqlite://")
    sa.event.listen(engine, "before_cursor_execute", lambda *args: heard.append(args[2]))
    monkeypatch.setattr("promise.data.sql._engine", lambda _: engine)
    assert open_source("sqlite://::SELECT 1 one").size().rows == 1
    assert len(heard) == 2
    assert not any(" AS " in statement.upper() for statement in heard)


def test_counting_fails_in_words(tmp_path):
    with sa.create_engine(f"sqlite:///{tmp_path}/x.db").begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (a INTEGER)"))
        connection.execute(sa.text("INSERT INTO t VALUES (1)"))
    source = open_source(f"sqlite:///{tmp_path}/x.db::t")
    with sa.create_engine(f"sqlite:///{tmp_path}/x.db").begin() as connection:
        connection.execute(sa.text("DROP TABLE t"))
    with pytest.raises(DataError, match="cannot be read: no such table"):
        source.size()


def test_a_mistyped_file_names_its_neighbours(tmp_path) -> None:
    (tmp_path / "events.db").touch()
    for url, told in (
        (f"sqlite:///{tmp_path}/event.db::t", "did you mean 'events.db'"),
        (f"sqlite:///{tmp_path}/nowhere/event.db::t", "nor a folder"),
        (f"sqlite:///{tmp_path}::t", "is a folder, expected the file of a SQLite database"),
        (f"sqlite:///{tmp_path}/events.db::t", "there is no table 't'; there are none"),
    ):
        with pytest.raises(DataError, match=told):
            open_source(url)
