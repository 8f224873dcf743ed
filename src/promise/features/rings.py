"""States of entities that this process has read before: only what is new is folded in."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from promise.clock import Clock, SystemClock
from promise.errors import ConfigError
from promise.features.event import unpacked
from promise.features.kernel import Kernel
from promise.features.ring import Ring
from promise.features.store import Held

MOST_EVENTS = 250_000
"""So many events of entities are kept unpacked, about 100 MB."""

LIFETIME_S = 300.0
"""An entity that nobody asked for in so long is let go; its next event reads the store's state."""

_ENTITY = 8
"""An entity takes as much memory as so many events, beside its own."""


@dataclass
class Rings:
    """Gives the state that a store holds, and remembers it for the entity's next event.

    A state is remembered with the store's version of it. Two reads of one version hold the same
    events, so what came since is exactly the end of the tail; where the versions do not join, the
    state is built anew. For one thread.

    Parameters
    ----------
    most_events
        Bound of all that is remembered, an entity counted as eight events more; the least
        recently used goes first.

    Examples
    --------
    >>> from promise.features.declare import Count
    >>> from promise.features.event import Event
    >>> from promise.features.view import FeatureView
    >>> kernel = Kernel((FeatureView("card", ("entity",), (Count("1d"),)),))
    >>> events = [Event(str(n), n, {"entity": "ann"}) for n in range(3)]
    >>> rings, tail = Rings(), tuple(event.packed() for event in events)
    >>> len(rings.at(kernel, "ann", Held(None, tail[:2], 2)).at)
    2
    >>> len(rings.at(kernel, "ann", Held(None, tail, 3)).at)
    3
    """

    most_events: int = MOST_EVENTS
    clock: Clock = field(default_factory=SystemClock, repr=False)
    lifetime_s: float = LIFETIME_S
    # key: version, size, until when, state; the least recently used first
    _kept: OrderedDict[str, tuple[int, int, float, Ring]] = field(
        default_factory=OrderedDict, repr=False
    )
    _events: int = 0

    def __post_init__(self) -> None:
        if not self.lifetime_s >= 0:
            raise ConfigError(
                f"states cannot be remembered for {self.lifetime_s!r} s; expected 0 or more."
            )

    def __len__(self) -> int:
        return len(self._kept)

    def at(self, kernel: Kernel, key: str, held: Held) -> Ring | None:
        """Return the state as it was held; None where nothing is known of the entity.

        The ring is read at once and not kept by the caller: the next event of the entity moves it.
        """
        if not held.known:
            return None
        kept = self._kept.get(key)
        if kept is not None and kept[2] <= self.clock.monotonic():
            self._forget(key)
            kept = None
        if kept is not None and kept[0] > held.version:  # an earlier moment: a duplicate
            return kernel.restore(held.snapshot, held.tail)
        first = held.version - len(held.tail)
        if kept is None or kept[0] < first:
            ring = kernel.restore(held.snapshot, held.tail)
        else:
            ring = self._moved(kernel, key, kept, held.tail[kept[0] - first :])
        self._keep(key, held.version, ring)
        return ring

    def _moved(
        self,
        kernel: Kernel,
        key: str,
        kept: tuple[int, int, float, Ring],
        came: tuple[bytes, ...],
    ) -> Ring:
        ring = kept[3]
        if came:
            self._forget(key)  # what fails half-way must not be found again
        for payload in came:
            kernel.apply(ring, unpacked(payload))
        return ring

    def _keep(self, key: str, version: int, ring: Ring) -> None:
        self._forget(key)
        if not self.lifetime_s:
            return
        now, size = self.clock.monotonic(), len(ring.at) + _ENTITY
        self._kept[key] = (version, size, now + self.lifetime_s, ring)
        self._events += size
        while len(self._kept) > 1:
            oldest = next(iter(self._kept))
            if self._kept[oldest][2] > now and self._events <= self.most_events:
                break
            self._forget(oldest)

    def _forget(self, key: str) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._events -= gone[1]
