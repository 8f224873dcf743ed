"""What one serving process holds, before anybody answers with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from promise.clock import Clock, SystemClock
from promise.records.counters import Counters
from promise.records.evidence import EvidenceStore
from promise.records.labels import Labels
from promise.records.predictions import PredictionLog
from promise.serving.cache import ResponseCache
from promise.serving.limits import Limits
from promise.serving.runtime import Runtime
from promise.settings import Settings
from promise.state.database import Database


@dataclass
class Holdings:
    """Stores, counters and settings of one worker.

    Parameters
    ----------
    slot
        0 … workers - 1: the place of its counters, kept over restarts.
    open_access
        Whether requests without a key are answered (the default on loopback alone).
    cache
        Answers of workloads that declare a lifetime.
    """

    settings: Settings
    slot: int
    database: Database
    runtime: Runtime
    counters: Counters
    log: PredictionLog
    labels: Labels
    evidence: EvidenceStore
    limits: Limits
    open_access: bool
    draining: bool = False
    clock: Clock = field(default_factory=SystemClock)
    cache: ResponseCache = field(default_factory=ResponseCache)
