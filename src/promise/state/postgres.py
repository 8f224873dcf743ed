"""Connections to Postgres that give up on a server which took a question and stays silent."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg import OperationalError

from promise.state.patience import patience_s

__all__ = ["LIVELY", "MOST_S", "OperationalError", "PatientConnection"]

MOST_S = 120.0
"""A statement that nobody waits for may take so long; a frozen host is left then."""

_GRACE_S = 0.5  # the server's own bounds come first, since they say more

LIVELY = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
          "tcp_user_timeout": 30_000}  # fmt: skip
"""What the kernel is told, so that a host that is gone is noticed between statements, too."""

T = TypeVar("T")


class PatientConnection(psycopg.Connection[Any]):
    """Waits for each answer as long as `promise.state.patience` allows, and then closes.

    A server whose process or host hangs keeps its connections open; its own `statement_timeout`
    does not run then, and the kernel sees nothing wrong.
    """

    most_s: float = MOST_S
    """How long an answer is waited for where nobody has said less."""

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Consume a generator that speaks with the server; a silent one is an OperationalError."""
        allowed_s = patience_s(self.most_s) + _GRACE_S
        return super().wait(self._bounded(gen, allowed_s), *args, **kwargs)

    def _bounded(self, gen: Generator[Any, Any, T], allowed_s: float) -> Generator[Any, Any, T]:
        until = time.monotonic() + allowed_s
        try:
            state = next(gen)
            while True:
                ready = yield state
                if not ready and time.monotonic() >= until:
                    gen.close()
                    self.pgconn.finish()  # what it would still say belongs to no question
                    raise OperationalError(
                        f"the server took a statement and was silent for {allowed_s:.1f} s"
                    )
                state = gen.send(ready)
        except StopIteration as done:
            found: T = done.value
            return found
