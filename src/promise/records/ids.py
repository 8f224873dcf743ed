"""Prediction ids: unique over workers, machines and restarts, and cheap to make."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
from pathlib import Path

from promise.clock import Clock
from promise.records.machine import DIGITS, base36

_LOW = tuple("".join(digits) for digits in itertools.product(DIGITS, repeat=3))
_TIME_WIDTH = 8  # milliseconds since 1970 in base 36: enough until the year 2059
_HIGH_WIDTH = 4


class PredictionIds:
    """Gives ids `SLOT-TIME-NUMBER`: the time is this process's start, the number counts up.

    Within a slot the text order of ids is the order in which they were given.

    Parameters
    ----------
    folder
        Where the last start of each slot is remembered, so that a clock that was moved back
        gives no id twice.
    """

    def __init__(self, folder: Path, slot: str, clock: Clock) -> None:
        start = _next_start(folder / ".starts" / slot, int(clock.now().timestamp() * 1000))
        self._head = f"{slot}-{base36(start, _TIME_WIDTH)}-"
        self._numbers = itertools.count()
        self._block = (0, self._head + "0" * _HIGH_WIDTH)

    def next(self) -> str:
        """Return the next id; safe to call from several threads."""
        high, low = divmod(next(self._numbers), len(_LOW))
        block = self._block
        if block[0] != high:
            block = self._block = (high, self._head + base36(high, _HIGH_WIDTH))
        return block[1] + _LOW[low]


def _next_start(path: Path, start_ms: int) -> int:
    """Return a start later than any before; where nothing can be remembered the clock decides."""
    with contextlib.suppress(OSError, ValueError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            last = int(os.pread(handle, 32, 0) or b"0")
            start_ms = max(start_ms, last + 1)
            os.pwrite(handle, b"%020d" % start_ms, 0)
        finally:
            os.close(handle)
    return start_ms
