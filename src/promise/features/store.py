"""What a place must do that keeps the event state of entities: one exchange for each event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from promise.errors import ConfigError

Reach = Literal["process", "machine", "cluster"]
"""Who sees the same state: one process, the processes of a machine, or every machine."""

DAY_S = 86_400.0
LATEST_US = 2**53
"""No time beyond is told from another (the year 2255): Redis counts in doubles."""


class Held(msgspec.Struct, frozen=True, gc=False):
    """One entity's state before an event: fold `tail` into `snapshot`, in order.

    Parameters
    ----------
    snapshot
        The compacted blob; None where nothing has been folded yet.
    tail
        The payloads of the events that came after the snapshot, in the order of their arrival.
    version
        Grows with every event of the entity and with every import; 0 where nothing is known.
        Two reads with the same version hold the same events.
    duplicate
        In the answer of an exchange: the event id was known already, so nothing was appended.
    exact
        False only for a duplicate whose event has been folded into the snapshot, or forgotten,
        since: the state before it cannot be told any more, and this is the present one.

    Examples
    --------
    >>> Held(None, ()).known
    False
    >>> Held(b"blob", (b"event",), version=8).known
    True
    """

    snapshot: bytes | None
    tail: tuple[bytes, ...]
    version: int = 0
    duplicate: bool = False
    exact: bool = True

    @property
    def known(self) -> bool:
        """Whether the entity has any event."""
        return self.version > 0


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entity's whole state as it travels between stores."""

    key: str
    snapshot: bytes | None
    tail: tuple[bytes, ...]


@dataclass(frozen=True)
class Lifetimes:
    """How long a store keeps what it was told.

    Parameters
    ----------
    retention_s
        An entity without an event for so long is forgotten: the longest window that is declared,
        with its label delay. An event dated ahead of the store's clock counts from its own time,
        at most one retention ahead. Default 90 days.
    remember_s
        For so long an event id that comes again is known as a duplicate. Default 7 days.

    Examples
    --------
    >>> Lifetimes(retention_s=60).retention_us
    60000000
    """

    retention_s: float = 90 * DAY_S
    remember_s: float = 7 * DAY_S

    def __post_init__(self) -> None:
        for name in ("retention_s", "remember_s"):
            value = getattr(self, name)
            if not 0 < value < LATEST_US / 4e6:
                raise ConfigError(
                    f"{name} is {value!r}; expected seconds above 0, as long as the longest window."
                )

    @property
    def retention_us(self) -> int:
        """The retention in whole microseconds."""
        return round(self.retention_s * 1e6)

    @property
    def remember_us(self) -> int:
        """How long an event id is remembered, in whole microseconds."""
        return round(self.remember_s * 1e6)

    def until_us(self, at: int, now_us: int) -> int:
        """Return until when an entity is kept whose event of time `at` arrives now.

        Examples
        --------
        >>> minute = Lifetimes(retention_s=60)
        >>> minute.until_us(at=0, now_us=10_000_000), minute.until_us(at=25_000_000, now_us=0)
        (70000000, 85000000)
        """
        ahead = min(max(at - now_us, 0), self.retention_us)
        return now_us + self.retention_us + ahead


class Store(Protocol):
    """Keeps the state of entities, written once per event, whoever asks how often.

    Payloads and snapshots are opaque: the kernel that wrote them reads them.
    """

    @property
    def reach(self) -> Reach:
        """Who sees the same state."""
        ...

    def exchange(self, event_id: str, at: int, keys: Sequence[str], payload: bytes) -> list[Held]:
        """Append the event to every entity, and return what each held before it.

        Atomic per entity, in order of arrival, and all entities or none. The same id again
        appends nothing: it returns the state before the event as it was returned the first time,
        marked `duplicate`, for as long as the event is not folded.

        Parameters
        ----------
        event_id
            Unique among the events of this store.
        at
            The event's own time in microseconds since 1970; it does not change the order.
        keys
            The entities; one that is named twice gets the event once.

        Raises
        ------
        DataError
            When an id, key or time cannot be kept.
        StateError
            When the store does not answer in time. Send the event again with the same id: it
            counts once, whether or not it was kept.
        """
        ...

    def compact(self, key: str, expected_version: int, snapshot: bytes) -> bool:
        """Put a snapshot in the place of the events that it folds; say whether it was taken.

        Parameters
        ----------
        expected_version
            The version that the snapshot stands for: of a `Held` whose tail was folded whole, or
            less by the number of payloads left out at its end. Events that came since stay in
            the tail. Refused where another compaction has come further, or the entity was
            forgotten or imported meanwhile.
        """
        ...

    def read(self, keys: Sequence[str]) -> list[Held]:
        """Return the present state of entities, writing nothing."""
        ...

    def versions(self, keys: Sequence[str]) -> list[int]:
        """Return the present versions alone; 0 for entities without events."""
        ...

    def expire(self) -> int:
        """Remove what is past its lifetime; return how many entities (0 if the server does it).

        Nothing past its lifetime is ever returned; this gives its room back. Call it now and
        then, an hour apart for example; one caller is enough for all who share the state.
        """
        ...

    def export(self) -> Iterator[Entry]:
        """Yield every entity once; each is whole in itself, all of them are no single moment."""
        ...

    def import_(self, entries: Iterable[Entry], *, replace: bool = False) -> int:
        """Take over entities, for a warm start or a backfill; return how many were taken.

        An entity that has state here already stays as it is, unless it is to be replaced. Event
        ids do not travel: stop the events, move the state, then let them come to the new store.
        """
        ...

    def close(self) -> None:
        """Give back files and connections."""
        ...


class AsyncStore(Protocol):
    """A store for an event loop: one awaited round trip for each call."""

    @property
    def reach(self) -> Reach:
        """Who sees the same state."""
        ...

    async def exchange(
        self, event_id: str, at: int, keys: Sequence[str], payload: bytes
    ) -> list[Held]:
        """Append the event to every entity, and return what each held before it."""
        ...

    async def compact(self, key: str, expected_version: int, snapshot: bytes) -> bool:
        """Put a snapshot in the place of the events that it folds; say whether it was taken."""
        ...

    async def read(self, keys: Sequence[str]) -> list[Held]:
        """Return the present state of entities, writing nothing."""
        ...

    async def versions(self, keys: Sequence[str]) -> list[int]:
        """Return the present versions alone; 0 for entities without events."""
        ...

    async def close(self) -> None:
        """Give back files and connections."""
        ...
