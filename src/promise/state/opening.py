"""Engines of the databases that are spoken: SQLite and Postgres, each told how long to wait."""

from __future__ import annotations

import math
import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from promise.errors import ConfigError, MissingExtra
from promise.state.patience import patience_s

_CONNECT_S = 10
_CONNECTIONS = {"pool_size": 5, "max_overflow": 25}  # more than a process has threads that ask
_WAIT = "promise_wait_ms"


def open_engine(url: str, wait_s: float) -> sa.Engine:
    """Return the engine of a database URL, whose waits for locks end after `wait_s`.

    They end sooner inside `promise.state.patience.at_most`.

    Raises
    ------
    ConfigError
        When the URL names no database that is spoken here.
    MissingExtra
        When it names Postgres and the driver is absent.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigError(
            f"PROMISE_DATABASE is {url!r}, which is no database URL; "
            "expected e.g. postgresql+psycopg://user@host/name."
        ) from error
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, wait_s)
    if parsed.get_backend_name() not in ("postgres", "postgresql"):
        raise ConfigError(
            f"PROMISE_DATABASE names a database of the kind {parsed.drivername!r}; expected SQLite "
            "or Postgres, e.g. postgresql+psycopg://user@host/name."
        )
    try:
        return _open_postgres(parsed.set(drivername="postgresql+psycopg"), wait_s)
    except ModuleNotFoundError as error:
        raise MissingExtra("a database in Postgres", "postgres") from error


def _open_postgres(url: sa.URL, wait_s: float) -> sa.Engine:
    from promise.state.postgres import LIVELY, OperationalError, PatientConnection

    given = url.query.get("options", "")
    wait_ms = max(1, int(wait_s * 1000))  # 0 would be for ever
    connect_s = int(str(url.query.get("connect_timeout", _CONNECT_S)))
    engine = sa.create_engine(
        url,
        isolation_level="SERIALIZABLE",
        pool_pre_ping=True,
        connect_args={"options": f"{given} -c lock_timeout={wait_ms}".strip()},
        **_CONNECTIONS,
    )

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, given: list[Any], named: dict[str, Any]) -> Any:
        left_s = patience_s(connect_s)
        if left_s <= 0:  # the driver would wait for two seconds at least
            raise OperationalError("no time was left to connect")
        named["connect_timeout"] = max(1, math.ceil(left_s))
        return PatientConnection.connect(*given, **{**LIVELY, **named})

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        left_s = patience_s(wait_s)
        # in tenths of a second: the next reader with the same patience need not say it again
        bound = "DEFAULT" if left_s == wait_s else str(max(1, math.ceil(left_s * 10)) * 100)
        if bound == connection.info.get(_WAIT, "DEFAULT"):
            return
        scope = "SESSION" if _is_reading(connection) else "LOCAL"
        settings = ("lock_timeout", "statement_timeout")
        connection.exec_driver_sql("; ".join(f"SET {scope} {one} TO {bound}" for one in settings))
        if scope == "SESSION":
            connection.info[_WAIT] = bound

    return engine


def _open_sqlite(url: sa.URL, wait_s: float) -> sa.Engine:
    memory = url.database in (None, "", ":memory:")
    if not memory:
        Path(str(url.database)).absolute().parent.mkdir(parents=True, exist_ok=True)
    extra: dict[str, Any] = {"poolclass": sa.pool.StaticPool} if memory else {**_CONNECTIONS}
    engine = sa.create_engine(
        url, connect_args={"timeout": wait_s, "check_same_thread": False}, **extra
    )

    @event.listens_for(engine, "connect")
    def _connect(raw: Any, record: Any) -> None:
        raw.isolation_level = None  # the driver's own BEGIN is deferred; ours is not
        left_s = patience_s(wait_s)
        record.info[_WAIT] = int(left_s * 1000)
        raw.execute(f"PRAGMA busy_timeout={record.info[_WAIT]}")
        _write_ahead(raw, left_s)
        raw.execute("PRAGMA synchronous=NORMAL")
        raw.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        bound_wait(connection.connection.driver_connection, connection.info, wait_s)
        if not _is_reading(connection):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def bound_wait(raw: Any, info: dict[Any, Any], wait_s: float) -> None:
    """Let a connection of SQLite wait for other writers as long as may be waited now."""
    wait_ms = int(patience_s(wait_s) * 1000)
    if wait_ms != info[_WAIT]:
        raw.execute(f"PRAGMA busy_timeout={wait_ms}")
        info[_WAIT] = wait_ms


def _is_reading(connection: sa.Connection) -> bool:
    return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"


def _write_ahead(raw: Any, wait_s: float) -> None:
    """Turn write-ahead logging on; the first to open a file may meet others who do the same."""
    deadline = time.monotonic() + wait_s
    while raw.execute("PRAGMA journal_mode").fetchone()[0] not in ("wal", "memory"):
        try:
            raw.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # SQLite does not wait for this lock by itself
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)
