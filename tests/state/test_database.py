"""The same manners on SQLite and Postgres: migrations once, no lost update, clear refusals."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from promise.errors import ConfigError, StateError
from promise.state.database import Database, Migrations
from promise.state.patience import at_most

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

COUNTER = Migrations(
    "test", ("CREATE TABLE counter (n INTEGER NOT NULL)", "INSERT INTO counter VALUES (0)")
)
NAMES = Migrations("names", ("CREATE TABLE names (name VARCHAR(9) PRIMARY KEY, n INTEGER)",))

KILLED_AT_COMMIT = (
    "CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$",
    "CREATE CONSTRAINT TRIGGER gone AFTER UPDATE ON counter DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW EXECUTE FUNCTION gone()",
)


POSTGRES = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


def value(database: Database, query: str) -> Any:
    with database.reading() as connection:
        return connection.execute(sa.text(query)).scalar()


def in_processes(n: int, work: Callable[..., None], *arguments: Any) -> None:
    """Run `work` in n processes at once; every one of them must end well."""
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(*arguments, i)) for i in range(n)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0] * n


def test_migrations_are_applied_once_and_forward_only(database: Database) -> None:
    database.migrate(Migrations("test", COUNTER.steps[:1]))
    Database(database.url).migrate(COUNTER)
    again = Database(database.url)
    again.migrate(COUNTER)
    assert value(again, "SELECT COUNT(*) FROM counter") == 1
    with pytest.raises(ConfigError, match="newer Promise"):
        Database(database.url).migrate(Migrations("test", COUNTER.steps[:1]))
    again.close()


def test_a_migration_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        database.migrate(Migrations("test", (*COUNTER.steps, "INSERT INTO nowhere VALUES (1)")))
    database.migrate(COUNTER)
    assert value(database, "SELECT COUNT(*) FROM counter") == 1


def migrate(url: str, _: int) -> None:
    database = Database(url)
    database.migrate(COUNTER)
    database.migrate(NAMES)
    database.close()


@pytest.mark.slow
def test_processes_that_migrate_at_once_apply_every_step_once(database: Database) -> None:
    in_processes(4, migrate, database.url)
    assert value(database, "SELECT COUNT(*) FROM counter") == 1
    assert value(database, "SELECT COUNT(*) FROM promise_migrations") == 3


def add(url: str, times: int, _: int) -> None:
    database = Database(url)
    for _ in range(times):

        def once(connection: sa.Connection) -> None:
            n = connection.execute(sa.text("SELECT n FROM counter")).scalar_one()
            connection.execute(sa.text("UPDATE counter SET n = :n"), {"n": n + 1})

        database.run(once)
    database.close()


@pytest.mark.slow
def test_read_modify_write_by_four_processes_loses_nothing(database: Database) -> None:
    database.migrate(COUNTER)
    in_processes(4, add, database.url, 25)
    assert value(database, "SELECT n FROM counter") == 100


def append(url: str, times: int, who: int) -> None:
    database = Database(url)
    for _ in range(times):

        def once(connection: sa.Connection) -> None:
            n = connection.execute(sa.text("SELECT COUNT(*) FROM names")).scalar_one()
            row = {"name": f"n{n}", "n": who}
            connection.execute(sa.text("INSERT INTO names VALUES (:name, :n)"), row)

        database.run(once)
    database.close()


@pytest.mark.slow
def test_numbers_counted_up_by_four_processes_have_no_gap(database: Database) -> None:
    database.migrate(NAMES)
    in_processes(4, append, database.url, 10)
    assert value(database, "SELECT COUNT(*) FROM names") == 40


def test_a_transaction_is_whole_or_absent(database: Database) -> None:
    database.migrate(NAMES)

    def fail(connection: sa.Connection) -> None:
        connection.execute(sa.text("INSERT INTO names VALUES ('a', 1)"))
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        database.run(fail)
    assert value(database, "SELECT COUNT(*) FROM names") == 0


def test_a_key_that_is_taken_for_good_is_refused_on_the_second_try(database: Database) -> None:
    database.migrate(NAMES)
    tries = []

    def insist(connection: sa.Connection) -> None:
        tries.append(1)
        connection.execute(sa.text("INSERT INTO names VALUES ('a', 1)"))

    database.run(insist)
    with pytest.raises(sa.exc.IntegrityError):
        database.run(insist)
    assert len(tries) <= 3


def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    database.migrate(COUNTER)
    with database.transaction() as connection:
        connection.execute(sa.text("UPDATE counter SET n = 5"))
        assert value(database, "SELECT n FROM counter") == 0
        other = Database(database.url, wait_s=0.1)
        other.migrate(COUNTER)  # nothing is missing, so no lock is asked for
        other.close()
    assert value(database, "SELECT n FROM counter") == 5


@pytest.mark.slow
def test_a_lock_held_for_too_long_is_told_in_words(database: Database) -> None:
    database.migrate(COUNTER)
    impatient = Database(database.url, wait_s=0.2)
    write = sa.text("UPDATE counter SET n = n + 1")
    with database.transaction() as connection:
        connection.execute(write)
        with pytest.raises(StateError, match=r"held its lock for 0\.2 s"):
            impatient.run(lambda inner: inner.execute(write))
        with pytest.raises(StateError, match="lock"), impatient.transaction() as inner:
            inner.execute(write)
    impatient.run(lambda inner: inner.execute(write))
    assert value(database, "SELECT n FROM counter") == 2
    impatient.close()


@pytest.mark.slow
def test_who_has_less_time_waits_less_and_nobody_else_does(database: Database) -> None:
    """Its own wait is 30 s, which would be told if the bound were not passed down."""
    database.migrate(COUNTER)
    postgres, add = "postgres" in database.url, sa.text("UPDATE counter SET n = n + 1")
    holder = Database(database.url)
    less = r"held its lock for 0(\.0\d)? s"  # a busy machine has used some of it up by then
    with holder.transaction() as held:
        if postgres:
            held.execute(sa.text("LOCK TABLE counter"))
        with at_most(0.05), pytest.raises(StateError, match=less):
            database.run(lambda connection: connection.execute(add))
        with (
            at_most(0.05),
            pytest.raises(StateError, match=less),
            database.transaction() as connection,
        ):
            connection.execute(add)
        if postgres:  # on SQLite readers wait for nobody
            with at_most(0.05), pytest.raises(StateError, match=less):
                value(database, "SELECT n FROM counter")
    database.run(lambda connection: connection.execute(add))
    setting = "SHOW lock_timeout" if postgres else "PRAGMA busy_timeout"
    assert value(database, setting) in ("30s", 30_000)
    assert value(database, "SELECT n FROM counter") == 1
    holder.close()


@POSTGRES
def test_a_statement_that_takes_longer_than_there_is_time_is_ended(database: Database) -> None:
    with at_most(0.05), pytest.raises(StateError, match=r"for 0\.05 s"):
        value(database, "SELECT pg_sleep(20)")
    assert value(database, "SHOW statement_timeout") == "0"


@pytest.mark.slow
def test_a_writer_waits_for_another_and_then_goes_on(database: Database) -> None:
    database.migrate(COUNTER)
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with database.transaction() as connection:
            connection.execute(sa.text("UPDATE counter SET n = n + 1"))
            held.set()
            go.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    threading.Timer(0.2, go.set).start()
    database.run(lambda c: c.execute(sa.text("UPDATE counter SET n = n + 1")))
    thread.join()
    assert value(database, "SELECT n FROM counter") == 2


def test_a_wrong_url_is_told_in_words() -> None:
    with pytest.raises(ConfigError, match="SQLite or Postgres"), Database("mysql://x/y").reading():
        pass
    with pytest.raises(ConfigError, match="no database URL"), Database("nonsense").reading():
        pass


def test_a_server_that_is_away_is_told_in_words_without_the_password() -> None:
    away = Database("postgresql+psycopg://me:secret@127.0.0.1:1/none")
    with pytest.raises(StateError, match="does not answer") as told:
        away.run(lambda connection: connection.execute(sa.text("SELECT 1")))
    assert "secret" not in str(told.value)


def test_a_damaged_file_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "promise.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StateError, match="damaged"):
        Database(f"sqlite:///{tmp_path}/promise.db").migrate(COUNTER)


def test_a_file_that_another_tool_locks_is_told_in_words(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/promise.db", wait_s=0.1)
    database.migrate(COUNTER)
    other = sqlite3.connect(tmp_path / "promise.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StateError, match=r"another process has held its lock for 0\.1 s"):
        database.run(lambda c: c.execute(sa.text("UPDATE counter SET n = 1")))
    other.execute("ROLLBACK")
    other.close()
    database.close()


def test_a_full_disk_is_told_in_words_and_changes_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/promise.db")
    database.migrate(NAMES)

    def fill(connection: sa.Connection) -> None:
        connection.execute(sa.text("PRAGMA max_page_count = 8"))
        for n in range(10_000):
            connection.execute(sa.text("INSERT INTO names VALUES (:name, 1)"), {"name": f"n{n}"})

    with pytest.raises(StateError, match="disk is full"):
        database.run(fill)
    assert value(database, "SELECT COUNT(*) FROM names") == 0
    database.close()


@POSTGRES
def test_a_server_that_goes_at_the_commit_leaves_the_outcome_unknown(database: Database) -> None:
    database.migrate(COUNTER)
    database.run(
        lambda connection: [connection.execute(sa.text(step)) for step in KILLED_AT_COMMIT]
    )
    tries: list[int] = []

    def work(connection: sa.Connection) -> None:
        tries.append(1)
        connection.execute(sa.text("UPDATE counter SET n = n + 1"))

    with pytest.raises(StateError, match=r"unknown whether .*promise status") as told:
        database.run(work)
    assert "nothing was changed" not in str(told.value)
    assert len(tries) == 1, "done twice, it may count twice"
    with pytest.raises(StateError, match="unknown whether"), database.transaction() as connection:
        work(connection)
    assert value(database, "SELECT n FROM counter") == 0, "this server went before it kept it"


@POSTGRES
def test_a_commit_whose_answer_is_lost_is_unknown_though_it_was_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.migrate(COUNTER)

    def commit(raw: Any) -> None:
        raw.commit()
        raw.dbapi_connection.close()
        raw.dbapi_connection.execute(
            "SELECT 1"
        )  # raises what the driver raises of a lost connection

    monkeypatch.setattr(database.engine.dialect, "do_commit", commit)
    with pytest.raises(StateError, match="unknown whether"):
        database.run(lambda c: c.execute(sa.text("UPDATE counter SET n = n + 1")))
    monkeypatch.undo()
    assert value(database, "SELECT n FROM counter") == 1


@POSTGRES
def test_a_commit_that_is_refused_is_no_unknown_outcome(database: Database) -> None:
    for step in (
        "CREATE TABLE parent (n INTEGER PRIMARY KEY)",
        "CREATE TABLE child (n INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
    ):
        database.run(lambda connection, step=step: connection.execute(sa.text(step)))
    with pytest.raises(sa.exc.IntegrityError):
        database.run(lambda connection: connection.execute(sa.text("INSERT INTO child VALUES (1)")))
    assert value(database, "SELECT COUNT(*) FROM child") == 0
