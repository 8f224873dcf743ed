"""Tables and queries of a database as sources, through SQLAlchemy."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from promise.data.detect import unique_names
from promise.data.rows import BadRows, Size
from promise.errors import DataError, MissingExtra, near
from promise.kernels.plain_tables import value_array


class SqlSource:
    """Rows of a table or a query, streamed through a cursor on the server.

    A table is read in the order of its primary key (without one: as stored), so that row numbers
    stay the same from pass to pass; a query is read in the order that it states. `ordered` says
    whether there is one.

    Parameters
    ----------
    url
        A SQLAlchemy URL, with `::table` or `::SELECT …` behind it unless one of these is given.
    """

    def __init__(
        self,
        url: str,
        *,
        table: str | None = None,
        query: str | None = None,
        decimal: str | None = None,
    ) -> None:
        self.reader: dict[str, Any] | None = None
        self.decimal = decimal
        address, _, rest = url.partition("::")
        if rest and re.match(r"(select|with)\s", rest, re.IGNORECASE):
            query = rest
        elif rest:
            table = rest
        if (table is None) == (query is None):
            raise DataError(
                f"say what to read from {_shown(address)}: put `::table` or `::SELECT …` behind it."
            )
        self._engine = _engine(address)
        self.bad_rows = BadRows()
        self.name = f"{_shown(address)}::{table or query}"
        try:
            self._select, self.columns = self._prepared(table, query)
            self._rows: int | None = None
        except SQLAlchemyError as error:
            raise DataError(f"{self.name} cannot be read: {_first_line(error)}.") from error

    def _prepared(self, table: str | None, query: str | None) -> tuple[Any, tuple[str, ...]]:
        """Return the statement and its column names."""
        if table is None:
            text = str(query).strip().rstrip(";")
            self.ordered = _states_order(text)
            with self._engine.connect() as connection:
                probe = f"SELECT * FROM (\n{text}\n) q WHERE 1 = 0"
                names = list(_run(connection, probe).keys())
            return text, unique_names(names, self.name)
        schema, _, short = table.rpartition(".")
        inspector = sa.inspect(self._engine)
        known = [
            *inspector.get_table_names(schema or None),
            *inspector.get_view_names(schema or None),
        ]
        if short not in known:
            raise DataError(f"{self.name}: there is no table {table!r}; {near(short, known)}")
        found = sa.Table(short, sa.MetaData(), autoload_with=self._engine, schema=schema or None)
        order: list[Any] = list(found.primary_key.columns)
        is_table = short in inspector.get_table_names(schema or None)
        taken = {str(c.name).lower() for c in found.columns}
        if not order and is_table and self._engine.dialect.name == "postgresql":
            order = [sa.text("ctid")]
        elif not order and is_table and self._engine.dialect.name == "sqlite":
            # an index that covers what is asked for would be read in its own order
            order = [sa.text(n) for n in ("rowid", "_rowid_", "oid") if n not in taken][:1]
        self.ordered = bool(order)
        return sa.select(found).order_by(*order), tuple(str(c.name) for c in found.columns)

    def cautions(self) -> tuple[str, ...]:
        """Return nothing: there is no text whose encoding would be a guess."""
        return ()

    def size(self) -> Size:
        """Return the exact rows by COUNT(*)."""
        if self._rows is None:
            try:
                with self._engine.connect() as connection:
                    self._rows = int(_run(connection, self._counting()).scalar_one())
            except SQLAlchemyError as error:
                raise DataError(f"{self.name} cannot be read: {_first_line(error)}.") from error
        return Size(self._rows, True, 0)

    def _counting(self) -> Any:
        if isinstance(self._select, str):
            return f"SELECT COUNT(*) FROM (\n{self._select}\n) q"
        inside = self._select.order_by(None).subquery()
        return sa.select(sa.func.count()).select_from(inside)

    def batches(
        self, columns: Sequence[str] | None = None, chunk_rows: int = 65536
    ) -> Iterator[tuple[int, pa.Table]]:
        """Yield (number of the first row, rows)."""
        wanted = list(self.columns if columns is None else columns)
        for name in wanted:
            if name not in self.columns:
                raise DataError(f"{self.name} has no column {name!r}; {near(name, self.columns)}")
        first = 0
        options = {"stream_results": True, "max_row_buffer": chunk_rows}
        try:
            with self._engine.connect().execution_options(**options) as connection:
                for rows in _run(connection, self._narrowed(wanted)).partitions(chunk_rows):
                    positions = {name: i for i, name in enumerate(rows[0]._fields)}
                    arrays = [value_array([row[positions[n]] for row in rows]) for n in wanted]
                    yield first, pa.table(arrays, names=wanted)
                    first += len(rows)
        except SQLAlchemyError as error:
            raise DataError(f"{self.name} cannot be read: {_first_line(error)}.") from error

    def _narrowed(self, wanted: list[str]) -> Any:
        if isinstance(self._select, str):
            return self._select
        by_name = {column.name: column for column in self._select.selected_columns}
        return self._select.with_only_columns(*[by_name[name] for name in wanted])

    def sample(self, rows: int) -> pa.Table:
        """Return the first rows: a database is not read through for a sample."""
        for _, table in self.batches(chunk_rows=rows):
            return table
        raise DataError(f"{self.name} has no rows.")

    def fingerprint(self) -> str:
        """Digest the statement, the row count and the first rows; never the password."""
        text = f"{self.name}:{self.size().rows}:{self.sample(1000).to_pylist()}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _states_order(query: str) -> bool:
    """Say whether a query orders what comes out; an order inside of brackets does not.

    Examples
    --------
    >>> _states_order("SELECT * FROM t ORDER BY lower(name), id")
    True
    >>> _states_order("SELECT * FROM (SELECT * FROM t ORDER BY id) q")
    False
    """
    for found in re.finditer(r"\border\s+by\b", query, re.IGNORECASE):
        before = query[: found.start()]
        if before.count("(") == before.count(")"):
            return True
    return False


def _run(connection: sa.Connection, statement: Any) -> sa.CursorResult[Any]:
    """Run a statement; a user's own SQL goes to the driver as it is, its `:` and `%` untouched."""
    if isinstance(statement, str):
        options = {"no_parameters": True}
        return connection.exec_driver_sql(statement, execution_options=options)
    return connection.execute(statement)


def _engine(address: str) -> sa.Engine:
    try:
        url = sa.make_url(address)
        if url.get_backend_name() == "postgresql" and "+" not in url.drivername:
            url = url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
            # SQLite would make an empty database of a mistyped path
            _check_exists(str(url.database))
        return sa.create_engine(url)
    except (ArgumentError, NoSuchModuleError) as error:
        raise DataError(f"{_shown(address)} is no SQLAlchemy URL: {_first_line(error)}.") from error
    except ImportError as error:
        if address.startswith("postgres"):
            raise MissingExtra("reading Postgres", "postgres") from error
        raise DataError(f"{_shown(address)} needs a driver: pip install {error.name}.") from error


def _check_exists(text: str) -> None:
    from promise.data.places import local_paths

    path = Path(text)
    if path.is_dir():
        inside = near(path.name, sorted(p.name for p in path.iterdir() if p.is_file()))
        raise DataError(f"{text} is a folder, expected the file of a SQLite database; {inside}")
    local_paths(text)


def _shown(address: str) -> str:
    """Return the URL without its password."""
    try:
        return sa.make_url(address).render_as_string(hide_password=True)
    except ArgumentError:
        return re.sub(r":[^:@/]+@", ":***@", address)


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().split("\n", 1)[0].rstrip(".")
