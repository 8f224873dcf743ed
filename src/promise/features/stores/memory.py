"""Event state in the memory of one process, kept in a folder where one is given."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from promise.clock import Clock, SystemClock
from promise.errors import StateError
from promise.features.store import Entry, Held, Lifetimes, Reach
from promise.features.stores.answers import checked, checked_keys, duplicate, held
from promise.features.stores.journal import Journal

SNAPSHOT_MB = 64.0
"""When the journal has grown by so much, a snapshot is taken in the background."""


class _Entity(msgspec.Struct, frozen=True, array_like=True, gc=False):
    base: int
    snapshot: bytes | None
    tail: tuple[bytes, ...]
    until_us: int

    @property
    def version(self) -> int:
        return self.base + len(self.tail)

    @property
    def row(self) -> tuple[int, bytes | None, tuple[bytes, ...]]:
        return self.base, self.snapshot, self.tail


class _Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    given: dict[str, int]
    seen_us: int


class _Put(msgspec.Struct, frozen=True, array_like=True, tag="put"):
    """The entities' state as it is from here on; None: forgotten."""

    entities: dict[str, _Entity | None]


class _Append(msgspec.Struct, frozen=True, array_like=True, tag="append", gc=False):
    event_id: str
    payload: bytes
    given: dict[str, int]
    seen_us: int
    until_us: int


class _Remembered(msgspec.Struct, frozen=True, array_like=True, tag="remembered"):
    event_id: str
    given: dict[str, int]
    seen_us: int


_Record = _Put | _Append | _Remembered
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


