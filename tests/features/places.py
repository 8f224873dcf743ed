"""Where stores of every kind lie, and how the tests fill and read them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa

from promise.clock import ManualClock
from promise.features.store import Held, Lifetimes, Store
from promise.features.stores.memory import MemoryStore
from promise.features.stores.postgres import PostgresStore
from promise.features.stores.redis import RedisStore
from promise.features.stores.sqlite import SQLiteStore
from promise.state.database import Database

_NOW = """CREATE OR REPLACE FUNCTION promise_feature_now() RETURNS BIGINT LANGUAGE sql AS
    $$ SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT {} $$"""
KINDS = ("memory", "journal", "sqlite", "postgres", "redis")
SHARED = ("sqlite", "postgres", "redis")

every = pytest.mark.parametrize("place", KINDS, indirect=True)
shared = pytest.mark.parametrize("place", SHARED, indirect=True)


@dataclass
class Place:
    """Where a store lies; opening it twice gives the same state, also in another process."""

    kind: str
    url: str
    clock: ManualClock = field(default_factory=ManualClock)
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    opened: list[Store] = field(default_factory=list)
    databases: list[Database] = field(default_factory=list)

    def open(self) -> Store:
        made = self._made()
        self.opened.append(made)
        return made

    def _made(self) -> Store:
        if self.kind == "memory":
            return MemoryStore(clock=self.clock, lifetimes=self.lifetimes)
        if self.kind == "journal":
            return MemoryStore(Path(self.url), clock=self.clock, lifetimes=self.lifetimes)
        if self.kind == "redis":
            base, _, prefix = self.url.partition("#")
            return RedisStore(base, prefix=prefix, lifetimes=self.lifetimes, timeout_s=5)
        self.databases.append(Database(self.url))
        if self.kind == "sqlite":
            return SQLiteStore(self.databases[-1], self.clock, self.lifetimes)
        return PostgresStore(self.databases[-1], self.lifetimes, timeout_s=10)

    def living(self, retention_s: float, remember_s: float) -> Place:
        """Return the same place with other lifetimes."""
        return replace(self, lifetimes=Lifetimes(retention_s, remember_s))

    def pass_time(self, seconds: float) -> None:
        """Let time pass: the clock's, or what the server takes for it."""
        self.clock.advance(seconds)
        if self.kind == "postgres":
            elapsed_us = int(self.clock.elapsed_s * 1e6)
            later = _NOW.format(f"+ {elapsed_us}::BIGINT")
            with self.databases[-1].transaction() as connection:
                connection.execute(sa.text(later))
        if self.kind == "redis":
            base, _, prefix = self.url.partition("#")
            with redis.Redis.from_url(base) as client:
                for name in client.scan_iter(match=prefix + ":*", count=1000):
                    client.pexpire(name, client.pttl(name) - int(seconds * 1000))

    def close(self) -> None:
        for store in self.opened:
            store.close()
        for database in self.databases:
            database.close()


def joined(state: Held) -> list[bytes]:
    """Return every payload that a state holds; the tests fold by joining with a bar."""
    snapshot = (state.snapshot or b"").split(b"|")
    return [payload for payload in snapshot if payload] + list(state.tail)


def fold(snapshot: bytes | None, tail: tuple[bytes, ...]) -> bytes:
    return (snapshot or b"") + b"".join(payload + b"|" for payload in tail)


def folded(_key: str, snapshot: bytes | None, tail: tuple[bytes, ...]) -> bytes:
    return fold(snapshot, tail)


def fill(store: Store, key: str, n: int) -> None:
    for i in range(n):
        store.exchange(f"{key}-{i}", i, [key], b"%d" % i)
