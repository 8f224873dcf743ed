"""How long one exchange of event state takes in each store, beside reading and then writing.

An event touches three entities; its payload is appended and what they held before comes back.
Long tails are folded between the timed calls, as a worker does after its answer. The peer is what
one would write by hand with Redis: get three blobs, put three back, two round trips of which
others may come between; and a bare PING, the floor of any round trip.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import redis
import sqlalchemy as sa
from redis import asyncio as redis_async

from promise.errors import PromiseError
from promise.features.store import Store
from promise.features.stores.folding import fold_long_tails
from promise.features.stores.memory import MemoryStore
from promise.features.stores.postgres import PostgresStore
from promise.features.stores.redis import AsyncRedisStore, RedisStore
from promise.features.stores.sqlite import SQLiteStore
from promise.state.database import Database

_PAYLOAD = bytes(range(120))
_BLOB = bytes(2048)  # an entity's snapshot of some 40 features


@dataclass(frozen=True)
class Stream:
    """The events that every store gets: three entities each, some of them busy."""

    n: int
    seed: int

    def entities(self) -> list[list[str]]:
        """Return the entities of each event."""
        rng = np.random.default_rng(self.seed)
        skewed = np.minimum(rng.zipf(1.3, (self.n, 3)), 5000)  # (n, 3)
        return [[f"{role}:{n}" for role, n in zip("cst", row, strict=True)] for row in skewed]


def _fold(_key: str, _snapshot: bytes | None, _tail: tuple[bytes, ...]) -> bytes:
    return _BLOB


def timed(store: Store, stream: Stream) -> list[float]:
    """Return the seconds of each exchange of a store that waits."""
    found = []
    for i, keys in enumerate(stream.entities()):
        began = time.perf_counter()
        seen = store.exchange(f"e{i}", i, keys, _PAYLOAD)
        found.append(time.perf_counter() - began)
        fold_long_tails(store, keys, seen, _fold)
    return found


async def timed_lane(store: AsyncRedisStore, tool: RedisStore, stream: Stream) -> list[float]:
    """Return the seconds of each awaited exchange."""
    found = []
    for i, keys in enumerate(stream.entities()):
        began = time.perf_counter()
        seen = await store.exchange(f"e{i}", i, keys, _PAYLOAD)
        found.append(time.perf_counter() - began)
        fold_long_tails(tool, keys, seen, _fold)
    await store.close()
    return found


async def timed_calls(n: int, call: Callable[[int], Awaitable[object]]) -> list[float]:
    """Return the seconds of each of n calls."""
    found = []
    for i in range(n):
        began = time.perf_counter()
        await call(i)
        found.append(time.perf_counter() - began)
    return found


def _redis(url: str, stream: Stream) -> dict[str, list[float]]:
    prefix = f"bench:{{{uuid.uuid4().hex[:12]}}}"
    tool = RedisStore(url, prefix=prefix, timeout_s=5)
    try:
        found = {"Redis, waiting": timed(tool, stream)}
        _clear(url, prefix)
        lane = AsyncRedisStore(url, prefix=prefix, timeout_s=5)
        found["Redis, awaited"] = asyncio.run(timed_lane(lane, tool, stream))
        found |= asyncio.run(_peers(url, prefix, stream))
        return found
    finally:
        _clear(url, prefix)
        tool.close()


async def _peers(url: str, prefix: str, stream: Stream) -> dict[str, list[float]]:
    client = redis_async.Redis.from_url(url)
    keys = [[f"{prefix}:{key}" for key in three] for three in stream.entities()]

    async def read_then_write(i: int) -> None:
        await client.mget(keys[i])
        await client.mset(dict.fromkeys(keys[i], _BLOB))

    found = {
        "peer: MGET, then MSET": await timed_calls(stream.n, read_then_write),
        "floor: PING, awaited": await timed_calls(stream.n, lambda _: client.ping()),
    }
    await client.aclose()
    return found


def _clear(url: str, prefix: str) -> None:
    with redis.Redis.from_url(url) as client:
        for name in client.scan_iter(match=prefix + "*", count=1000):
            client.delete(name)


@contextmanager
def _schema(url: str) -> Iterator[Database]:
    schema, admin = f"bench_{uuid.uuid4().hex[:12]}", Database(url)
    with admin.transaction() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    own = sa.make_url(url).update_query_dict({"options": f"-csearch_path={schema}"})
    database = Database(own.render_as_string(hide_password=False))
    try:
        yield database
    finally:
        database.close()
        with admin.transaction() as connection:
            connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))
        admin.close()


def _postgres(url: str, stream: Stream) -> dict[str, list[float]]:
    with _schema(url) as database:
        store = PostgresStore(database)
        found = timed(store, stream)
        store.close()
    return {"Postgres": found}


def _embedded(_: str, stream: Stream) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/promise.db")
        journal = MemoryStore(Path(folder) / "state")
        found = {
            "in process": timed(MemoryStore(), stream),
            "in process, with journal": timed(journal, stream),
            "SQLite": timed(SQLiteStore(database), stream),
        }
        journal.close()
        database.close()
    return found


def main(arguments: list[str]) -> None:
    """Measure every store that answers and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench stores", description=__doc__)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/5")
    parser.add_argument("--postgres", default="postgresql+psycopg://root@127.0.0.1:5432/test")
    options = parser.parse_args(arguments)
    stream = Stream(options.events, options.seed)
    found: dict[str, list[float]] = {}
    for work, url in (
        (_embedded, ""), (_postgres, options.postgres), (_redis, options.redis),
    ):  # fmt: skip
        gc.collect()
        try:
            found |= work(url, stream)
        except (PromiseError, redis.RedisError) as error:
            print(f"left out: {error}")
    _print(found)


def _print(found: dict[str, list[float]]) -> None:
    print("| store | p50 µs | p99 µs | worst µs | exchanges/s | p50 beside the peer |")
    print("|---|---:|---:|---:|---:|---:|")
    peer = next((np.median(one) for name, one in found.items() if name.startswith("peer")), None)
    for name, seconds in found.items():
        p50, p99, worst = (np.quantile(seconds, q) * 1e6 for q in (0.5, 0.99, 1.0))
        ratio = "" if peer is None else f"{np.median(seconds) / peer:.2f}×"
        rate = len(seconds) / sum(seconds)
        print(f"| {name} | {p50:,.0f} | {p99:,.0f} | {worst:,.0f} | {rate:,.0f} | {ratio} |")
