"""The race as it runs, on standard error: time left, fits done, best so far."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from promise.cli.show import errors, number


class Live:
    """Shows steps, the race and warnings; a `Watcher` for the command line."""

    def __init__(self) -> None:
        self._shown = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=errors,
            transient=True,
        )
        self._task = self._shown.add_task("starting", total=None)
        self._seconds: float | None = None

    def __enter__(self) -> Self:
        self._shown.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._shown.stop()

    def step(self, text: str) -> None:
        """Show which step is under way."""
        self._shown.update(self._task, description=text, total=None)
        if not errors.is_terminal:
            errors.print(text, markup=False, highlight=False)

    def race(self, progress: Any) -> None:
        """Show how the race stands."""
        best = ""
        if progress.best_name is not None:
            best = f", best {progress.best_name} {number(progress.best_score)}"
        text = f"racing: {progress.done} fits{best}"
        if progress.seconds_left is None:
            self._shown.update(
                self._task, description=text, completed=progress.done, total=progress.total
            )
            return
        left = max(0.0, progress.seconds_left)
        self._seconds = self._seconds or left
        text += f", {left:.0f} s left"
        done = self._seconds - left
        self._shown.update(self._task, description=text, completed=done, total=self._seconds)

    def tell(self, text: str) -> None:
        """Print a line that stays."""
        errors.print(text, markup=False, highlight=False)

    def warn(self, text: str) -> None:
        """Print a warning that stays."""
        errors.print(f"warning: {text}", markup=False, highlight=False)
