"""The tables of evidence, and how a row of them is set again."""

from __future__ import annotations

from datetime import UTC, datetime

from promise.state.database import Migrations
from promise.state.moments import to_text

EVIDENCE = Migrations(
    "evidence",
    (
        """CREATE TABLE counts (
            model TEXT NOT NULL,
            version INTEGER NOT NULL,
            arm TEXT NOT NULL,
            bucket VARCHAR(40) NOT NULL,
            slot TEXT NOT NULL,
            requests BIGINT NOT NULL,
            errors BIGINT NOT NULL,
            over_ms TEXT NOT NULL,
            PRIMARY KEY (model, version, arm, bucket, slot)
        )""",
        "CREATE INDEX counts_by_time ON counts (bucket)",
        "CREATE TABLE counts_summed (until_at VARCHAR(40) NOT NULL)",
        f"INSERT INTO counts_summed VALUES ('{to_text(datetime(1970, 1, 1, tzinfo=UTC))}')",
        """CREATE TABLE observations (
            model TEXT NOT NULL,
            version INTEGER NOT NULL,
            kind TEXT NOT NULL,
            key TEXT NOT NULL,
            first_at VARCHAR(40) NOT NULL,
            at VARCHAR(40) NOT NULL,
            payload TEXT NOT NULL,
            PRIMARY KEY (model, version, kind, key)
        )""",
        "CREATE INDEX observations_by_time ON observations (model, version, kind, at)",
        "ALTER TABLE observations ADD COLUMN token BIGINT NOT NULL DEFAULT 0",
        "DROP INDEX observations_by_time",
        # tells what changed without a look at the payloads
        "CREATE INDEX observations_by_time ON observations "
        "(model, version, kind, at, first_at, key, token)",
    ),
)
"""The tables of counts and observations."""

UPSERT_COUNTS = (
    "INSERT INTO counts (model, version, arm, bucket, slot, requests, errors, over_ms) "
    "VALUES (:model, :version, :arm, :bucket, :slot, :requests, :errors, :over_ms) "
    "ON CONFLICT (model, version, arm, bucket, slot) DO UPDATE SET "
    "requests = excluded.requests, errors = excluded.errors, over_ms = excluded.over_ms"
)
UPSERT_OBSERVATION = (
    "INSERT INTO observations (model, version, kind, key, first_at, at, payload, token) "
    "VALUES (:model, :version, :kind, :key, :at, :at, :payload, :token) "
    "ON CONFLICT (model, version, kind, key) DO UPDATE SET "
    "at = excluded.at, payload = excluded.payload, token = excluded.token"
)
