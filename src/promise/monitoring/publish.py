"""From the local index to evidence: absolute numbers under keys of their own, again and again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from promise.metrics.drift import SCORE
from promise.monitoring.index import read_truth
from promise.records.evidence import EvidenceStore

_ROWS_AT_ONCE = 500

Observation = tuple[str, int, str, str, dict[str, Any]]


@dataclass(frozen=True)
class _Dirty:
    """A row of the index that changed, what it publishes, and the state that it publishes."""

    table: str
    key: dict[str, Any]
    dirty: int
    observation: Observation


def publish(index: sa.Engine, evidence: EvidenceStore, machine: str, generation: str) -> int:
    """Publish what changed in the index; return how many observations.

    A row is marked as published only if it is still as it was read, so that a change in between
    is published next time; published twice, it replaces itself.
    """
    done = 0
    while changed := _changed(index, machine, generation):
        evidence.observe_all([entry.observation for entry in changed])
        with index.begin() as connection:
            for entry in changed:
                rule = " AND ".join(f"{name} = :{name}" for name in entry.key)
                connection.execute(
                    sa.text(f"UPDATE {entry.table} SET dirty = 0 WHERE {rule} AND dirty = :dirty"),
                    {**entry.key, "dirty": entry.dirty},
                )
        done += len(changed)
    return done


def _changed(index: sa.Engine, machine: str, generation: str) -> list[_Dirty]:
    with index.begin() as connection:
        periods = connection.execute(
            sa.text("SELECT * FROM drift WHERE dirty > 0 LIMIT :n"), {"n": _ROWS_AT_ONCE}
        ).all()
        found = [_period(row, machine) for row in periods]
        blocks = connection.execute(
            sa.text("SELECT * FROM blocks WHERE dirty > 0 LIMIT :n"), {"n": _ROWS_AT_ONCE // 10}
        ).all()
        return found + [_block(connection, row, f"{machine}:{generation}") for row in blocks]


def _period(row: Any, machine: str) -> _Dirty:
    payload = {"feature": row.feature, "begun": row.begun, "counts": json.loads(row.counts)}
    name = "answer" if row.feature == SCORE else f"input/{row.feature}"
    key = {"model": row.model, "version": row.version, "feature": row.feature, "begun": row.begun}
    observation = (row.model, row.version, "psi", f"{name}:{row.begun}:{machine}", payload)
    return _Dirty("drift", key, row.dirty, observation)


def _block(connection: sa.Connection, row: Any, prefix: str) -> _Dirty:
    key = {"model": row.model, "version": row.version, "block": row.block}
    query = (
        "SELECT y, output, groups, at, arm FROM outcomes WHERE model = :model "
        "AND version = :version AND block = :block AND y IS NOT NULL ORDER BY place"
    )
    rows = connection.execute(sa.text(query), key).all()
    groups = [json.loads(each.groups) for each in rows]
    names = sorted({name for each in groups for name in each})
    payload = {
        "y": [read_truth(each.y) for each in rows],
        "output": [np.frombuffer(each.output, dtype="<f8").tolist() for each in rows],
        "at": [each.at for each in rows],
        "arm": [each.arm for each in rows],
        "group": {name: [each.get(name) for each in groups] for name in names},
        "ids": len(rows),
    }
    observation = (row.model, row.version, "outcome", f"{prefix}:{row.block:08d}", payload)
    return _Dirty("blocks", key, row.dirty, observation)
