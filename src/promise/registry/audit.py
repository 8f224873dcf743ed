"""The chain of what happened: rows that can only be added, each sealed over the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from promise.state.database import Migrations

GENESIS = "0" * 64
"""What the first link of a chain names as its predecessor."""


def append_only(connection: sa.Connection, table: str) -> None:
    """Make the database itself refuse to change or remove rows of a table."""
    if connection.dialect.name == "postgresql":
        statements = _for_postgres(table)
    else:
        statements = [
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for verb in ("UPDATE", "DELETE")
        ]
    for statement in statements:
        connection.exec_driver_sql(statement)


def _for_postgres(table: str) -> list[str]:
    return [
        f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$",
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_append_only()",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()",
    ]


CHAIN = Migrations(
    "transitions",
    (
        """CREATE TABLE transitions (
            name VARCHAR(63) NOT NULL,
            seq INTEGER NOT NULL,
            at VARCHAR(40) NOT NULL,
            kind VARCHAR(20) NOT NULL,
            route TEXT NOT NULL,
            reason TEXT NOT NULL,
            evidence TEXT NOT NULL,
            actor TEXT NOT NULL,
            previous CHAR(64) NOT NULL,
            hash CHAR(64) NOT NULL,
            PRIMARY KEY (name, seq)
        )""",
        lambda connection: append_only(connection, "transitions"),
    ),
)
"""The table of transitions; `route` and `evidence` are canonical JSON."""


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN.

    Examples
    --------
    >>> canonical({"b": 1, "a": [1.5, None]})
    '{"a":[1.5,null],"b":1}'
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def seal(row: Mapping[str, Any]) -> str:
    """Return the sha256 over every column but the hash itself, as they are stored."""
    sealed = {key: value for key, value in row.items() if key != "hash"}
    return hashlib.sha256(canonical(sealed).encode()).hexdigest()


def append_link(connection: sa.Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    """Add a row without its hash to the chain; return it with the hash."""
    whole = {**row, "hash": seal(row)}
    columns = ", ".join(whole)
    values = ", ".join(f":{column}" for column in whole)
    connection.execute(sa.text(f"INSERT INTO transitions ({columns}) VALUES ({values})"), whole)
    return whole


def newest_link(connection: sa.Connection, name: str) -> dict[str, Any] | None:
    """Return the newest row of a name, or None."""
    query = "SELECT * FROM transitions WHERE name = :name ORDER BY seq DESC LIMIT 1"
    found = connection.execute(sa.text(query), {"name": name}).mappings().first()
    return None if found is None else dict(found)


def newest_links(connection: sa.Connection) -> list[dict[str, Any]]:
    """Return the newest row of every name."""
    query = (
        "SELECT t.* FROM transitions t JOIN (SELECT name, MAX(seq) AS seq FROM transitions "
        "GROUP BY name) newest ON t.name = newest.name AND t.seq = newest.seq ORDER BY t.name"
    )
    return [dict(row) for row in connection.execute(sa.text(query)).mappings()]


def chain_of(connection: sa.Connection, name: str) -> list[dict[str, Any]]:
    """Return every row of a name, oldest first."""
    query = sa.text("SELECT * FROM transitions WHERE name = :name ORDER BY seq")
    return [dict(row) for row in connection.execute(query, {"name": name}).mappings()]


def first_wrong(rows: Iterable[Mapping[str, Any]]) -> int | None:
    """Return the number of the first link that was tampered with; None for an intact chain.

    A link is wrong when its hash is not that of its columns, when it does not name the hash of
    the link before, or when a number or the order of time is broken.

    Examples
    --------
    >>> first = {"name": "a", "seq": 1, "at": "2026", "previous": GENESIS}
    >>> first_wrong([{**first, "hash": seal(first)}])
    >>> first_wrong([{**first, "hash": seal(first), "at": "2025"}])
    1
    """
    previous, latest = GENESIS, ""
    for number, row in enumerate(rows, start=1):
        unbroken = row["seq"] == number and row["previous"] == previous and row["at"] >= latest
        if not unbroken or row["hash"] != seal(row):
            return number
        previous, latest = row["hash"], row["at"]
    return None
