"""One cache of texts for all versions that a process has loaded, and how it does."""

from __future__ import annotations

from functools import cache
from weakref import WeakSet

from promise.features.text_cache import CachedEncoder, CacheStats, TextCache
from promise.features.text_cache_places import open_store
from promise.features.text_cache_stores import Fronted, MemoryEntries, TextStore
from promise.models.encoder import Encoder
from promise.settings import Settings

_caches: WeakSet[TextCache] = WeakSet()


@cache
def shared_store() -> TextStore:
    """Return the store that all encoders of this process share, made at first use.

    With `PROMISE_REDIS` it lies before one that all processes and machines share.
    """
    redis = Settings.load().redis
    near = MemoryEntries()
    return near if redis is None else Fronted(near, open_store(redis))


def near_store() -> TextStore:
    """Return the part of the shared store that lies in this process."""
    store = shared_store()
    return store.near if isinstance(store, Fronted) else store


def shared_encoder(encoder: Encoder) -> CachedEncoder:
    """Put the process's cache before an encoder: two versions of equal weights compute once."""
    # what a table of words takes, another machine's answer would take, too
    found = CachedEncoder.over(
        encoder, shared_store() if encoder.kind == "sentence" else near_store()
    )
    _caches.add(found.cache)
    return found


def shared_stats() -> CacheStats:
    """Return how the process's cache does, over all encoders that are still in use."""
    caches = list(_caches)
    if not caches:
        return CacheStats(enabled=False, size=0, memory_mb=0.0, hit_rate=0.0)
    held = shared_store().held()
    hits, misses = sum(one.hits for one in caches), sum(one.misses for one in caches)
    return CacheStats(
        enabled=True,
        size=held.n,
        memory_mb=held.n_bytes / 2**20,
        hit_rate=hits / max(1, hits + misses),
        hits=hits,
        misses=misses,
        seconds=sum(one.seconds for one in caches),
    )
