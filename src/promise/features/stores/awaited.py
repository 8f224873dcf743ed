"""A store that waits, made fit for an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from promise.errors import StateError
from promise.features.store import Held, Reach, Store

T = TypeVar("T")


class Awaited:
    """Lets an event loop go on while a store works; one in process is asked at once.

    Parameters
    ----------
    store
        Closed with this.
    timeout_s
        A call that takes longer fails with StateError, even where the store itself hangs. What
        it still does then counts: send the event again with the same id.
    threads
        How many calls are under way at a time; SQLite has one writer, so one is enough there.

    Examples
    --------
    >>> from promise.features.stores.memory import MemoryStore
    >>> store = Awaited(MemoryStore())
    >>> asyncio.run(store.exchange("e1", 0, ["card:7"], b"first"))[0].known
    False
    """

    def __init__(self, store: Store, *, timeout_s: float = 5.0, threads: int = 1) -> None:
        self._store, self._timeout_s = store, timeout_s
        self._threads = (
            None
            if store.reach == "process"
            else ThreadPoolExecutor(threads, thread_name_prefix="feature-store")
        )

    @property
    def reach(self) -> Reach:
        """The store's own."""
        return self._store.reach

    async def exchange(
        self, event_id: str, at: int, keys: Sequence[str], payload: bytes
    ) -> list[Held]:
        """Append the event to every entity, and return what each held before it."""
        if self._threads is None:
            return self._store.exchange(event_id, at, keys, payload)
        return await self._within(lambda: self._store.exchange(event_id, at, keys, payload))

    async def compact(self, key: str, expected_version: int, snapshot: bytes) -> bool:
        """Put a snapshot in the place of the events that it folds; say whether it was taken."""
        return await self._within(lambda: self._store.compact(key, expected_version, snapshot))

    async def read(self, keys: Sequence[str]) -> list[Held]:
        """Return the present state of entities, writing nothing."""
        return await self._within(lambda: self._store.read(keys))

    async def versions(self, keys: Sequence[str]) -> list[int]:
        """Return the present versions alone; 0 for entities without events."""
        return await self._within(lambda: self._store.versions(keys))

    async def close(self) -> None:
        """Close the store, without waiting for calls that hang."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._store.close()

    async def _within(self, work: Callable[[], T]) -> T:
        if self._threads is None:
            return work()
        call = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await call
        except TimeoutError as error:
            raise StateError(
                f"the event store did not answer within {self._timeout_s:g} s; check its "
                "database. Send the event again with the same id: it counts once."
            ) from error
