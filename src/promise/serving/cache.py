"""Answers kept for as long as their workload declares: in process, and in Redis when given."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from promise.clock import Clock, SystemClock
from promise.errors import MissingExtra
from promise.serving.breaker import Breaker

JITTER = 0.1
"""Lifetimes vary by this share, so that what came together does not expire together."""

REDIS_TIMEOUT_S = 0.02
"""A slower Redis is treated like none."""

_PROBE_TIMEOUT_S = 0.5  # in the background: a new connection greets several times
_TASKS_AT_ONCE = 32
_ENTRY_BYTES = 200  # what Python holds for an entry beside its value, roughly


def cache_key(
    model: str, version: int, fingerprint: str, row: bytes, *, entity_epoch: int = 0
) -> bytes:
    """Return the key of one answer.

    Parameters
    ----------
    fingerprint
        Of the version's files and feature versions.
    row
        The request's bytes.
    entity_epoch
        Grows with every event of the entity, so that no acknowledged event is hidden.

    Examples
    --------
    >>> cache_key("apps", 1, "ab", b"{}") == cache_key("apps", 2, "ab", b"{}")
    False
    """
    where = f"{model}\x1f{version}\x1f{fingerprint}\x1f{entity_epoch}\x1f".encode()
    return blake2b(where + row, digest_size=16).digest()


@dataclass
class ResponseCache:
    """Finds answers that were given before; a lost or slow Redis costs a miss, never a request.

    Parameters
    ----------
    limit_mb
        Of the answers held in process; the least recently used go first.
    redis
        A Redis URL shared with other workers, or None.
    """

    clock: Clock = field(default_factory=SystemClock)
    limit_mb: float = 64.0
    redis: str | None = None
    rng: random.Random = field(default_factory=random.Random)
    hits: int = 0
    misses: int = 0
    _held: OrderedDict[bytes, tuple[float, bytes]] = field(default_factory=OrderedDict)
    _bytes: int = 0
    _flights: dict[bytes, asyncio.Future[bytes | None]] = field(default_factory=dict)
    _shared: Redis | None = None

    def get(self, key: bytes) -> bytes | None:
        """Return what this process holds and has not expired."""
        found = self._held.get(key)
        if found is None or found[0] <= self.clock.monotonic():
            if found is not None:
                self._remove(key)
            return None
        self._held.move_to_end(key)
        return found[1]

    def put(self, key: bytes, value: bytes, lifetime_s: float) -> float:
        """Hold an answer; return the jittered lifetime that it got."""
        lifetime_s *= self.rng.uniform(1 - JITTER, 1 + JITTER)
        if key in self._held:
            self._remove(key)
        self._held[key] = (self.clock.monotonic() + lifetime_s, value)
        self._bytes += len(value) + _ENTRY_BYTES
        while self._bytes > self.limit_mb * 2**20 and self._held:
            self._remove(next(iter(self._held)))
        return lifetime_s

    async def answer(
        self,
        key: bytes,
        lifetime_s: float,
        compute: Callable[[], Awaitable[tuple[bytes, bool]]],
    ) -> tuple[bytes, bool]:
        """Return (answer, whether it was kept): computed once however many ask at a time.

        `compute` says with its answer whether it may be kept: a fallback never is, and those who
        waited for one compute for themselves.
        """
        held = self.get(key)
        if held is not None:
            self.hits += 1
            return held, True
        flight = self._flights.get(key)
        if flight is None:
            return await self._lead(key, lifetime_s, compute)
        waited = await asyncio.shield(flight)
        if waited is not None:
            self.hits += 1
            return waited, True
        return (await compute())[0], False

    async def _lead(
        self,
        key: bytes,
        lifetime_s: float,
        compute: Callable[[], Awaitable[tuple[bytes, bool]]],
    ) -> tuple[bytes, bool]:
        flight: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._flights[key] = flight
        kept: bytes | None = None
        try:
            shared = await self._from_redis(key)
            if shared is not None:
                self.put(key, shared, lifetime_s)
                self.hits += 1
                kept = shared
                return shared, True
            self.misses += 1
            value, may_keep = await compute()
            if may_keep:
                given_s = self.put(key, value, lifetime_s)
                kept = value
                if self.redis is not None:
                    self._remote.keep(key, value, given_s)
            return value, False
        finally:
            del self._flights[key]
            flight.set_result(kept)

    async def close(self) -> None:
        """Give back connections."""
        if self._shared is not None:
            await self._shared.close()

    @property
    def _remote(self) -> Redis:
        if self._shared is None:
            assert self.redis is not None, "asked for only where a URL is given"
            self._shared = Redis(self.redis, self.clock)
        return self._shared

    async def _from_redis(self, key: bytes) -> bytes | None:
        return None if self.redis is None else await self._remote.get(key)

    def _remove(self, key: bytes) -> None:
        _, value = self._held.pop(key)
        self._bytes -= len(value) + _ENTRY_BYTES


class Redis:
    """A Redis that may be slow, reset connections or be gone: every failure is a miss.

    Parameters
    ----------
    timeout_s
        For each call; after a few failures in a row none is made for some seconds.
    """

    def __init__(self, url: str, clock: Clock, *, timeout_s: float = REDIS_TIMEOUT_S) -> None:
        try:
            from redis import asyncio as redis
            from redis.backoff import NoBackoff
            from redis.exceptions import RedisError
            from redis.retry import Retry
        except ModuleNotFoundError as error:
            raise MissingExtra("a Redis cache (PROMISE_REDIS)", "redis") from error
        self._timeout_s = timeout_s
        self._failures = (RedisError, OSError, TimeoutError)
        self._client: Any = redis.Redis.from_url(
            url,
            socket_timeout=_PROBE_TIMEOUT_S,  # requests wait for timeout_s, whatever is left to do
            socket_connect_timeout=_PROBE_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            max_connections=32,
        )
        self.breaker = Breaker(clock, least=3, open_s=2.0, probes=1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, key: bytes) -> bytes | None:
        """Return a kept answer, or None within the timeout."""
        if not self.breaker.closed:
            self._probe()
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await self._client.get(b"promise:" + key)
        except self._failures:
            self._sick()
            return None
        self._well()
        return None if found is None else bytes(found)

    def keep(self, key: bytes, value: bytes, lifetime_s: float) -> None:
        """Send an answer in the background; dropped while Redis fails or many are on their way."""
        if self.breaker.closed and len(self._tasks) < _TASKS_AT_ONCE:
            self._begin(self._set(key, value, lifetime_s))

    def _probe(self) -> None:
        """Ask in the background whether it is well again, once its pause is over."""
        if self.breaker.allows():
            self._begin(self._ping())

    async def _ping(self) -> None:
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                await self._client.ping()
        except self._failures:
            self.breaker.failed()
            return
        self.breaker.ok()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _set(self, key: bytes, value: bytes, lifetime_s: float) -> None:
        lifetime_ms = max(1, int(1000 * lifetime_s))
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._client.set(b"promise:" + key, value, px=lifetime_ms)
        except self._failures:
            self._sick()
            return
        self._well()

    def _sick(self) -> None:
        if self.breaker.closed:  # else only the probe's own end counts
            self.breaker.failed()

    def _well(self) -> None:
        if self.breaker.closed:
            self.breaker.ok()

    async def settle(self) -> None:
        """Wait for what is on its way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_PROBE_TIMEOUT_S)

    async def close(self) -> None:
        """Wait for what is on its way, and close."""
        await self.settle()
        await self._client.aclose()
