"""One worker: what the lane and the API share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from promise.records.review import ReviewQueues
from promise.serving.answering import Answering
from promise.serving.arrivals import Arrivals
from promise.serving.holdings import Holdings
from promise.serving.problems import COUNTED, OF_NO_MODEL


@dataclass
class Worker(Holdings):
    """Everything that one serving process holds, and what it does with it."""

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
