"""Machine code from Python loops, kept between processes where the disk allows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(loop: Callable[..., Any]) -> Any:
    """Compile a loop at its first call; other threads go on while it runs.

    The machine code is kept beside the module or in the user's cache folder; an installation that
    can write to neither compiles anew in each process.
    """
    try:
        return numba.njit(loop, cache=True, nogil=True)
    except RuntimeError:  # numba found no folder to write to
        return numba.njit(loop, nogil=True)


def widened(loop: Callable[..., Any]) -> Any:
    """Compile a loop that adds up many products, whose order the machine may choose.

    That lets it use its widest instructions; the last bits may differ from one kind of processor to
    another, never from run to run.
    """
    loose = {"reassoc", "contract", "nsz"}
    try:
        return numba.njit(loop, cache=True, nogil=True, fastmath=loose)
    except RuntimeError:  # numba found no folder to write to
        return numba.njit(loop, nogil=True, fastmath=loose)
