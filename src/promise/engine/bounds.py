"""What must end: work past its deadline or over its own memory, or one of a run over its bound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from promise.engine.handle import LocalHandle, Reason

DYING_S = 2.0
"""How long a killed process may take to give its memory back."""


@dataclass(frozen=True)
class Overrun:
    """A piece of work that must end, and why."""

    handle: LocalHandle[Any]
    reason: Reason
    why: str


@dataclass(frozen=True)
class Bounds:
    """The bounds of an engine.

    Parameters
    ----------
    memory_mb
        On the PSS of all processes together; None: no bound.
    grace_s
        How far work may overrun its deadline.
    """

    memory_mb: float | None
    grace_s: float

    def late(
        self,
        running: Mapping[int, LocalHandle[Any]],
        queue: Iterable[LocalHandle[Any]],
        now: float,
    ) -> Iterator[Overrun]:
        """Yield work that has overrun its deadline by more than the grace, or never started."""
        for handle in running.values():
            if handle.deadline_s is not None and now > handle.deadline_s + self.grace_s:
                yield Overrun(handle, "deadline", "overran its deadline and was stopped")
        for handle in queue:
            if handle.deadline_s is not None and now > handle.deadline_s:
                yield Overrun(handle, "deadline", "did not start before its deadline")

    def heavy(
        self,
        running: Mapping[int, LocalHandle[Any]],
        held: Mapping[int, float],
        total_mb: float,
        now: float,
    ) -> Iterator[Overrun]:
        """Yield work over its own memory, and one more where the whole run is over its bound.

        Parameters
        ----------
        held
            Number of a piece of work to the MiB that it holds.
        """
        dying = False
        alive = []
        for number, mb in held.items():
            handle = running[number]
            if handle.killed is not None:
                dying |= now - handle.killed_s < DYING_S
            elif handle.memory_mb is not None and mb > handle.memory_mb:
                dying = True
                why = f"needed more than its {handle.memory_mb:,.0f} MB of memory"
                yield Overrun(handle, "memory", why)
            else:
                alive.append(number)
        if self.memory_mb is None or total_mb <= self.memory_mb or dying or not alive:
            return  # what was killed is giving its memory back
        enough = [n for n in alive if total_mb - held[n] <= self.memory_mb]
        victim = max(enough) if enough else max(alive, key=lambda n: (held[n], n))
        why = f"was stopped because the run reached its {self.memory_mb:,.0f} MB of memory"
        yield Overrun(running[victim], "memory", why)
