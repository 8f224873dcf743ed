"""A process that ends with the one that started it, however that one ended."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

_LOOK_S = 0.5


def follow(parent: int, stopping: threading.Event, then: Callable[[], None] | None = None) -> None:
    """Set `stopping` when the process that started this one is gone.

    Parameters
    ----------
    then
        Called in that case alone, not where something else has set it.
    """

    def look() -> None:
        while os.getppid() == parent:
            if stopping.wait(_LOOK_S):
                return
        stopping.set()
        if then is not None:
            then()

    threading.Thread(target=look, name="parent", daemon=True).start()
