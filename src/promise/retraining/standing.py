"""How retraining stands for a name: the last run, and when the next one is due."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from promise.clock import Clock, SteadyClock
from promise.registry.registry import Registry
from promise.retraining.facts import FactReader
from promise.retraining.runs import Run, Runs
from promise.retraining.triggers import outlook
from promise.settings import Settings


@dataclass(frozen=True)
class Standing:
    """What `promise status NAME` tells of retraining.

    Parameters
    ----------
    last
        The newest run, which may be under way; None before the first.
    next_due
        When the next one is due, or what would make it so.
    """

    last: Run | None
    next_due: str

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        last = None if self.last is None else self.last.to_json()
        return {"last": last, "next_due": self.next_due}

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
        return Standing(last, outlook(reader.read(name)))
    finally:
        registry.database.close()


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
