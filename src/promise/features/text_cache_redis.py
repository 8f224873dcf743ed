"""Values of texts in Redis, for all processes and machines that share one."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from promise.clock import Clock, SystemClock
from promise.errors import MissingExtra
from promise.features.text_cache_stores import ENTRY_BYTES, LIMIT_MB, Held

if TYPE_CHECKING:
    from redis import Redis

_log = logging.getLogger(__name__)
_AT_ONCE = 500
_PAUSE_S = 2.0
"""For so long a Redis that failed is not asked again."""

# KEYS: values (hash), uses (sorted set), bytes, turn. A turn numbers calls, so no clock is needed.
_GET = """
local found = redis.call('HMGET', KEYS[1], unpack(ARGV))
local turn = redis.call('INCR', KEYS[4])
for i, key in ipairs(ARGV) do
  if found[i] then redis.call('ZADD', KEYS[2], turn, key) end
end
return found
"""
_PUT = """
local limit, beside = tonumber(ARGV[1]), tonumber(ARGV[2])
local turn = redis.call('INCR', KEYS[4])
local function cost(key) return #key + redis.call('HSTRLEN', KEYS[1], key) + beside end
for i = 3, #ARGV, 2 do
  local key = ARGV[i]
  if redis.call('HEXISTS', KEYS[1], key) == 1 then redis.call('DECRBY', KEYS[3], cost(key)) end
  redis.call('HSET', KEYS[1], key, ARGV[i + 1])
  redis.call('ZADD', KEYS[2], turn, key)
  redis.call('INCRBY', KEYS[3], cost(key))
end
while tonumber(redis.call('GET', KEYS[3]) or '0') > limit do
  local oldest = redis.call('ZPOPMIN', KEYS[2])[1]
  if not oldest then break end
  redis.call('DECRBY', KEYS[3], cost(oldest))
  redis.call('HDEL', KEYS[1], oldest)
end
return 1
"""


class RedisEntries:
    """Keeps values in one hash of a Redis, within a bound of its own; every failure is a miss.

    Parameters
    ----------
    url
        e.g. `redis://127.0.0.1:6379/0`.
    prefix
        Before every key; the braces keep all of them in one slot of a Redis Cluster.
    timeout_s
        Of each call; after a failure none is made for two seconds.

    Raises
    ------
    MissingExtra
        When the `redis` extra is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        limit_mb: float = LIMIT_MB,
        prefix: str = "promise:{texts}",
        timeout_s: float = 0.5,
        clock: Clock | None = None,
    ) -> None:
        try:
            import redis
        except ModuleNotFoundError as error:
            raise MissingExtra("a cache of texts in Redis", "redis") from error
        self._client: Redis = redis.Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
        )
        self._errors: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        self._names = [f"{prefix}:{part}" for part in ("values", "uses", "bytes", "turn")]
        self._get, self._put = (self._client.register_script(text) for text in (_GET, _PUT))
        self._limit = int(limit_mb * 2**20)
        self._clock = clock or SystemClock()
        self._away_until_s = float("-inf")

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return what is known of these keys; nothing while Redis fails."""
        found: dict[bytes, bytes] = {}
        for part in _parts(list(keys)):
            told = self._asked(self._get, part)
            if told is None:
                break
            found |= {k: v for k, v in zip(part, told, strict=True) if v is not None}
        return found

    def put_many(self, entries: Mapping[bytes, bytes]) -> None:
        """Keep values; dropped while Redis fails."""
        for part in _parts(list(entries)):
            given = [one for key in part for one in (key, entries[key])]
            if self._asked(self._put, [self._limit, ENTRY_BYTES, *given]) is None:
                break

    def held(self) -> Held:
        """Return how much is held; nothing while Redis fails."""
        try:
            n, n_bytes = self._client.hlen(self._names[0]), self._client.get(self._names[2])
        except self._errors as error:
            self._failed(error)
            return Held(0, 0)
        return Held(int(n), int(n_bytes or 0))

    def clear(self) -> None:
        """Forget everything under the prefix."""
        try:
            self._client.unlink(*self._names)
        except self._errors as error:
            self._failed(error)

    def close(self) -> None:
        """Give back connections."""
        self._client.close()

    def _asked(self, script: Any, given: list[Any]) -> Any:
        """Return a script's answer; None where Redis does not answer, or did not lately."""
        if self._clock.monotonic() < self._away_until_s:
            return None
        try:
            return script(keys=self._names, args=given)
        except self._errors as error:
            self._failed(error)
            return None

    def _failed(self, error: Exception) -> None:
        self._away_until_s = self._clock.monotonic() + _PAUSE_S
        _log.warning("the cache of texts does not answer", extra={"reason": str(error)})


def _parts(keys: list[bytes]) -> Iterator[list[bytes]]:
    for first in range(0, len(keys), _AT_ONCE):
        yield keys[first : first + _AT_ONCE]
