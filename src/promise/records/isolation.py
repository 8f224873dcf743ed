"""Transactions that wait for each other by a lock, instead of being refused and done again."""

from __future__ import annotations

import sqlalchemy as sa


def wait_in_line(connection: sa.Connection, lock: int | None = None) -> None:
    """Let each statement of this transaction see what is committed by then; first thing in it.

    Postgres would otherwise judge by a snapshot taken before a lock was granted, and refuse
    writers that only add rows of their own. SQLite has one writer at a time anyway.

    Parameters
    ----------
    lock
        Held until the commit where the order of commits matters; None for no lock.
    """
    if connection.dialect.name != "postgresql":
        return
    level = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
    then = "" if lock is None else f"; SELECT pg_advisory_xact_lock({int(lock)})"
    connection.exec_driver_sql(level + then)  # on one way to the database and back