class MemoryStore:
    """Keeps event state at the speed of a dictionary, for one process.

    With a folder every acknowledged event is in a journal before it is answered and survives
    the death of the process; without one the state ends with it.

    Parameters
    ----------
    folder
        Where snapshots and the journal lie; of one process at a time.
    clock
        Tells when an entity or an event id is past its lifetime.
    sync
        Whether each event waits for the disk, so that it survives the machine's death as well.
    snapshot_mb
        The growth of the journal after which a snapshot is taken.

    Raises
    ------
    ConfigError
        When another process holds the folder.
    StateError
        When the folder's snapshot is damaged.

    Examples
    --------
    >>> store = MemoryStore()
    >>> store.exchange("e1", 0, ["card:7"], b"first")[0].tail
    ()
    >>> store.exchange("e2", 5, ["card:7"], b"second")[0].tail
    (b'first',)
    >>> store.exchange("e2", 5, ["card:7"], b"second")[0].duplicate
    True
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        clock: Clock | None = None,
        lifetimes: Lifetimes | None = None,
        sync: bool = False,
        snapshot_mb: float = SNAPSHOT_MB,
    ) -> None:
        self._clock = clock or SystemClock()
        self._lifetimes = lifetimes or Lifetimes()
        self._limit = int(snapshot_mb * 2**20)
        self._entities: dict[str, _Entity] = {}
        self._events: dict[str, _Event] = {}  # oldest first
        self._guard = threading.Lock()
        self._saving = threading.Lock()
        self._saver: threading.Thread | None = None
        self._closed = False
        self._journal = None if folder is None else Journal(folder, sync=sync)
        if self._journal is not None:
            self._recover(self._journal)

    @property
    def reach(self) -> Reach:
        """One process."""
        return "process"

    def exchange(self, event_id: str, at: int, keys: Sequence[str], payload: bytes) -> list[Held]:
        """Append the event to every entity, and return what each held before it."""
        distinct = checked(event_id, at, keys)
        if not distinct:
            return []
        with self._guard:
            now = self._now_us()
            self._forget_events(now)
            known = self._events.get(event_id)
            if known is not None:
                return [duplicate(self._row(key, now), known.given.get(key)) for key in keys]
            before = {key: self._live(key, now) for key in distinct}
            given = {key: one.version + 1 for key, one in before.items()}
            until = self._lifetimes.until_us(at, now)
            self._apply(_Append(event_id, payload, given, now, until))
        self._save_when_long()
        if len(distinct) == len(keys):
            return [held(*one.row) for one in before.values()]
        return [held(*before[key].row) for key in keys]

    def compact(self, key: str, expected_version: int, snapshot: bytes) -> bool:
        """Put a snapshot in the place of the events that it folds; say whether it was taken."""
        with self._guard:
            one = self._entities.get(key)
            if one is None or one.until_us <= self._now_us():
                return False
            folds = expected_version - one.base
            if not 0 <= folds <= len(one.tail):
                return False
            made = _Entity(expected_version, snapshot, one.tail[folds:], one.until_us)
            self._apply(_Put({key: made}))
            return True

    def read(self, keys: Sequence[str]) -> list[Held]:
        """Return the present state of entities, writing nothing."""
        checked_keys(keys)
        with self._guard:
            now = self._now_us()
            rows = [self._row(key, now) for key in keys]
        return [Held(None, ()) if row is None else held(*row) for row in rows]

    def versions(self, keys: Sequence[str]) -> list[int]:
        """Return the present versions alone; 0 for entities without events."""
        return [one.version for one in self.read(keys)]

    def expire(self) -> int:
        """Remove what is past its lifetime; return how many entities."""
        with self._guard:
            now = self._now_us()
            self._forget_events(now)
            past = [key for key, one in self._entities.items() if one.until_us <= now]
            if past:
                self._apply(_Put(dict.fromkeys(past)))
        return len(past)

    def export(self) -> Iterator[Entry]:
        """Yield every entity once, as they were when the first was asked for."""
        with self._guard:
            now, entities = self._now_us(), list(self._entities.items())
        for key, one in entities:
            if one.until_us > now:
                yield Entry(key, one.snapshot, one.tail)

    def import_(self, entries: Iterable[Entry], *, replace: bool = False) -> int:
        """Take over entities, for a warm start or a backfill; return how many were taken."""
        taken = 0
        for entry in entries:
            checked_keys([entry.key])
            with self._guard:
                now = self._now_us()
                old = self._entities.get(entry.key)
                if old is not None and old.until_us > now and not replace:
                    continue
                base = now if old is None else max(now, old.version + 1)
                until = now + self._lifetimes.retention_us
                self._apply(_Put({entry.key: _Entity(base, entry.snapshot, entry.tail, until)}))
                taken += 1
        return taken

    def save(self) -> None:
        """Write a snapshot now and drop the journal that it makes needless.

        Exchanges go on meanwhile.
        """
        if self._journal is None:
            return
        with self._saving:
            with self._guard:
                if self._closed:
                    return
                entities, events = self._entities.copy(), self._events.copy()
                number = self._journal.turn()
            self._journal.keep(number, _records(entities, events))

    def close(self) -> None:
        """Wait for a snapshot under way and give the folder back."""
        with self._saving, self._guard:
            self._closed = True
            if self._journal is not None:
                self._journal.close()

    def _apply(self, record: _Record) -> None:
        if self._closed:
            raise StateError("the event store was closed; open it again. Nothing was changed.")
        if self._journal is not None:
            self._journal.append(_encode(record))
        self._take(record)

    def _take(self, record: _Record) -> None:
        if isinstance(record, _Put):
            for key, entity in record.entities.items():
                if entity is None:
                    self._entities.pop(key, None)
                else:
                    self._entities[key] = entity
            return
        if isinstance(record, _Append):
            self._append(record)
        # an id that is remembered anew goes to the end of the line
        self._events.pop(record.event_id, None)
        self._events[record.event_id] = _Event(record.given, record.seen_us)

    def _append(self, record: _Append) -> None:
        for key, version in record.given.items():
            old = self._entities.get(key)
            if old is None or old.version + 1 != version:  # its first, or begun anew
                made = _Entity(version - 1, None, (record.payload,), record.until_us)
            else:
                until = max(old.until_us, record.until_us)
                made = _Entity(old.base, old.snapshot, (*old.tail, record.payload), until)
            self._entities[key] = made

    def _live(self, key: str, now: int) -> _Entity:
        """Return the entity, or what one begins with; past its lifetime it begins anew."""
        one = self._entities.get(key)
        if one is None:
            return _Entity(now, None, (), 0)
        return one if one.until_us > now else _Entity(one.version + 1, None, (), 0)

    def _row(self, key: str, now: int) -> tuple[int, bytes | None, tuple[bytes, ...]] | None:
        one = self._entities.get(key)
        return None if one is None or one.until_us <= now else one.row

    def _forget_events(self, now: int) -> None:
        after = now - self._lifetimes.remember_us
        while self._events:
            oldest = next(iter(self._events))
            if self._events[oldest].seen_us > after:
                return
            del self._events[oldest]

    def _recover(self, journal: Journal) -> None:
        try:
            for body in journal.records():
                self._take(_decode(body))
        except msgspec.MsgspecError as error:
            journal.close()
            raise StateError(
                f"the event state cannot be read ({error}); it was written by another version "
                "of Promise: remove its folder and backfill the state."
            ) from error
        except StateError:
            journal.close()
            raise

    def _save_when_long(self) -> None:
        if self._journal is None or self._journal.size < self._limit:
            return
        with self._guard:
            if self._saver is not None and self._saver.is_alive():
                return
            self._saver = threading.Thread(target=self.save, name="feature-snapshot", daemon=True)
            self._saver.start()

    def _now_us(self) -> int:
        return int(self._clock.now().timestamp() * 1e6)


def _records(entities: dict[str, _Entity], events: dict[str, _Event]) -> Iterator[bytes]:
    for key, one in entities.items():
        yield _encode(_Put({key: one}))
    for event_id, event in events.items():
        yield _encode(_Remembered(event_id, event.given, event.seen_us))
