"""A number that grows with every change that servers must notice."""

from __future__ import annotations

import sqlalchemy as sa

from promise.state.database import Migrations

EPOCH = Migrations(
    "epoch",
    (
        "CREATE TABLE epoch (id INTEGER PRIMARY KEY CHECK (id = 1), number BIGINT NOT NULL)",
        "INSERT INTO epoch VALUES (1, 0)",
    ),
)
"""One row; growing it belongs into the transaction of the change itself."""


def grow_epoch(connection: sa.Connection) -> None:
    """Make servers look again once this transaction is committed."""
    connection.execute(sa.text("UPDATE epoch SET number = number + 1"))


def read_epoch(connection: sa.Connection) -> int:
    """Return the epoch as this transaction sees it."""
    found: int = connection.execute(sa.text("SELECT number FROM epoch")).scalar_one()
    return found
