"""What a deployment should know before traffic comes: promises that take long to judge."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from promise.errors import ArtifactError
from promise.promises.lint import Advice, lint
from promise.promises.spec import ModelFile
from promise.records.rates import rates
from promise.registry.versions import Version
from promise.rollout.gate import Gate
from promise.rollout.subject import Subject
from promise.state.database import Database

_FEATURES = 30


def advice(
    database: Database, version: Version, declared: ModelFile, gate: Gate, now: datetime
) -> tuple[Advice, ...]:
    """Return advice at the rates that the name has by now; none where it has no traffic yet.

    What the gate measured is taken to go on; what was due there and is KEPT needs no more.
    """
    known = rates(database, version.name, now)
    if known is None:
        return ()
    measured = {v.promise: v.measured for v in gate.verdicts if v.measured is not None}
    kept = {v.promise for v in gate.verdicts if v.status == "KEPT"}
    later = [p for p in declared.promises if p.due != "gate" or p.key not in kept]
    found = lint(
        replace(declared, promises=tuple(later)),
        known.requests,
        known.labels,
        expected=measured,
        features=_watched(version),
    )
    return tuple(found)


def _watched(version: Version) -> int:
    """Return how many features drift is watched of."""
    try:
        return len(Subject.of(version).reference) or _FEATURES
    except ArtifactError:
        return _FEATURES
