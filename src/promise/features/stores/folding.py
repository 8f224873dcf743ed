"""Long tails folded into snapshots, after the answer was given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from promise.features.store import AsyncStore, Held, Store

TAIL_LIMIT = 32
"""From this many payloads on, folding them into a snapshot is cheaper than sending them."""

Fold = Callable[[str, bytes | None, tuple[bytes, ...]], bytes]
"""(key, snapshot, payloads in their order) → the next snapshot, by the kernel of the key."""


def fold_long_tails(
    store: Store,
    keys: Sequence[str],
    found: Sequence[Held],
    fold: Fold,
    *,
    limit: int = TAIL_LIMIT,
    keep: int = 0,
) -> int:
    """Keep exchanges small: fold the tails that have grown long; return how many were.

    Parameters
    ----------
    found
        What an exchange or a read returned for the keys.
    limit
        Shorter tails are left alone.
    keep
        So many newest payloads stay in the tail, so that a retry of their events still gets the
        exact state before them.

    Examples
    --------
    >>> from promise.features.stores.memory import MemoryStore
    >>> store = MemoryStore()
    >>> for n in range(4):
    ...     seen = store.exchange(f"e{n}", n, ["card:7"], b"%d" % n)
    >>> fold_long_tails(store, ["card:7"], seen, lambda _, s, t: (s or b"") + b"".join(t), limit=3)
    1
    >>> state = store.read(["card:7"])[0]
    >>> state.snapshot, state.tail
    (b'012', (b'3',))
    """
    folded = _folded(keys, found, fold, limit, keep)
    return sum(store.compact(*one) for one in folded)


async def fold_long_tails_async(
    store: AsyncStore,
    keys: Sequence[str],
    found: Sequence[Held],
    fold: Fold,
    *,
    limit: int = TAIL_LIMIT,
    keep: int = 0,
) -> int:
    """Do as `fold_long_tails` on an event loop, in a task that no request waits for."""
    done = 0
    for key, version, snapshot in _folded(keys, found, fold, limit, keep):
        done += await store.compact(key, version, snapshot)
    return done


def _folded(
    keys: Sequence[str], found: Sequence[Held], fold: Fold, limit: int, keep: int
) -> Iterator[tuple[str, int, bytes]]:
    """Yield (key, version that the snapshot stands for, snapshot) of each tail that is long."""
    # a key that was named twice is folded once
    for key, one in dict(zip(keys, found, strict=True)).items():
        n = len(one.tail) - keep
        if len(one.tail) >= limit and n > 0:
            yield key, one.version - keep, fold(key, one.snapshot, one.tail[:n])
