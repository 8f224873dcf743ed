"""Threads beside the serving loop: large batches, slow models, and versions in the shadow."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from promise.clock import Clock
from promise.data.columns import FloatArray
from promise.errors import DataError
from promise.pipeline.bind import Bound, bind
from promise.serving.intake import Row
from promise.serving.loading import Loaded
from promise.serving.posts import encoded_answers, named_row

_BLOCK_ROWS = 1024
_BOUND_AT_MOST = 8


class Late(Exception):
    """The deadline passed before every row was answered."""


class _Bounds(threading.local):
    """What this thread has compiled, by version; the least recently used goes first."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[str, int, str], Bound] = OrderedDict()

    def of(self, loaded: Loaded) -> Bound:
        key = (loaded.version.name, loaded.version.number, loaded.fingerprint)
        found = self._held.get(key)
        if found is None:
            found = self._held[key] = bind(loaded.pipeline)
        self._held.move_to_end(key)
        if len(self._held) > _BOUND_AT_MOST:
            self._held.popitem(last=False)
        return found


class Threads:
    """Answers rows beside the loop; every thread compiles a version for itself.

    Parameters
    ----------
    batches
        Threads for large batches and slow models.
    """

    def __init__(self, clock: Clock, *, batches: int = 2) -> None:
        self._clock, self._n = clock, batches
        self._bounds = _Bounds()

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._n, thread_name_prefix="promise-batch")

    @cached_property
    def _shadow(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, thread_name_prefix="promise-shadow")

    async def answer(
        self,
        loaded: Loaded,
        rows: Sequence[Row],
        until_s: float,
        seen: FloatArray | None = None,
    ) -> list[bytes]:
        """Answer rows as JSON in a thread.

        Parameters
        ----------
        seen
            Keyed features (n_rows, n_features), where the version reads any.

        Raises
        ------
        Late
            The deadline passed; the thread stops at the end of its block.
        DataError
            A row cannot be read; in a batch it is named.
        """
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._pool, self._blocks, loaded, rows, until_s, seen)
        try:
            return await asyncio.wait_for(work, max(0.0, until_s - self._clock.monotonic()))
        except TimeoutError as error:
            raise Late from error

    async def explain(self, loaded: Loaded, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Say in a thread how much each input moved each answer."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._explained, loaded, list(rows))

    async def shadow(
        self, loaded: Loaded, rows: Sequence[Row], seen: FloatArray | None = None
    ) -> tuple[list[bytes], float]:
        """Answer rows in the shadow's own thread; return the answers and how long it took in ms."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._shadow, self._timed, loaded, rows, seen)

    def close(self) -> None:
        """End the threads; what is queued is dropped."""
        for name in ("_pool", "_shadow"):
            if name in self.__dict__:
                self.__dict__[name].shutdown(wait=False, cancel_futures=True)

    def _blocks(
        self, loaded: Loaded, rows: Sequence[Row], until_s: float, seen: FloatArray | None
    ) -> list[bytes]:
        bound, answers = self._bounds.of(loaded), []
        for start in range(0, len(rows), _BLOCK_ROWS):
            if self._clock.monotonic() > until_s:
                raise Late
            block = list(rows[start : start + _BLOCK_ROWS])
            part = None if seen is None else seen[start : start + _BLOCK_ROWS]
            try:
                if len(rows) == 1:
                    given = [bound.one(block[0], None if part is None else part[0])]
                else:
                    given = bound.many(block, part)
            except DataError as error:
                raise named_row(bound, block, error, start, seen=part) from error
            answers += encoded_answers(given)
        return answers

    def _timed(
        self, loaded: Loaded, rows: Sequence[Row], seen: FloatArray | None
    ) -> tuple[list[bytes], float]:
        began = self._clock.monotonic()
        answers = self._blocks(loaded, rows, float("inf"), seen)
        return answers, 1e3 * (self._clock.monotonic() - began)

    def _explained(self, loaded: Loaded, rows: list[Row]) -> list[dict[str, Any]]:
        return self._bounds.of(loaded).explain(rows)
