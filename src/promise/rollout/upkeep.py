"""What has to be done now and then for the whole installation, by whoever holds the lease."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa

from promise.clock import Clock
from promise.errors import PromiseError
from promise.records.evidence import EvidenceStore
from promise.registry.registry import Registry

log = logging.getLogger(__name__)

EXACT_DAYS = 1.0
"""How long counts stay in buckets of seconds before they are summed into hours."""
EVIDENCE_DAYS = 90.0
"""How long counts and observations stay at all."""
_HOUR_S, _DAY_S = 3600.0, 86_400.0


@dataclass
class Upkeep:
    """Sums and forgets old evidence every hour, and archives retired versions every day.

    Each is done once soon after the start, too: done twice, it changes nothing.
    """

    registry: Registry
    store: EvidenceStore
    clock: Clock
    _done_s: dict[str, float] = field(default_factory=dict)

    def tend(self) -> None:
        """Do what is due; what fails is told in the log and tried again when it is due next."""
        self._now_and_then("evidence", _HOUR_S, self._evidence)
        self._now_and_then("versions", _DAY_S, self._versions)

    def _now_and_then(self, what: str, every_s: float, work: Callable[[], None]) -> None:
        now_s, done_s = self.clock.monotonic(), self._done_s.get(what)
        if done_s is not None and now_s - done_s < every_s:
            return
        self._done_s[what] = now_s
        try:
            work()
        except (PromiseError, sa.exc.SQLAlchemyError, OSError) as error:
            log.warning("upkeep failed", extra={"of": what, "error": str(error)})

    def _evidence(self) -> None:
        now = self.clock.now()
        self.store.compact(now - timedelta(days=EXACT_DAYS))
        self.store.forget(now - timedelta(days=EVIDENCE_DAYS))

    def _versions(self) -> None:
        for version in self.registry.sweep():
            log.info("archived", extra={"model": version.name, "version": version.number})
