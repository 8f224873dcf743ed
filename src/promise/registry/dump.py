"""Every table of an installation as files that SQLite and Postgres both take back."""

from __future__ import annotations

import base64
import contextlib
import gzip
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from promise.errors import StateError
from promise.state.database import STEPS, Database, Migrations, climb, make_steps

_PACKAGES = ("registry", "records", "monitoring", "serving", "rollout")
_BATCH = 5_000


@dataclass(frozen=True)
class Dumped:
    """One table in a file: lines of JSON arrays, compressed.

    Parameters
    ----------
    columns
        Names of the values of a line, in order.
    """

    columns: tuple[str, ...]
    rows: int


@cache
def rooms() -> Mapping[str, Migrations]:
    """Return the migrations of every room that keeps tables, by the room's name.

    They are found by looking, not listed, so that a new room cannot be forgotten in a backup.
    """
    found: dict[str, Migrations] = {}
    for package in _PACKAGES:
        path = import_module(f"promise.{package}").__path__
        for module in pkgutil.walk_packages(path, f"promise.{package}."):
            if not module.name.endswith("__main__"):
                found |= {made.room: made for made in _migrations_of(module.name)}
    return dict(sorted(found.items()))


def _migrations_of(module: str) -> list[Migrations]:
    try:
        values = vars(import_module(module)).values()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("promise"):
            raise
        return []  # it needs an extra; a database that has its tables is refused as newer
    return [value for value in values if isinstance(value, Migrations)]


@cache
def fresh() -> Mapping[str, tuple[str, int]]:
    """Return each table of a new installation, referred-to ones first: its room and its rows."""
    database, rooms_of = Database("sqlite://"), {STEPS: ""}
    for room, migrations in rooms().items():
        database.migrate(migrations)
        with database.reading() as connection:
            for table in sa.inspect(connection).get_table_names():
                rooms_of.setdefault(table, room)
    with database.reading() as connection:
        ordered = [name for name, _ in sa.inspect(connection).get_sorted_table_and_fkc_names()]
        ours = [name for name in ordered if name is not None and name != STEPS]
        found = {name: (rooms_of[name], count(connection, name)) for name in ours}
    database.close()
    return found


def count(connection: sa.Connection, table: str) -> int:
    """Return how many rows a table has."""
    return int(connection.execute(sa.text(f'SELECT COUNT(*) FROM "{table}"')).scalar_one())


def present(connection: sa.Connection) -> list[str]:
    """Return the installation's tables that exist, referred-to ones first.

    A table that only has the name of one of ours, in a database shared with others, is theirs.
    """
    done, there = steps(connection), set(sa.inspect(connection).get_table_names())
    return [name for name, (room, _) in fresh().items() if room in done and name in there]


def in_use(connection: sa.Connection) -> list[str]:
    """Return the tables that hold more than a new installation's do."""
    return [name for name in present(connection) if count(connection, name) > fresh()[name][1]]


@contextlib.contextmanager
def snapshot(database: Database) -> Iterator[sa.Connection]:
    """Read one moment of the whole database, while others go on writing."""
    if database.engine.dialect.name == "sqlite":
        with database.reading() as connection:
            # a deferred BEGIN takes no lock: the write-ahead log keeps the moment for its reader
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("ROLLBACK")
        return
    options: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with database.engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


def steps(connection: sa.Connection) -> dict[str, int]:
    """Return how many steps of each room were applied; a newer Promise's are refused."""
    if not sa.inspect(connection).has_table(STEPS):
        return {}
    query = f"SELECT room, COUNT(*) FROM {STEPS} GROUP BY room ORDER BY room"
    done = {str(room): int(n) for room, n in connection.execute(sa.text(query))}
    refuse_newer(done, "the database")
    return done


def refuse_newer(done: Mapping[str, int], what: str) -> None:
    """Raise StateError where steps were applied that this installation does not know."""
    for room, number in done.items():
        known = len(rooms()[room].steps) if room in rooms() else 0
        if number > known:
            raise StateError(
                f"{what} was written by a newer Promise ({room} step {number}, known here: "
                f"{known}); upgrade this installation and run the command again."
            )


