"""Every table of an installation as files that SQLite and Postgres both take back."""

from __future__ import annotations

import base64
import contextlib
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from promise.state.database import Database

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


def count(connection: sa.Connection, table: str) -> int:
    """Return how many rows a table has."""
    return int(connection.execute(sa.text(f'SELECT COUNT(*) FROM "{table}"')).scalar_one())


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
