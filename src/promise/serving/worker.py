"""One worker: what the lane and the API share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from promise.clock import Clock, SystemClock
from promise.records.counters import Counters
from promise.records.evidence import EvidenceStore
from promise.records.labels import Labels
from promise.records.predictions import PredictionLog
from promise.records.review import ReviewQueues
from promise.serving.answering import Answering
from promise.serving.arrivals import Arrivals
from promise.serving.cache import ResponseCache
from promise.serving.limits import Limits
from promise.serving.problems import COUNTED, OF_NO_MODEL
from promise.serving.runtime import Runtime
from promise.settings import Settings
from promise.state.database import Database

__all__ = ["Limits", "Worker"]


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

    @cached_property
    def reviews(self) -> ReviewQueues:
        """What waits for a person, by model."""
        return ReviewQueues(self.settings.records, self.labels)

    @cached_property
    def arrivals(self) -> Arrivals:
        """How this worker reads bodies, whichever route they came by."""
        return Arrivals(self.limits)

    def count_refusal(self, status: int, name: str = "") -> None:
        """Count a refusal by its status; names that nobody serves are not told apart."""
        total = COUNTED.get(status)
        if total is not None:
            known = total not in OF_NO_MODEL and name in self.runtime.snapshot.endpoints
            self.counters.count(total, name if known else "")
