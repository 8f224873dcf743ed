"""Every room that keeps tables in an installation's database: what a backup is made of."""

from __future__ import annotations

from promise.features.stores.postgres_tables import FEATURE_STATE
from promise.monitoring.alerts import ALERTS
from promise.records.events import EVENTS
from promise.records.evidence_tables import EVIDENCE
from promise.records.exposures_shared import SHOWN_TODAY
from promise.records.forgotten import FORGOTTEN
from promise.records.labels import LABELS
from promise.records.timeline import TIMELINE
from promise.registry.aliases import ALIASES
from promise.registry.audit import CHAIN
from promise.registry.epoch import EPOCH
from promise.registry.gates import GATES
from promise.registry.keys import KEYS
from promise.registry.revisions import REVISIONS
from promise.registry.rooms import Rooms
from promise.registry.tables import VERSIONS
from promise.registry.verdicts import VERDICTS
from promise.retraining.runs import RUNS
from promise.rollout.leases import LEASES
from promise.rollout.wishes import WISHES

ROOMS = Rooms(
    (
        ALERTS, ALIASES, CHAIN, EPOCH, EVENTS, EVIDENCE, FORGOTTEN, GATES, KEYS, LABELS, LEASES,
        REVISIONS, RUNS, TIMELINE, VERDICTS, VERSIONS, WISHES,
    ),
    # what follows from the events and differs between stores, and what holds for a day, go on as
    # they are
    apart=frozenset({FEATURE_STATE.room, SHOWN_TODAY.room}),
)  # fmt: skip
"""The rooms of this installation."""
