"""Counts of one worker: requests, errors, latencies; merged over fixed worker slots."""

from __future__ import annotations

import json
import logging
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promise.state.files import write_text

_log = logging.getLogger(__name__)
FORMAT = 1

LATENCY_EDGES_MS = (
    0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 250, 500, 1000, 2500, 5000, 10000,
)  # fmt: skip


@dataclass
class Series:
    """Counts of one (model, version, arm); plain integers, changed by the worker's loop alone.

    `arm` is `live`, `canary`, `shadow`, `experiment` or `fallback`.

    Parameters
    ----------
    latency
        One count per edge of `LATENCY_EDGES_MS`, and one above the last.
    over
        For each latency target of a promise, in milliseconds: answers that took longer.

    Examples
    --------
    >>> series = Series("churn", 3, "live", over={10.0: 0})
    >>> series.answered(4.0)
    >>> series.failed(12.0)
    >>> series.requests, series.errors, series.over
    (2, 1, {10.0: 1})
    """

    model: str
    version: int
    arm: str
    requests: int = 0
    rows: int = 0
    errors: int = 0
    fallbacks: int = 0
    cached: int = 0
    seconds: float = 0.0
    latency: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_EDGES_MS) + 1))
    over: dict[float, int] = field(default_factory=dict)

    def answered(self, ms: float, rows: int = 1) -> None:
        """Count one answered request."""
        self.requests += 1
        self.rows += rows
        self.seconds += ms * 0.001
        self.latency[bisect_left(LATENCY_EDGES_MS, ms)] += 1
        over = self.over
        for target in over:
            if ms > target:
                over[target] += 1

    def failed(self, ms: float) -> None:
        """Count one request that got no answer, or only a fallback, through our fault."""
        self.answered(ms, 0)
        self.errors += 1  # last, so that a reader never sees more errors than requests

    @property
    def labels(self) -> tuple[str, int, str]:
        """What tells this series from the others."""
        return self.model, self.version, self.arm

    def add(self, other: Series) -> None:
        """Add another slot's counts of the same labels."""
        for name in ("requests", "rows", "errors", "fallbacks", "cached", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.latency = [a + b for a, b in zip(self.latency, other.latency, strict=True)]
        for target, n in other.over.items():
            self.over[target] = self.over.get(target, 0) + n

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {**vars(self), "latency": list(self.latency), "over": list(self.over.items())}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Series:
        """Read back what `to_json` wrote."""
        over = {float(target): int(n) for target, n in data["over"]}
        series = cls(**{**data, "over": over})
        if len(series.latency) != len(LATENCY_EDGES_MS) + 1:
            raise ValueError("the histogram has other edges")
        return series


class Counters:
    """All series of one worker slot, and a few totals by name (e.g. `shed`, `bad_requests`).

    Parameters
    ----------
    slot
        0 … workers - 1, the same over restarts.

    Attributes
    ----------
    published
        What `CountsPublisher` keeps in the same file: how far it has come, and what the evidence
        store has not confirmed. A kill between the two loses nothing and counts nothing twice.
    """

    def __init__(self, folder: Path, slot: int) -> None:
        """Go on from what this slot's file holds, so that counts never fall after a restart."""
        self.folder = Path(folder)
        self.slot = slot
        self._path = self.folder / f"slot-{slot}.json"
        self._series: dict[tuple[str, int, str], Series] = {}
        self._totals: dict[tuple[str, str], int] = {}
        self.published: dict[str, Any] = {}
        kept = _read(self._path)
        if kept is None and self._path.exists():
            aside = _set_aside(self._path)
            _log.warning("a damaged counter file was set aside", extra={"file": str(aside)})
        if kept is not None:
            self._series = {series.labels: series for series in kept[0]}
            self._totals = kept[1]
            self.published = kept[2]

    def series(self, model: str, version: int, arm: str, targets: tuple[float, ...]) -> Series:
        """Return the one series of these labels; `targets` are latency promises in milliseconds."""
        found = self._series.get((model, version, arm))
        if found is None:
            found = self._series[model, version, arm] = Series(model, version, arm)
        if not set(targets) <= found.over.keys():
            # a new dictionary: another thread may be counting in the old one
            found.over = {**found.over, **{t: found.over.get(t, 0) for t in targets}}
        return found

    def count(self, total: str, model: str = "", by: int = 1) -> None:
        """Add to a named total."""
        key = (total, model)
        self._totals[key] = self._totals.get(key, 0) + by

    @property
    def all_series(self) -> list[Series]:
        """Every series of this slot."""
        return list(self._series.values())

    @property
    def totals(self) -> dict[tuple[str, str], int]:
        """Every named total of this slot, by (total, model)."""
        return dict(self._totals)

    def save(self) -> None:
        """Write the slot's file, whole or not at all."""
        data = {
            "format": FORMAT,
            "series": [series.to_json() for series in self.all_series],
            "totals": [[*key, n] for key, n in self.totals.items()],
            "published": self.published,
        }
        write_text(self._path, json.dumps(data) + "\n")


_Kept = tuple[list[Series], dict[tuple[str, str], int], dict[str, Any]]


def _read(path: Path) -> _Kept | None:
    """Return what a slot's file holds; None where there is none, or it is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}")
        series = [Series.from_json(entry) for entry in data["series"]]
        totals = {(total, model): int(n) for total, model, n in data["totals"]}
        return series, totals, dict(data["published"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _set_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.stem}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    return aside


def merged(folder: Path, live: Counters | None = None) -> dict[str, Any]:
    """Return `{"series": [Series, …], "totals": {(total, model): n}}` over all slots' files.

    `live` replaces its own slot's file by what it holds now. A damaged file is left out.
    """
    found: dict[tuple[str, int, str], Series] = {}
    totals: dict[tuple[str, str], int] = {}
    for series, more in _slots(Path(folder), live):
        for one in series:
            if one.labels not in found:
                found[one.labels] = Series(*one.labels)
            found[one.labels].add(one)
        for key, n in more.items():
            totals[key] = totals.get(key, 0) + n
    return {"series": [found[key] for key in sorted(found)], "totals": totals}


def _slots(
    folder: Path, live: Counters | None
) -> Iterable[tuple[list[Series], dict[tuple[str, str], int]]]:
    own = None if live is None else f"slot-{live.slot}.json"
    for path in sorted(folder.glob("slot-*.json")):
        kept = None if path.name == own else _read(path)
        if kept is not None:
            yield kept[0], kept[1]
    if live is not None:
        yield live.all_series, live.totals
