"""Run a command as a user would, and tell how long it took and what its processes held."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from promise.engine.memory import MemoryWatch


@dataclass(frozen=True)
class Ran:
    """How a command ended.

    Parameters
    ----------
    seconds
        Wall time from start to end of the process.
    peak_mb
        Largest sum of PSS over the process and its descendants in MiB, ten samples a second.
    """

    code: int
    out: str
    err: str
    seconds: float
    peak_mb: float

    @property
    def complaint(self) -> str:
        """The last line on standard error, or why there is none."""
        if self.code == -signal.SIGKILL:
            return "killed: it ran far past its time, or the machine's memory ran out"
        lines = [line for line in self.err.splitlines() if line.strip()]
        return lines[-1][:300] if lines else f"exit code {self.code}"


def watch(
    command: Sequence[str | Path],
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    limit_s: float = 3600.0,
) -> Ran:
    """Run a command in a process group of its own; kill the whole group at the limit."""
    out, err = folder / "stdout", folder / "stderr"
    began = time.monotonic()
    with out.open("wb") as to_out, err.open("wb") as to_err:
        child = subprocess.Popen(
            [str(part) for part in command],
            stdout=to_out,
            stderr=to_err,
            cwd=folder,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        memory = MemoryWatch(root=child.pid)
        memory.start()
        try:
            with suppress(subprocess.TimeoutExpired):
                child.wait(limit_s)
            seconds = time.monotonic() - began
        finally:  # whatever it left running would disturb the next measurement
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            memory.stop()
    said, complained = (path.read_text(encoding="utf-8", errors="replace") for path in (out, err))
    return Ran(child.returncode, said, complained, seconds, memory.peak_mb)


def two_cores() -> None:
    """Keep this process and all that it starts on the same two cores, where the system can."""
    with suppress(AttributeError, OSError):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
