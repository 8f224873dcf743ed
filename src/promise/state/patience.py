"""How long work may wait for the database: its own bound, or less where somebody waits for it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

_UNTIL: ContextVar[float | None] = ContextVar("promise_waits_until", default=None)


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Bound every wait for the database inside the block, in threads that it starts work in, too.

    Parameters
    ----------
    seconds
        From now; once they have passed nothing is waited for any more.
    """
    token = _UNTIL.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _UNTIL.reset(token)


def patience_s(most_s: float) -> float:
    """Return how many seconds the database may be waited for now.

    Parameters
    ----------
    most_s
        Where nobody has said less.

    Examples
    --------
    >>> with at_most(0):
    ...     patience_s(30.0)
    0.0
    >>> patience_s(30.0)
    30.0
    """
    until = _UNTIL.get()
    return most_s if until is None else min(most_s, max(0.0, until - time.monotonic()))
