"""What every place does that keeps values of texts, the one in process, and one before another."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

LIMIT_MB = 100.0
"""How much a store holds unless said otherwise."""

ENTRY_BYTES = 200
"""What an entry takes beside its value, roughly."""


@dataclass(frozen=True)
class Held:
    """How much a store holds."""

    n: int
    n_bytes: int


class TextStore(Protocol):
    """Keeps bytes under keys within a bound; what was used least recently goes first.

    It may lose anything at any time: whoever asks computes what is missing. No call raises because
    the place is slow, full, damaged or gone.
    """

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return what is known of these keys."""
        ...

    def put_many(self, entries: Mapping[bytes, bytes]) -> None:
        """Keep values, in place of older ones of the same keys."""
        ...

    def held(self) -> Held:
        """Return how much is held."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


@dataclass(eq=False)
class MemoryEntries:
    """Values in this process, for all of its threads.

    Parameters
    ----------
    limit_mb
        Of values, keys and what Python holds beside them.

    Examples
    --------
    >>> store = MemoryEntries(limit_mb=1000 / 2**20)
    >>> for key in (b"a", b"b", b"c"):
    ...     store.put_many({key: bytes(200)})
    >>> sorted(store.get_many([b"a", b"b", b"c"])), store.held().n
    ([b'b', b'c'], 2)
    """

    limit_mb: float = LIMIT_MB
    _held: OrderedDict[bytes, bytes] = field(default_factory=OrderedDict, repr=False)
    _bytes: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __reduce__(self) -> tuple[type[MemoryEntries], tuple[float]]:
        """Travel to another process as an empty store of the same bound."""
        return MemoryEntries, (self.limit_mb,)

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return what is known of these keys."""
        found = {}
        with self._guard:
            for key in keys:
                value = self._held.get(key)
                if value is not None:
                    self._held.move_to_end(key)
                    found[key] = value
        return found

    def put_many(self, entries: Mapping[bytes, bytes]) -> None:
        """Keep values; one that is larger than the bound alone is not kept."""
        limit = self.limit_mb * 2**20
        with self._guard:
            for key, value in entries.items():
                old = self._held.pop(key, None)
                self._bytes -= 0 if old is None else cost_of(key, old)
                if cost_of(key, value) > limit:
                    continue
                self._held[key] = value
                self._bytes += cost_of(key, value)
                while self._bytes > limit:
                    self._bytes -= cost_of(*self._held.popitem(last=False))

    def held(self) -> Held:
        """Return how much is held."""
        with self._guard:
            return Held(len(self._held), self._bytes)

    def clear(self) -> None:
        """Forget everything."""
        with self._guard:
            self._held.clear()
            self._bytes = 0

    def close(self) -> None:
        """Nothing is to be given back."""


def cost_of(key: bytes, value: bytes) -> int:
    """Return what an entry takes of the bound, in bytes."""
    return len(key) + len(value) + ENTRY_BYTES


@dataclass(frozen=True)
class Fronted:
    """A near store before a far one: what the far one knows is near from then on.

    Parameters
    ----------
    near
        Asked first; `held` tells of it alone.
    far
        Shared with other processes.
    """

    near: TextStore
    far: TextStore

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return what either knows of these keys."""
        found = self.near.get_many(keys)
        missing = [key for key in keys if key not in found]
        told = self.far.get_many(missing) if missing else {}
        if told:
            self.near.put_many(told)
        return found | told

    def put_many(self, entries: Mapping[bytes, bytes]) -> None:
        """Keep values in both."""
        self.near.put_many(entries)
        self.far.put_many(entries)

    def held(self) -> Held:
        """Return how much the near one holds."""
        return self.near.held()

    def clear(self) -> None:
        """Forget everything in both."""
        self.near.clear()
        self.far.clear()

    def close(self) -> None:
        """Give back connections."""
        self.near.close()
        self.far.close()
