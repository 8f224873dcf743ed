"""How retraining stands for a name: the last run, and when the next one is due."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from promise.clock import Clock, SteadyClock
from promise.errors import PromiseError
from promise.pipeline.artifact import read_notes
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
    next_rung
        What the live version's learning curve says of more data; empty where it has none.
    """

    last: Run | None
    next_due: str
    next_rung: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        last = None if self.last is None else self.last.to_json()
        found = {"last": last, "next_due": self.next_due}
        return found | ({"next_rung": self.next_rung} if self.next_rung else {})

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
        return Standing(last, outlook(reader.read(name)), _next_rung(registry, name))
    finally:
        registry.database.close()


def _next_rung(registry: Registry, name: str) -> str:
    """Return what the live version says of more data; nothing where it cannot be read."""
    with suppress(PromiseError, OSError, ValueError):
        told = read_notes(registry.find(f"{name}@live").folder).get("next_rung")
        return str(told["in_words"]) if isinstance(told, dict) else ""
    return ""


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
