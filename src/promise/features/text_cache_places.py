"""The place that a cache of texts is kept in, by what it is called."""

from __future__ import annotations

from pathlib import Path

from promise.errors import ConfigError
from promise.features.text_cache_disk import DiskEntries
from promise.features.text_cache_redis import RedisEntries
from promise.features.text_cache_stores import LIMIT_MB, MemoryEntries, TextStore


def open_store(where: str | Path | None = None, *, limit_mb: float = LIMIT_MB) -> TextStore:
    """Open a store: in process (None), in Redis (`redis://…`), or in a folder on disk.

    Raises
    ------
    ConfigError
        When the bound is not above 0.
    MissingExtra
        For a Redis without the `redis` extra.
    """
    if not limit_mb > 0:
        raise ConfigError(f"limit_mb is {limit_mb!r}; expected MiB above 0.")
    if where is None:
        return MemoryEntries(limit_mb)
    if str(where).startswith(("redis://", "rediss://", "unix://")):
        return RedisEntries(str(where), limit_mb=limit_mb)
    return DiskEntries(Path(where), limit_mb=limit_mb)
