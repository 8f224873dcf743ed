"""What the servers of this machine did for a version, and what they hold: no database is asked."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from promise.engine.memory import pss_mb
from promise.monitoring.memory import worker_pids
from promise.records.counters import Series, merged
from promise.settings import Settings

_ANSWERING = ("live", "canary", "experiment")
_STANDINGS = "standing-*.json"
"""Each worker tells in one of them how it stands."""


@dataclass(frozen=True)
class Usage:
    """Counts since the first start of a server here, and memory as it is now.

    Parameters
    ----------
    requests, rows
        Answered by the version; a request may hold many rows.
    seconds
        From the requests' bodies to their answers.
    cached
        Requests that the response cache answered.
    texts_found, texts_computed, texts_seconds
        Of the workers that run, whatever they answered with: texts whose vectors a cache had or an
        encoder computed, and how long it computed.
    memory_mb, workers
        PSS of the workers that run, and how many they are.
    """

    requests: int = 0
    rows: int = 0
    seconds: float = 0.0
    cached: int = 0
    texts_found: int = 0
    texts_computed: int = 0
    texts_seconds: float = 0.0
    memory_mb: float = 0.0
    workers: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return asdict(self)

    def sentence(self) -> str:
        """Say it in a line; empty where nothing was answered and no server runs.

        Examples
        --------
        >>> Usage(requests=100, rows=2_000, seconds=0.5, memory_mb=311.4, workers=2).sentence()
        'answered on this machine: 2,000 rows in 100 requests, 5 ms each; 2 workers hold 311 MiB'
        >>> Usage(texts_found=8, texts_computed=2, texts_seconds=0.31, workers=1).sentence()
        'answered on this machine: nothing yet; texts: 80 % found in the cache, 2 computed in 0.3 s'
        """
        if not (self.requests or self.workers):
            return ""
        told = ["answered on this machine: nothing yet"]
        if self.requests:
            each = 1000 * self.seconds / self.requests
            told = [
                f"answered on this machine: {self.rows:,} rows in {self.requests:,} requests, "
                f"{each:.3g} ms each"
            ]
        texts = self.texts_found + self.texts_computed
        if texts:
            told.append(
                f"texts: {100 * self.texts_found / texts:.0f} % found in the cache, "
                f"{self.texts_computed:,} computed in {self.texts_seconds:,.1f} s"
            )
        if self.memory_mb:
            plural = "" if self.workers == 1 else "s"
            holds = "holds" if self.workers == 1 else "hold"
            told.append(f"{self.workers} worker{plural} {holds} {self.memory_mb:,.0f} MiB")
        return "; ".join(told)


def usage(name: str, version: int | None, *, settings: Settings | None = None) -> Usage:
    """Return what servers of this machine answered with a version, and what they hold."""
    run = (settings or Settings.load()).run
    total = Series(name, version or 0, "")
    for one in merged(run)["series"]:
        if (one.model, one.version) == (name, version) and one.arm in _ANSWERING:
            total.add(one)
    memory = {pid: pss_mb(pid) for pid in worker_pids(run)}
    running = {pid: size for pid, size in memory.items() if size > 0}
    told = [one for one in _standings(run) if one.get("pid") in running]
    return Usage(
        requests=total.requests,
        rows=total.rows,
        seconds=total.seconds,
        cached=total.cached,
        texts_found=sum(int(one.get("texts_found", 0)) for one in told),
        texts_computed=sum(int(one.get("texts_computed", 0)) for one in told),
        texts_seconds=sum(float(one.get("texts_seconds", 0.0)) for one in told),
        memory_mb=round(sum(running.values()), 1),
        workers=len(running),
    )


def _standings(run: Path) -> list[dict[str, Any]]:
    """Return what workers told of themselves; a file that is being replaced is left out."""
    found = []
    for path in sorted(run.glob(_STANDINGS)):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(told, dict):
            found.append(told)
    return found