def dump(connection: sa.Connection, table: str, path: Path) -> Dumped:
    """Write one table's rows into a file."""
    streaming = connection.execution_options(stream_results=True)
    found = streaming.execute(sa.text(f'SELECT * FROM "{table}"'))
    columns, number = tuple(found.keys()), 0
    # no time of writing inside, so that an unchanged table gives the same file again
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as file,
    ):
        for rows in found.partitions(_BATCH):
            lines = [msgspec.json.encode([_portable(value) for value in row]) for row in rows]
            file.write(b"\n".join(lines) + b"\n")
            number += len(rows)
    return Dumped(columns, number)


def _portable(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return {"bytes": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


def rebuild(connection: sa.Connection, done: Mapping[str, int]) -> None:
    """Make the tables anew and empty, as they were after so many steps of each room."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
    for table in reversed(present(connection)):
        _drop(connection, table)
    connection.execute(sa.text(f"DROP TABLE IF EXISTS {STEPS}"))
    make_steps(connection)
    for room, number in done.items():
        climb(connection, rooms()[room], number)


def _drop(connection: sa.Connection, table: str) -> None:
    if connection.dialect.name != "postgresql":
        connection.execute(sa.text(f'DROP TABLE "{table}"'))
        return
    query = (
        "SELECT DISTINCT tgfoid::regproc::text FROM pg_trigger "
        "WHERE tgrelid = to_regclass(:table) AND NOT tgisinternal"
    )
    functions = connection.execute(sa.text(query), {"table": f'"{table}"'}).scalars().all()
    connection.execute(sa.text(f'DROP TABLE "{table}" CASCADE'))
    for function in functions:
        connection.execute(sa.text(f"DROP FUNCTION IF EXISTS {function}() CASCADE"))


def load(connection: sa.Connection, table: str, columns: Sequence[str], path: Path) -> None:
    """Put a dumped table's rows into an existing table, in place of what is there.

    Triggers that keep rows from being changed rest meanwhile.
    """
    kinds = {c["name"]: c["type"] for c in sa.inspect(connection).get_columns(table)}
    truths = [i for i, name in enumerate(columns) if isinstance(kinds.get(name), sa.Boolean)]
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(f":c{i}" for i in range(len(columns)))
    insert = sa.text(f'INSERT INTO "{table}" ({names}) VALUES ({values})')
    with _resting_triggers(connection, table):
        connection.execute(sa.text(f'DELETE FROM "{table}"'))
        for rows in _batches(path):
            for row in rows:
                for i in truths:
                    row[i] = None if row[i] is None else bool(row[i])
            given = [{f"c{i}": _native(v) for i, v in enumerate(row)} for row in rows]
            connection.execute(insert, given)
    if connection.dialect.name == "postgresql":
        _count_on(connection, table, columns)


def _native(value: Any) -> Any:
    return base64.b64decode(value["bytes"]) if isinstance(value, dict) else value


def _batches(path: Path) -> Iterator[list[list[Any]]]:
    rows: list[list[Any]] = []
    with gzip.open(path, "rb") as file:
        for line in file:
            rows.append(msgspec.json.decode(line))
            if len(rows) == _BATCH:
                yield rows
                rows = []
    if rows:
        yield rows


@contextlib.contextmanager
def _resting_triggers(connection: sa.Connection, table: str) -> Iterator[None]:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f'ALTER TABLE "{table}" DISABLE TRIGGER USER'))
        yield
        connection.execute(sa.text(f'ALTER TABLE "{table}" ENABLE TRIGGER USER'))
        return
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table"
    triggers = connection.execute(sa.text(query), {"table": table}).all()
    for name, _ in triggers:
        connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
    yield
    for _, made in triggers:
        connection.exec_driver_sql(made)


def _count_on(connection: sa.Connection, table: str, columns: Sequence[str]) -> None:
    """Let sequences go on after the largest number that was loaded."""
    for name in columns:
        query = sa.text("SELECT pg_get_serial_sequence(:table, :column)")
        asked = {"table": f'"{table}"', "column": name}
        sequence = connection.execute(query, asked).scalar_one()
        if sequence is not None:
            setting = (
                f'SELECT setval(:sequence, GREATEST(COALESCE(MAX("{name}"), 0), 1), '
                f'COUNT(*) > 0) FROM "{table}"'
            )
            connection.execute(sa.text(setting), {"sequence": sequence})
