"""Feature vectors of entities, kept until an event of theirs arrives or their time is over."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from promise.clock import Clock, SystemClock
from promise.errors import ConfigError
from promise.features.store import Held, Store

V = TypeVar("V")

LIFETIME_S = 300.0
"""So long a vector may lag behind the time that passes for its windows."""


@dataclass
class VectorCache(Generic[V]):
    """Spares reading and folding an entity's blob when none of its events came since.

    A vector is found only under the version of the state from which it was computed. As every
    acknowledged event and every import raises the version, none is ever hidden; only the
    passing of time is, for at most `lifetime_s`.

    Parameters
    ----------
    lifetime_s
        How old a vector may be; 0 keeps none. Default 5 minutes.
    limit
        Of the entities held; the least recently used go first.

    Examples
    --------
    >>> cache = VectorCache()
    >>> cache.put("card:7", 4, [1.0, 2.0])
    >>> cache.get("card:7", 4), cache.get("card:7", 5)
    ([1.0, 2.0], None)
    """

    clock: Clock = field(default_factory=SystemClock)
    lifetime_s: float = LIFETIME_S
    limit: int = 100_000
    hits: int = 0
    misses: int = 0
    _held: OrderedDict[str, tuple[int, float, V]] = field(default_factory=OrderedDict, repr=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        if self.lifetime_s < 0 or self.limit < 1:
            raise ConfigError(
                f"a cache of {self.limit} vectors for {self.lifetime_s:g} s cannot be; expected "
                "at least one vector, and a lifetime of 0 s (none is kept) or more."
            )

    def get(self, key: str, version: int) -> V | None:
        """Return the entity's vector if it is of this version and not past its lifetime."""
        with self._guard:
            found = self._held.get(key)
            if found is None or found[0] != version or found[1] <= self.clock.monotonic():
                self.misses += 1
                return None
            self._held.move_to_end(key)
            self.hits += 1
            return found[2]

    def put(self, key: str, version: int, vector: V) -> None:
        """Hold a vector that was computed from the entity's state of this version."""
        with self._guard:
            old = self._held.get(key)
            # who computed slowly must not put back what another has seen grow
            if self.lifetime_s == 0 or (old is not None and old[0] > version):
                return
            self._held[key] = (version, self.clock.monotonic() + self.lifetime_s, vector)
            self._held.move_to_end(key)
            while len(self._held) > self.limit:
                self._held.popitem(last=False)

    def through(
        self, store: Store, keys: Sequence[str], compute: Callable[[str, Held], V]
    ) -> list[V]:
        """Return a vector for each key, reading whole states only where one is missing.

        Parameters
        ----------
        compute
            (key, state) → vector.
        """
        found = {
            key: self.get(key, version)
            for key, version in zip(keys, store.versions(keys), strict=True)
        }
        missing = [key for key, vector in found.items() if vector is None]
        for key, state in zip(missing, store.read(missing) if missing else (), strict=True):
            vector = compute(key, state)
            # the version that was read with the state, not the one that was asked for before
            self.put(key, state.version, vector)
            found[key] = vector
        return [one for key in keys if (one := found[key]) is not None]
