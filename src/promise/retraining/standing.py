"""How retraining stands for a name: the last run, and when the next one is due."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from promise.clock import Clock, SteadyClock
from promise.errors import PromiseError
from promise.pipeline.artifact import read_notes
from promise.registry.registry import Registry
from promise.registry.versions import Version
from promise.retraining.facts import FactReader
from promise.retraining.runs import Run, Runs
from promise.retraining.triggers import outlook
from promise.settings import Settings

_FAR_DAYS = 3650.0
"""What lies further ahead at the rate of now is not told."""


@dataclass(frozen=True)
class Standing:
    """What `promise status NAME` tells of retraining.

    Parameters
    ----------
    last
        The newest run, which may be under way; None before the first.
    next_due
        When the next one is due, or what would make it so.
    next_rung
        What the live version's learning curve says of more data, and how much of it has come;
        empty where it has none.
    rung
        The same, JSON-ready: `rung`, `rows` at which it is due, `labelled` so far, `expected`
        score, and `about`, the day at the rate of the labels since the version was trained.
    """

    last: Run | None
    next_due: str
    next_rung: str = ""
    rung: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        last = None if self.last is None else self.last.to_json()
        found = {"last": last, "next_due": self.next_due}
        return found | ({"next_rung": self.next_rung, **self._rung} if self.next_rung else {})

    @property
    def _rung(self) -> dict[str, Any]:
        return {} if self.rung is None else {"rung": self.rung}

    def sentence(self) -> str:
        """Say both in one line."""
        return f"last retraining: {_told(self.last)}; next due {self.next_due}"


def standing(
    name: str, *, settings: Settings | None = None, clock: Clock | None = None
) -> Standing:
    """Say how retraining stands for a name.

    Raises
    ------
    DataError
        When there is no such model.
    """
    steady = SteadyClock.over(clock)
    registry = replace(Registry.open(settings or Settings.load()), clock=steady)
    try:
        registry.get(name)
        reader = FactReader(registry, steady)
        last = next(iter(reader.runs.of(name, 1)), None)
        if last is not None and last.state == "running":
            next_due = f"not before number {last.number} has ended"
        else:
            next_due = outlook(reader.read(name))
        return Standing(last, next_due, *_next_rung(reader, name))
    finally:
        registry.database.close()


def _next_rung(reader: FactReader, name: str) -> tuple[str, dict[str, Any] | None]:
    """Return what the live version says of more data; nothing where it cannot be read."""
    with suppress(PromiseError, OSError, ValueError):
        live = reader.registry.find(f"{name}@live")
        told = read_notes(live.folder).get("next_rung")
        known = live.lineage.get("rows_used")
        if isinstance(told, dict):
            words = str(told["in_words"])
            if known is None:
                return words, None
            came = reader.labels.count(name, _told_before(reader, live))
            rung = _awaited(told, int(known), came, live.created, reader.clock.now())
            return f"{words}; {_progress(rung, came)}", rung
    return "", None


def _told_before(reader: FactReader, live: Version) -> int:
    """Return the number of the last label that the version may have learned from."""
    for run in reader.runs.of(live.name):
        if run.version == live.number:
            return run.label_number
    return reader.labels.number_at(live.created)


def _awaited(
    told: Mapping[str, Any], known: int, came: int, since: datetime, now: datetime
) -> dict[str, Any]:
    """Return how far labels are from what the curve asks for, and when they would be there."""
    rows, labelled = int(told["rows"]), known + came
    passed = (now - since) / timedelta(days=1)
    days = passed * max(0, rows - labelled) / came if came and passed > 0 else None
    soon = days is not None and days < _FAR_DAYS
    about = (now + timedelta(days=days)).date().isoformat() if days is not None and soon else None
    kept = {key: told[key] for key in ("rung", "changes", "now", "expected") if key in told}
    return {**kept, "rows": rows, "labelled": labelled, "about": about}


def _progress(rung: Mapping[str, Any], came: int) -> str:
    """Say how many labelled rows there are of those that it takes.

    Examples
    --------
    >>> _progress({"rows": 400, "labelled": 230, "about": "2026-05-01"}, 30)
    '230 are labelled so far (30 since it was trained), 400 at this rate about 2026-05-01'
    >>> _progress({"rows": 400, "labelled": 410, "about": None}, 210)
    '410 are labelled by now (210 since it was trained): the next retraining measures it'
    """
    since = f"({came:,} since it was trained)" if came else ""
    if rung["labelled"] >= rung["rows"]:
        return f"{rung['labelled']:,} are labelled by now {since}: the next retraining measures it"
    rate = f", {rung['rows']:,} at this rate about {rung['about']}" if rung["about"] else ""
    return f"{rung['labelled']:,} are labelled so far {since}".rstrip() + rate


def runs_of(
    name: str | None = None, *, settings: Settings | None = None, clock: Clock | None = None
) -> list[Run]:
    """Return the retrainings of a name, or of all, newest first."""
    registry = Registry.open(settings or Settings.load())
    try:
        if name is not None:
            registry.get(name)
        return Runs(registry.database, SteadyClock.over(clock)).of(name)
    finally:
        registry.database.close()


def _told(run: Run | None) -> str:
    if run is None:
        return "none yet"
    if run.state == "running":
        return f"number {run.number} is under way since {run.started:%Y-%m-%d %H:%M} UTC"
    ended = run.ended or run.started
    made = "" if run.version is None else f", {run.name}@{run.version}"
    return f"{ended:%Y-%m-%d %H:%M} UTC: {run.state}{made}"
