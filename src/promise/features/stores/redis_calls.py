"""What is sent to Redis and how its answers are read, the same for both clients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from promise.errors import ConfigError, StateError
from promise.features.store import LATEST_US, Entry, Held, Lifetimes
from promise.features.stores.answers import duplicate, held
from promise.features.stores.frames import unframed


class Calls:
    """What both clients send, and how they read what comes back."""

    def __init__(self, url: str, prefix: str, lifetimes: Lifetimes, timeout_s: float) -> None:
        if timeout_s <= 0:
            raise ConfigError(f"timeout_s is {timeout_s!r}; expected seconds above 0.")
        self.url, self.prefix, self.timeout_s = url, prefix, timeout_s
        self._retention_ms = max(1, lifetimes.retention_us // 1000)
        self._remember_ms = max(1, lifetimes.remember_us // 1000)

    def entity(self, key: str) -> str:
        """Return where an entity's snapshot and version lie."""
        return f"{self.prefix}:s:{key}"

    def names(self, keys: Iterable[str]) -> list[str]:
        """Return where each entity's state and tail lie."""
        return [name for key in keys for name in (self.entity(key), f"{self.prefix}:t:{key}")]

    def exchange(self, event_id: str, at: int, keys: list[str], payload: bytes) -> list[Any]:
        """Return what the exchange script wants."""
        names = [f"{self.prefix}:e:{event_id}", *self.names(keys)]
        lifetimes = (self._retention_ms, self._remember_ms)
        near = min(max(at, -LATEST_US), LATEST_US)
        return [len(names), *names, payload, near, *lifetimes, *keys]

    def compact(self, key: str, expected_version: int, snapshot: bytes) -> list[Any]:
        """Return what the compaction script wants."""
        return [2, *self.names([key]), expected_version, snapshot]

    def read(self, keys: list[str]) -> list[Any]:
        """Return what the scripts want that only read."""
        names = self.names(keys)
        return [len(names), *names]

    def import_(self, entry: Entry, replace: bool) -> list[Any]:
        """Return what the import script wants."""
        has = int(entry.snapshot is not None)
        given = (int(replace), self._retention_ms, has, entry.snapshot or b"")
        return [2, *self.names([entry.key]), *given, *entry.tail]

    def tell(self, error: Exception) -> NoReturn:
        """Say in words what Redis refused."""
        where = shown(self.url)
        why = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise StateError(
            f"Redis at {where} did not take part within {self.timeout_s:g} s ({why}); check that "
            "it runs, and PROMISE_REDIS. Send the event again with the same id: it counts once."
        ) from error


def exchanged(answer: list[Any], distinct: list[str], keys: Sequence[str]) -> list[Held]:
    """Return what the exchange script answered, for each key that was asked for."""
    fresh, rows = answer[0], answer[1:]
    found = {}
    for key, (snapshot, base, tail, given) in zip(distinct, rows, strict=True):
        if fresh:
            found[key] = held(int(base), snapshot, unframed(tail))
        else:
            row = None if base is None else (int(base), snapshot, unframed(tail))
            found[key] = duplicate(row, None if given is None else int(given))
    return [found[key] for key in keys]


def read_back(answer: list[Any], distinct: list[str], keys: Sequence[str]) -> list[Held]:
    """Return what the reading script answered, for each key that was asked for."""
    found = {
        key: Held(None, ()) if base is None else held(int(base), snapshot, unframed(tail))
        for key, (snapshot, base, tail) in zip(distinct, answer, strict=True)
    }
    return [found[key] for key in keys]


def shown(url: str) -> str:
    """Return the URL without its password."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
