"""Counts by time: what judgement reads, merged over workers and machines."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from promise.clock import Clock
from promise.records.buckets import (
    BUCKET_S,
    HOUR_S,
    Bucket,
    Cell,
    bucket_start,
    buckets,
    cell_row,
    hours,
)
from promise.records.evidence_tables import EVIDENCE, UPSERT_COUNTS, UPSERT_OBSERVATION
from promise.records.isolation import wait_in_line
from promise.records.timeline import Timeline
from promise.state.database import Database
from promise.state.moments import from_text, to_text

__all__ = ["BUCKET_S", "EVIDENCE", "Bucket", "EvidenceStore", "Observed"]

_LOCK = 0x45564944  # "EVID": held while old buckets are summed


@dataclass(frozen=True)
class Observed:
    """Something a collector measured, newest last: `{"kind", "at", "payload"}`.

    Kinds: `psi` (feature, counts per frozen bin, `begun`: when the first of the rows may have
    come), `outcome` (joined labels, a list for each of `y`, `output`, `at`, `arm` and the group's
    values; rows without `at` and `arm` are of the live version, from when they were observed),
    `memory` (PSS in MiB of all workers).

    Parameters
    ----------
    at
        When it was last refreshed.
    key
        What a refreshed observation replaces.
    begun
        When it was first observed; the moment of `at` where that is not known.
    """

    kind: str
    at: datetime
    payload: dict[str, Any]
    key: str = ""
    begun: datetime | None = None


@dataclass
class EvidenceStore:
    """Written by workers (counts) and collectors (observations), read by the reconciler."""

    database: Database
    clock: Clock

    @property
    def timeline(self) -> Timeline:
        """How far time has come, as evidence and stages tell."""
        return Timeline(self.database)

    def add_counts(
        self,
        slot: str,
        model: str,
        version: int,
        arm: str,
        start: datetime,
        requests: int,
        errors: int,
        over: dict[float, int],
    ) -> None:
        """Set what this slot counted in this bucket so far; repeated calls replace each other.

        A process that begins to count from zero needs a slot of its own: see `CountsPublisher`.
        """
        self.add_cells([Cell(slot, model, version, arm, start, requests, errors, over)])

    def add_cells(self, cells: Sequence[Cell]) -> int:
        """Set many at once; return how many came too late, after their hour was summed up."""
        if not cells:
            return 0
        self.database.migrate(EVIDENCE)
        rows = [cell_row(cell) for cell in cells]

        def work(connection: sa.Connection) -> int:
            wait_in_line(connection)
            # shared with other writers, not with `compact`: neither may miss the other
            if connection.dialect.name == "postgresql":
                connection.execute(
                    sa.text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": _LOCK}
                )
            summed = _summed(connection)
            fresh = [row for row in rows if row["bucket"] >= summed]
            if fresh:
                connection.execute(sa.text(UPSERT_COUNTS), fresh)
            return len(rows) - len(fresh)

        return self.database.run(work)

    def counts(
        self, model: str, version: int, arm: str, since: datetime | None = None
    ) -> list[Bucket]:
        """Return the buckets of a version in time order, merged over slots.

        Parameters
        ----------
        since
            Only buckets, or summed hours, that begin at or after this moment: one that was under
            way then has counted requests of both sides.
        """
        self.database.migrate(EVIDENCE)
        values: dict[str, Any] = {"model": model, "version": version, "arm": arm}
        rule = ""
        if since is not None:
            rule, values["since"] = " AND bucket >= :since", to_text(since)
        query = (
            "SELECT bucket, requests, errors, over_ms FROM counts WHERE model = :model "
            f"AND version = :version AND arm = :arm{rule} ORDER BY bucket"
        )
        with self.database.reading() as connection:
            return buckets(connection.execute(sa.text(query), values))

    def counted_until(self, model: str) -> datetime | None:
        """Return until when requests of a model are counted; None where none ever were."""
        self.database.migrate(EVIDENCE)
        query = sa.text("SELECT MAX(bucket) FROM counts WHERE model = :model")
        with self.database.reading() as connection:
            newest = connection.execute(query, {"model": model}).scalar()
        return None if newest is None else from_text(newest) + timedelta(seconds=BUCKET_S)

    def compact(self, before: datetime) -> int:
        """Sum the buckets older than a moment into hours; return how many rows that saved.

        Counts that a worker brings later for those hours are refused by `add_cells`: keep a
        distance of hours, longer than a worker may be without the database.
        """
        self.database.migrate(EVIDENCE)
        until = to_text(bucket_start(before, HOUR_S))

        def work(connection: sa.Connection) -> int:
            wait_in_line(connection, _LOCK)
            done = _summed(connection)
            if until <= done:
                return 0
            span = {"done": done, "until": until}
            inside = "bucket >= :done AND bucket < :until AND slot <> ''"
            found = connection.execute(
                sa.text(
                    "SELECT model, version, arm, bucket, requests, errors, over_ms "
                    f"FROM counts WHERE {inside}"
                ),
                span,
            ).all()
            sums = hours(found)
            connection.execute(sa.text(f"DELETE FROM counts WHERE {inside}"), span)
            if sums:
                connection.execute(sa.text(UPSERT_COUNTS), sums)
            connection.execute(
                sa.text("UPDATE counts_summed SET until_at = :until"), {"until": until}
            )
            return len(found) - len(sums)

        return self.database.run(work)

    def observe(
        self, model: str, version: int, kind: str, key: str, payload: dict[str, Any]
    ) -> None:
        """Keep an observation; the same key again replaces it."""
        self.observe_all([(model, version, kind, key, payload)])

    def observe_all(
        self, observations: Sequence[tuple[str, int, str, str, dict[str, Any]]]
    ) -> None:
        """Keep many (model, version, kind, key, payload) at once, all or none."""
        if not observations:
            return
        self.database.migrate(EVIDENCE)
        now = to_text(self.clock.now())
        rows = [
            {
                "model": model,
                "version": version,
                "kind": kind,
                "key": key,
                "at": now,
                "payload": json.dumps(payload),
                "token": secrets.randbits(62),  # no two writings have the same
            }
            # one order for all writers, so that none waits for another in a circle
            for model, version, kind, key, payload in sorted(observations, key=lambda o: o[:4])
        ]

        def work(connection: sa.Connection) -> None:
            wait_in_line(connection)
            connection.execute(sa.text(UPSERT_OBSERVATION), rows)

        self.database.run(work)

    def observed(
        self, model: str, version: int, kind: str, since: datetime | None = None
    ) -> list[Observed]:
        """Return the observations of a kind, oldest first: in the order in which they began.

        Parameters
        ----------
        since
            Only those that were refreshed at or after this moment.
        """
        self.database.migrate(EVIDENCE)
        values: dict[str, Any] = {"model": model, "version": version, "kind": kind}
        rule = ""
        if since is not None:
            rule, values["since"] = " AND at >= :since", to_text(since)
        query = (
            "SELECT at, payload, key, first_at FROM observations "
            f"WHERE model = :model AND version = :version AND kind = :kind{rule} "
            "ORDER BY first_at, key"
        )
        with self.database.reading() as connection:
            return [
                Observed(kind, from_text(at), json.loads(payload), key, from_text(first_at))
                for at, payload, key, first_at in connection.execute(sa.text(query), values)
            ]

    def withdraw(self, kind: str, prefix: str, keep: str) -> int:
        """Drop the observations whose key begins with `prefix` but not with `keep`."""
        self.database.migrate(EVIDENCE)
        query = (
            "DELETE FROM observations WHERE kind = :kind "
            "AND SUBSTR(key, 1, :n) = :prefix AND SUBSTR(key, 1, :m) <> :keep"
        )
        values = {
            "kind": kind, "prefix": prefix, "n": len(prefix), "keep": keep, "m": len(keep),
        }  # fmt: skip

        def work(connection: sa.Connection) -> int:
            wait_in_line(connection)
            return connection.execute(sa.text(query), values).rowcount

        return self.database.run(work)

    def forget(self, before: datetime) -> int:
        """Drop counts and observations older than a moment; return how many."""
        self.database.migrate(EVIDENCE)
        values = {"before": to_text(before)}

        def work(connection: sa.Connection) -> int:
            wait_in_line(connection)
            queries = (
                "DELETE FROM counts WHERE bucket < :before",
                "DELETE FROM observations WHERE at < :before",
            )
            return sum(connection.execute(sa.text(q), values).rowcount for q in queries)

        return self.database.run(work)


def _summed(connection: sa.Connection) -> str:
    return str(connection.execute(sa.text("SELECT until_at FROM counts_summed")).scalar_one())
