"""What a command must do with the readers of files that an error left half-way."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator


@contextlib.contextmanager
def let_go() -> Iterator[None]:
    """Free readers that an error's traceback would hold until the interpreter ends.

    A CSV reader reads ahead in a thread of Arrow, and waits for it when it is freed. A thread that
    comes back from reading while the interpreter ends aborts the process.
    """
    try:
        yield
    except BaseException as error:
        told: BaseException | None = error
        while told is not None:
            traceback.clear_frames(told.__traceback__)
            told = told.__cause__ or told.__context__
        raise
