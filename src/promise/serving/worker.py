"""One worker: what the lane and the API share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from promise.clock import Clock, SystemClock
from promise.records.counters import Counters
from promise.records.evidence import EvidenceStore
from promise.records.labels import Labels
from promise.records.predictions import PredictionLog
from promise.serving.answering import Answering
from promise.serving.cache import ResponseCache
from promise.serving.runtime import Runtime
from promise.settings import Settings
from promise.state.database import Database


@dataclass(frozen=True)
class Limits:
    """What one worker accepts.

    Parameters
    ----------
    body_mb, rows
        Largest body and batch; above them 413.
    queue
        Requests in flight above which new ones are shed with 429.
    deadline_ms
        Where a request names none (`X-Deadline-Ms`).
    read_s
        How long a client may take to send its body.
    drain_s
        How long requests in flight may take once the worker was told to stop.
    """

    body_mb: float = 8.0
    rows: int = 10_000
    queue: int = 256
    deadline_ms: float = 10_000.0
    read_s: float = 10.0
    drain_s: float = 20.0


@dataclass
class Worker:
    """Everything that one serving process holds.

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

    @cached_property
    def answering(self) -> Answering:
        """How this worker answers rows, whichever protocol they came by."""
        return Answering(self)
