"""Answers as a table of SQLite or Postgres: replaced in one transaction, or left as it was."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from promise.errors import ConfigError, DataError, MissingExtra, StateError
from promise.pipeline.policy import PREDICTION
from promise.state.failpoints import reach
from promise.training.parts import Parts

ROW = "row"
"""The key: which input row is answered, counted from 0; tables keep no order of their own."""

_ROWS_AT_ONCE = 5_000
_NAME = re.compile(r"([A-Za-z_]\w{0,62}\.)?[A-Za-z_]\w{0,62}")
_KINDS: tuple[tuple[Any, Any], ...] = (
    (pa.types.is_boolean, sa.Boolean()),
    (pa.types.is_integer, sa.BigInteger()),
    (pa.types.is_floating, sa.Double()),
)


@dataclass(frozen=True)
class TableOutput:
    """A table with the column `row` and those that a file of answers has.

    A table that is there already is replaced where it holds answers, as a file would be; any other
    one is left alone.

    Parameters
    ----------
    address
        A SQLAlchemy URL.
    table
        Its name, with the schema before it where it is not the usual one.
    waiting
        Beside this path the parts wait.
    """

    address: str
    table: str
    waiting: Path

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.table):
            raise ConfigError(
                f"--out {self.name}: put ::TABLE behind the URL, a name of letters, digits and _ "
                "(SCHEMA.TABLE where it needs one)."
            )

    @property
    def url(self) -> sa.URL:
        """The parsed URL."""
        try:
            url = sa.make_url(self.address)
        except ArgumentError:
            raise ConfigError(
                "--out: that is no database URL; expected e.g. "
                "postgresql+psycopg://user@host/name::answers or sqlite:///news.db::answers."
            ) from None
        kind = url.get_backend_name()
        if kind not in ("sqlite", "postgresql") or url.database in (None, ":memory:"):
            raise ConfigError(
                f"--out {url.render_as_string()}: answers are written to SQLite files and to "
                "Postgres; name one of them, or a .csv or .parquet file."
            )
        return url if kind == "sqlite" else url.set(drivername="postgresql+psycopg")

    @property
    def name(self) -> str:
        """The URL without its password, and the table."""
        return f"{self.url.render_as_string()}::{self.table}"

    @property
    def parts(self) -> Parts:
        """A folder of the installation."""
        return Parts(self.waiting, self.name)

    def check(self) -> None:
        """Refuse before anything is answered where the table could not be written.

        Raises
        ------
        DataError
            When the table is there and holds something else than answers.
        StateError
            When the database cannot be reached.
        """
        with self._connected() as connection:
            self._held(connection)

    def write(self, tables: Iterator[pa.Table]) -> None:
        """Make the table and fill it in one transaction.

        Raises
        ------
        DataError
            When the table holds something else, or cannot have these columns.
        StateError
            When the database is away or refuses; the answers wait.
        """
        with self._connected() as connection:
            self._fill(connection, tables)
            reach("predict.table.filled")
        reach("predict.table.kept")

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        engine = self._engine()
        try:
            with engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            why = str(getattr(error, "orig", None) or error).strip().split("\n", 1)[0].rstrip(".")
            raise StateError(
                f"{self.name} cannot be written: {why}; nothing of it was changed. What is "
                "answered already is kept for the same command with --resume."
            ) from error
        finally:
            engine.dispose()

    def _fill(self, connection: sa.Connection, tables: Iterator[pa.Table]) -> None:
        held = self._held(connection)
        if held is not None:
            held.drop(connection)
        first, made = 0, None
        for answers in tables:
            if made is None:
                made = self._made(answers.schema)
                made.create(connection)
            for begun in range(0, answers.num_rows, _ROWS_AT_ONCE):
                block = answers.slice(begun, _ROWS_AT_ONCE).to_pylist()
                rows = [{ROW: first + place, **_finite(row)} for place, row in enumerate(block)]
                connection.execute(made.insert(), rows)
                first += len(rows)

    def _held(self, connection: sa.Connection) -> sa.Table | None:
        """Return the table of earlier answers, to be replaced; None where there is none."""
        schema, _, short = self.table.rpartition(".")
        inspector = sa.inspect(connection)
        if short in inspector.get_view_names(schema or None):
            raise DataError(f"{self.name} is a view; name another table.")
        if not inspector.has_table(short, schema=schema or None):
            return None
        columns = [each["name"] for each in inspector.get_columns(short, schema=schema or None)]
        if columns[:2] != [ROW, PREDICTION]:
            raise DataError(
                f"{self.name} is there already and holds no answers (its columns are "
                f"{', '.join(columns[:5])}); name another table, or drop that one yourself."
            )
        return sa.Table(short, sa.MetaData(), schema=schema or None)

    def _made(self, schema: pa.Schema) -> sa.Table:
        schema_name, _, short = self.table.rpartition(".")
        known: dict[str, str] = {}
        for name in (ROW, *schema.names):
            other = known.setdefault(name.lower(), name)
            if other != name and self.url.get_backend_name() == "sqlite":
                raise DataError(
                    f"{self.name}: the columns {other!r} and {name!r} are one to SQLite; write to "
                    "a .parquet file or to Postgres."
                )
        columns = [sa.Column(field.name, _kind(field.type)) for field in schema]
        key = sa.Column(ROW, sa.BigInteger(), primary_key=True, autoincrement=False)
        return sa.Table(short, sa.MetaData(), key, *columns, schema=schema_name or None)

    def _engine(self) -> sa.Engine:
        try:
            engine = sa.create_engine(self.url)
        except ModuleNotFoundError as error:
            raise MissingExtra("writing to Postgres", "postgres") from error
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _begin_ourselves)
            event.listen(engine, "begin", lambda made: made.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine


def _begin_ourselves(raw: Any, _record: Any) -> None:
    raw.isolation_level = None  # the driver would make the table outside of the transaction


def _kind(arrow: pa.DataType) -> Any:
    return next((kind for fits, kind in _KINDS if fits(arrow)), sa.Text())


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose values a database knows: what is not finite is NULL."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
