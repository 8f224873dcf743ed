"""What a discovery tells while it runs; the command line shows it, a notebook may not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from promise.selection.limits import Progress


class Watcher(Protocol):
    """Hears about each step, each fit and each warning."""

    def step(self, text: str) -> None:
        """Hear that a step begins."""
        ...

    def race(self, progress: Progress) -> None:
        """Hear how the race stands."""
        ...

    def tell(self, text: str) -> None:
        """Hear what is known before the work begins: rows, memory, time."""
        ...

    def warn(self, text: str) -> None:
        """Hear what the user should know about the result."""
        ...


@dataclass
class Recorded:
    """Passes everything on to another watcher and keeps how the best score rose.

    Parameters
    ----------
    history
        (seconds since the race began, best score so far), at every change.
    """

    watcher: Watcher
    began_s: float
    monotonic: Callable[[], float] = time.monotonic
    history: list[tuple[float, float]] = field(default_factory=list)
    seconds: float = 0.0

    def step(self, text: str) -> None:
        """Pass the step on."""
        self.watcher.step(text)

    def race(self, progress: Progress) -> None:
        """Keep the best score and pass the race's state on."""
        self.seconds = self.monotonic() - self.began_s
        best = progress.best_score
        if best is not None and (not self.history or self.history[-1][1] != best):
            self.history.append((self.seconds, best))
        self.watcher.race(progress)

    def tell(self, text: str) -> None:
        """Pass it on."""
        self.watcher.tell(text)

    def warn(self, text: str) -> None:
        """Pass the warning on."""
        self.watcher.warn(text)


class Silent:
    """Hears everything and says nothing; it keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def step(self, text: str) -> None:
        """Ignore the step."""

    def race(self, progress: Progress) -> None:
        """Ignore the race."""

    def tell(self, text: str) -> None:
        """Ignore it."""

    def warn(self, text: str) -> None:
        """Keep the warning."""
        self.warnings.append(text)
