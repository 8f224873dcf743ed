"""What a discovery tells while it runs; the command line shows it, a notebook may not."""

from __future__ import annotations

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

    def warn(self, text: str) -> None:
        """Hear what the user should know about the result."""
        ...


class Silent:
    """Hears everything and says nothing; it keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def step(self, text: str) -> None:
        """Ignore the step."""

    def race(self, progress: Progress) -> None:
        """Ignore the race."""

    def warn(self, text: str) -> None:
        """Keep the warning."""
        self.warnings.append(text)
