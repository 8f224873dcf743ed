"""Event state in Redis: one script, one round trip for each event, for every machine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from promise.errors import ConfigError, MissingExtra
from promise.features.store import Entry, Held, Lifetimes, Reach
from promise.features.stores.answers import checked, checked_keys
from promise.features.stores.batches import BATCH, batches
from promise.features.stores.redis_calls import Calls, exchanged, read_back, shown
from promise.features.stores.scripts import COMPACT, EXCHANGE, IMPORT, READ, VERSIONS, Script

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

TIMEOUT_S = 0.5
"""How long one call waits for Redis, connecting included."""

PREFIX = "promise:{features}"
"""Before every key; the braces keep all of them in one slot of a Redis Cluster."""


class _Connected:
    """What both stores have: one connection pool, and every machine sees their state."""

    _asynchronous: ClassVar[bool] = False
    _client: Any

    def __init__(
        self,
        url: str,
        *,
        prefix: str = PREFIX,
        lifetimes: Lifetimes | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._errors, retry = _errors_and_retry(asynchronous=self._asynchronous)
        self._calls = Calls(url, prefix, lifetimes or Lifetimes(), timeout_s)
        self._client = _opened(url, timeout_s, retry, asynchronous=self._asynchronous)

    @property
    def reach(self) -> Reach:
        """Every machine that reaches the server."""
        return "cluster"


class RedisStore(_Connected):
    """Keeps event state in Redis for tools and threads that wait.

    Set Redis to `maxmemory-policy noeviction`: with eviction it forgets entities before their
    time. State survives the server's end with `appendonly yes`, the last seconds of it only with
    `appendfsync always`.

    Parameters
    ----------
    url
        e.g. `redis://127.0.0.1:6379/0`.
    prefix
        Before every key: one for each set of features.
    timeout_s
        A Redis that needs longer is an error, told as StateError.

    Raises
    ------
    MissingExtra
        When the `redis` extra is not installed.
    """

    _client: Redis

    def exchange(self, event_id: str, at: int, keys: Sequence[str], payload: bytes) -> list[Held]:
        """Append the event to every entity, and return what each held before it."""
        distinct = checked(event_id, at, keys)
        if not distinct:
            return []
        answer = self._run(EXCHANGE, self._calls.exchange(event_id, at, distinct, payload))
        return exchanged(answer, distinct, keys)

    def compact(self, key: str, expected_version: int, snapshot: bytes) -> bool:
        """Put a snapshot in the place of the events that it folds; say whether it was taken."""
        return bool(self._run(COMPACT, self._calls.compact(key, expected_version, snapshot)))

    def read(self, keys: Sequence[str]) -> list[Held]:
        """Return the present state of entities, writing nothing."""
        distinct = checked_keys(keys)
        return read_back(self._run(READ, self._calls.read(distinct)), distinct, keys)

    def versions(self, keys: Sequence[str]) -> list[int]:
        """Return the present versions alone; 0 for entities without events."""
        distinct = checked_keys(keys)
        found = dict(zip(distinct, self._run(VERSIONS, self._calls.read(distinct)), strict=True))
        return [int(found[key]) for key in keys]

    def expire(self) -> int:
        """Do nothing: the server removes what is past its lifetime by itself."""
        return 0

    def export(self) -> Iterator[Entry]:
        """Yield every entity once, in no order."""
        start = self._calls.entity("")
        pattern = "".join(f"\\{c}" if c in "*?[]\\^-" else c for c in start) + "*"
        seen: set[str] = set()
        for part in batches(self._scanned(pattern)):
            keys = [name.decode()[len(start) :] for name in part]
            keys = [key for key in dict.fromkeys(keys) if key not in seen]
            seen.update(keys)  # a scan may name a key twice
            for key, one in zip(keys, self.read(keys), strict=True):
                if one.known:
                    yield Entry(key, one.snapshot, one.tail)

    def import_(self, entries: Iterable[Entry], *, replace: bool = False) -> int:
        """Take over entities, for a warm start or a backfill; return how many were taken."""
        taken = 0
        for part in batches(entries):
            checked_keys([entry.key for entry in part])
            try:
                with self._client.pipeline(transaction=False) as pipe:
                    pipe.script_load(IMPORT.text)
                    for entry in part:
                        pipe.evalsha(IMPORT.sha, *self._calls.import_(entry, replace))
                    taken += sum(pipe.execute()[1:])
            except self._errors as error:
                self._calls.tell(error)
        return taken

    def close(self) -> None:
        """Give back the connections."""
        self._client.close()

    def _scanned(self, pattern: str) -> Iterator[bytes]:
        try:
            yield from self._client.scan_iter(match=pattern, count=BATCH)
        except self._errors as error:
            self._calls.tell(error)

    def _run(self, script: Script, given: list[Any]) -> Any:
        try:
            try:
                return self._client.evalsha(script.sha, *given)
            except _no_script():
                # once after the server's start
                return self._client.eval(script.text, *given)
        except self._errors as error:
            self._calls.tell(error)


class AsyncRedisStore(_Connected):
    """Keeps event state in Redis for an event loop: one awaited round trip for each call.

    Parameters
    ----------
    url, prefix, lifetimes, timeout_s
        As for `RedisStore`; both see the same state.
    """

    _asynchronous = True
    _client: AsyncRedis

    async def exchange(
        self, event_id: str, at: int, keys: Sequence[str], payload: bytes
    ) -> list[Held]:
        """Append the event to every entity, and return what each held before it."""
        distinct = checked(event_id, at, keys)
        if not distinct:
            return []
        answer = await self._run(EXCHANGE, self._calls.exchange(event_id, at, distinct, payload))
        return exchanged(answer, distinct, keys)

    async def compact(self, key: str, expected_version: int, snapshot: bytes) -> bool:
        """Put a snapshot in the place of the events that it folds; say whether it was taken."""
        given = self._calls.compact(key, expected_version, snapshot)
        return bool(await self._run(COMPACT, given))

    async def read(self, keys: Sequence[str]) -> list[Held]:
        """Return the present state of entities, writing nothing."""
        distinct = checked_keys(keys)
        return read_back(await self._run(READ, self._calls.read(distinct)), distinct, keys)

    async def versions(self, keys: Sequence[str]) -> list[int]:
        """Return the present versions alone; 0 for entities without events."""
        distinct = checked_keys(keys)
        answer = await self._run(VERSIONS, self._calls.read(distinct))
        found = dict(zip(distinct, answer, strict=True))
        return [int(found[key]) for key in keys]

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.aclose()

    async def _run(self, script: Script, given: list[Any]) -> Any:
        try:
            # each step has the client's own bound; this one is for all of them together
            async with asyncio.timeout(self._calls.timeout_s):
                try:
                    return await self._client.evalsha(script.sha, *given)
                except _no_script():
                    return await self._client.eval(script.text, *given)
        except self._errors as error:
            self._calls.tell(error)


def _errors_and_retry(*, asynchronous: bool) -> tuple[tuple[type[Exception], ...], Any]:
    """Return what the client may raise, and how it tries again: once, over a new connection.

    That is safe, because an event counts once by its id.
    """
    try:
        from redis.asyncio.retry import Retry as AsyncRetry
        from redis.backoff import NoBackoff
        from redis.exceptions import ConnectionError as Lost
        from redis.exceptions import RedisError
        from redis.retry import Retry
    except ModuleNotFoundError as error:
        raise MissingExtra("a Redis feature store (PROMISE_REDIS)", "redis") from error
    kind: Any = AsyncRetry if asynchronous else Retry
    # a time-out of asyncio is an OSError, too
    return (RedisError, OSError), kind(NoBackoff(), 1, supported_errors=(Lost,))


def _no_script() -> type[Exception]:
    from redis.exceptions import NoScriptError

    return NoScriptError


def _opened(url: str, timeout_s: float, retry: Any, *, asynchronous: bool) -> Any:
    import redis
    import redis.asyncio

    kind: Any = redis.asyncio.Redis if asynchronous else redis.Redis
    try:
        return kind.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=retry,
            protocol=2,
            decode_responses=False,
        )
    except ValueError as error:
        raise ConfigError(
            f"PROMISE_REDIS is {shown(url)!r}, which is no Redis URL ({error}); "
            "expected e.g. redis://127.0.0.1:6379/0."
        ) from error
