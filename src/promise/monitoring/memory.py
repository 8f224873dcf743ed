"""What the workers of this machine hold together, as samples by the minute."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from promise.clock import Clock
from promise.engine.memory import pss_mb

WORKERS = "workers.json"
"""Written by whoever runs the workers: `{"pids": [...]}`."""
_EVERY_S = 10.0


@dataclass(frozen=True)
class MemorySample:
    """The largest memory seen within a minute.

    Parameters
    ----------
    pss_mb
        PSS of all workers in MiB: pages that they share count once.
    """

    minute: str
    pss_mb: float
    workers: int


class MemoryProbe:
    """Measures now and then; reading PSS walks every page of a process.

    Parameters
    ----------
    folder
        Where `workers.json` lies.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._measured_s: float | None = None
        self._last: MemorySample | None = None

    def sample(self) -> MemorySample | None:
        """Return this minute's sample when it is time to measure and there are workers."""
        now_s = self._clock.monotonic()
        if self._measured_s is not None and now_s - self._measured_s < _EVERY_S:
            return None
        pids = worker_pids(self._folder)
        total = sum(pss_mb(pid) for pid in pids)
        if total == 0.0:
            return None
        self._measured_s = now_s
        minute = self._clock.now().strftime("%Y-%m-%dT%H:%M")
        if self._last is not None and self._last.minute == minute:
            total = max(total, self._last.pss_mb)
        self._last = MemorySample(minute, round(total, 1), len(pids))
        return self._last


def worker_pids(folder: Path) -> list[int]:
    """Return the workers that `workers.json` names; none where it cannot be read."""
    try:
        data = json.loads((folder / WORKERS).read_text(encoding="utf-8"))
        return [int(pid) for pid in data["pids"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
