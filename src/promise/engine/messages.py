"""What this process and the one that forks tell each other about a piece of work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NO_ROOM = 72
"""Exit code of a child that could not leave its outcome for want of disk."""


@dataclass(frozen=True)
class Request:
    """What the parent asks for: run this call in a child.

    Parameters
    ----------
    call
        Pickled (function, arguments); only the child opens it.
    module
        Where the function lives; Promise's own modules are imported before the fork.
    result
        Where the child leaves its outcome; `.part` until complete.
    log
        Where the child's standard output and error go.
    """

    number: int
    call: bytes
    module: str
    result: str
    log: str
    path: tuple[str, ...]
    folder: str
    threads: int


@dataclass(frozen=True)
class Outcome:
    """What a child leaves behind: a value, or the error that it ended with."""

    value: Any = None
    error: str | None = None
    out_of_memory: bool = False
    disk_full: bool = False
    cause: Exception | None = None
    pss_mb: float = 0.0


@dataclass(frozen=True)
class Started:
    """The zygote forked a child for a request."""

    number: int
    pid: int


@dataclass(frozen=True)
class Ended:
    """A child ended: `status` as `subprocess` has it, negative for a signal."""

    number: int
    status: int
