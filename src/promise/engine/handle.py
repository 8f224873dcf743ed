"""One piece of work in a process of this machine: how it stands, and how it ended."""

from __future__ import annotations

import pickle
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, cast

from promise.engine.messages import NO_ROOM, Outcome, Request
from promise.errors import FitFailed

T = TypeVar("T")


Reason = Literal["memory", "deadline", "crash", "error"]


@dataclass(eq=False)
class LocalHandle(Generic[T]):
    """One piece of work of a `LocalEngine`; see `promise.engine.base.Handle`."""

    name: str
    number: int
    request: Request | None
    deadline_s: float | None
    memory_mb: float | None
    threads: int
    changed: threading.Condition = field(repr=False)
    pid: int | None = None
    started_s: float | None = None
    ended_s: float | None = None
    peak_mb: float = 0.0
    killed: tuple[Reason, str] | None = None
    killed_s: float = 0.0
    failure: FitFailed | None = None
    value: Any = None

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.ended_s is not None

    @property
    def seconds(self) -> float:
        """How long it has run; 0 before it starts."""
        if self.started_s is None:
            return 0.0
        return (time.monotonic() if self.ended_s is None else self.ended_s) - self.started_s

    def result(self) -> T:
        """Wait for the end and return the value; raises `FitFailed`."""
        with self.changed:
            while not self.done:
                self.changed.wait(1.0)
        if self.failure is not None:
            raise self.failure
        return cast(T, self.value)


def read_outcome(path: Path) -> Outcome | None:
    """Return what a child left; None when it left nothing."""
    try:
        outcome: Outcome = pickle.loads(path.read_bytes())
    except OSError:
        return None
    except Exception as error:  # any type's own unpickling may fail in any way
        return Outcome(error=f"its result cannot be read back ({type(error).__name__}: {error})")
    return outcome


def failure_of(
    handle: LocalHandle[Any], outcome: Outcome | None, status: int, log: Path
) -> FitFailed | None:
    """Say in one sentence why work did not end well; None when it did."""
    if outcome is not None and outcome.error is None:
        return None
    if handle.killed is not None:
        reason, why = handle.killed
        return FitFailed(f"{handle.name} {why}.", reason)
    if status == NO_ROOM or (outcome is not None and outcome.disk_full):
        return FitFailed(
            f"the disk is full: {handle.name} could not be written; free some space and run the "
            "command again.",
            "disk",
        )
    if outcome is not None:
        reason = "memory" if outcome.out_of_memory else "error"
        failure = FitFailed(f"{handle.name} failed: {outcome.error}", reason)
        failure.__cause__ = outcome.cause
        return failure
    if status == -signal.SIGKILL:  # we did not kill it: the system did
        return FitFailed(
            f"{handle.name} was killed by the system, most likely because the machine ran out of "
            "memory.",
            "memory",
        )
    how = f"crashed with {signal.Signals(-status).name}" if status < 0 else f"exited with {status}"
    last = _last_line(log)
    return FitFailed(f"{handle.name} {how}{': ' + last if last else '.'}", "crash")


def _last_line(log: Path) -> str:
    """Return the line of a log that best names the error."""
    with suppress(OSError):
        text = log.read_bytes()[-20_000:].decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        fatal = [line for line in lines if line.startswith("Fatal Python error")]
        return (fatal or lines or [""])[-1][:300]
    return ""
