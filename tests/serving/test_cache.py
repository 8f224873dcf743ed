"""Answers are kept as long as declared; a sick Redis costs a miss, never a request."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promise.clock import ManualClock, SystemClock
from promise.serving.cache import JITTER, ResponseCache, cache_key

pytestmark = pytest.mark.anyio


class FaultProxy:
    """Passes bytes on to a port of this machine, until told otherwise.

    Parameters
    ----------
    mode
        `pass`, `slow` (answers come `delay_s` late), `silent` (answers never come), `reset`
        (connections are cut with RST) or `gone` (nothing listens).
    """

    def __init__(self, target: int, *, delay_s: float = 0.5) -> None:
        self._target, self._delay_s = target, delay_s
        self.mode = "pass"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    def set(self, mode: str) -> None:
        """Change how it behaves; connections that are open are cut by `reset` and `gone`."""
        self.mode = mode
        if mode in ("reset", "gone"):
            for one in self._open:
                _reset(one)
            self._open.clear()
        if mode == "gone":
            self._closing = True
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def close(self) -> None:
        """End everything."""
        if not self._closing:
            self.set("gone")

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.mode == "reset":
                _reset(client)
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            self._open += [client, server]
            for source, sink, answers in ((client, server, False), (server, client, True)):
                threading.Thread(
                    target=self._pump, args=(source, sink, answers), daemon=True
                ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if answers and self.mode == "slow":
                    time.sleep(self._delay_s)
                if answers and self.mode == "silent":
                    continue
                sink.sendall(data)


def _reset(one: socket.socket) -> None:
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()


@pytest.fixture
def proxy(redis_port: int) -> Iterator[FaultProxy]:
    made = FaultProxy(redis_port)
    yield made
    made.close()


class Count:
    """Computes an answer and counts how often."""

    def __init__(
        self, value: bytes = b"answer", may_keep: bool = True, wait_s: float = 0.0
    ) -> None:
        self.value, self.may_keep, self.wait_s, self.n = value, may_keep, wait_s, 0

    async def __call__(self) -> tuple[bytes, bool]:
        self.n += 1
        if self.wait_s:
            await asyncio.sleep(self.wait_s)
        return self.value, self.may_keep


PARTS = st.tuples(
    st.sampled_from("ab"), st.integers(1, 3), st.sampled_from("fg"), st.binary(max_size=3),
    st.integers(0, 2),
)  # fmt: skip


@given(PARTS, PARTS)
def test_keys_are_equal_only_where_everything_is(a: Any, b: Any) -> None:
    one, other = (cache_key(*x[:4], entity_epoch=x[4]) for x in (a, b))
    assert (one == other) == (a == b)


async def test_an_answer_is_computed_once_and_expires() -> None:
    clock = ManualClock()
    cache, count = ResponseCache(clock, rng=random.Random(1)), Count()
    key = cache_key("apps", 1, "f", b"{}")
    assert await cache.answer(key, 60, count) == (b"answer", False)
    assert await cache.answer(key, 60, count) == (b"answer", True)
    clock.advance(60 * (1 + JITTER))
    assert await cache.answer(key, 60, count) == (b"answer", False)
    assert count.n == 2


def test_lifetimes_are_spread() -> None:
    cache = ResponseCache(ManualClock(), rng=random.Random(1))
    given_s = [cache.put(bytes([i]), b"x", 100.0) for i in range(200)]
    assert 90 <= min(given_s) < 92
    assert 108 < max(given_s) <= 110


def test_the_least_recently_used_goes_first() -> None:
    cache = ResponseCache(ManualClock(), limit_mb=0.01)
    for i in range(100):
        cache.put(b"%d" % i, b"x" * 300, 60)
        cache.get(b"0")
    assert cache.get(b"0") is not None
    assert cache.get(b"1") is None
    assert cache.get(b"99") is not None


async def test_one_flight_for_all_who_ask_at_once() -> None:
    cache, count = ResponseCache(SystemClock()), Count(wait_s=0.01)
    found = await asyncio.gather(*(cache.answer(b"k", 60, count) for _ in range(20)))
    assert count.n == 1
    assert {value for value, _ in found} == {b"answer"}


async def test_a_fallback_is_never_kept() -> None:
    cache, count = ResponseCache(SystemClock()), Count(may_keep=False, wait_s=0.01)
    await asyncio.gather(*(cache.answer(b"k", 60, count) for _ in range(3)))
    await cache.answer(b"k", 60, count)
    assert count.n == 4


async def test_a_flight_that_is_cancelled_or_fails_hurts_nobody_else() -> None:
    cache, count = ResponseCache(SystemClock()), Count(wait_s=0.05)
    leader = asyncio.create_task(cache.answer(b"k", 60, count))
    await asyncio.sleep(0)
    follower = asyncio.create_task(cache.answer(b"k", 60, count))
    await asyncio.sleep(0)
    leader.cancel()
    assert await follower == (b"answer", False)

    async def fail() -> tuple[bytes, bool]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await cache.answer(b"other", 60, fail)
    assert await cache.answer(b"other", 60, Count()) == (b"answer", False)


async def test_workers_share_through_redis(redis_port: int) -> None:
    url = f"redis://127.0.0.1:{redis_port}/9"
    key = random.randbytes(16)
    first, second = (ResponseCache(SystemClock(), redis=url) for _ in range(2))
    for cache in (first, second):  # a busy machine may take longer to connect than a request waits
        cache._remote._timeout_s = 2.0
    assert await first.answer(key, 60, Count(b"1")) == (b"1", False)
    await first.close()
    assert await second.answer(key, 60, Count(b"2")) == (b"1", True)
    await second.close()


@pytest.mark.parametrize("mode", ["slow", "silent", "reset", "gone"])
async def test_a_sick_redis_costs_a_miss_and_is_left_alone(proxy: FaultProxy, mode: str) -> None:
    clock = ManualClock()
    cache = ResponseCache(clock, redis=f"redis://127.0.0.1:{proxy.port}/9")
    await cache._remote._ping()
    assert await cache.answer(random.randbytes(16), 60, Count()) == (b"answer", False)
    await cache._remote.settle()
    proxy.set(mode)
    for _ in range(6):
        async with asyncio.timeout(1.0):
            assert await cache.answer(random.randbytes(16), 60, Count()) == (b"answer", False)
    assert cache._remote.breaker.state == "open"
    assert not cache._remote.breaker.allows()
    if mode in ("slow", "silent", "reset"):
        proxy.set("pass")
        clock.advance(2.0)
        await cache.answer(random.randbytes(16), 60, Count())
        await cache._remote.settle()
        assert cache._remote.breaker.state == "closed"
    await cache.close()


@pytest.fixture
def redis_port(redis_server: str) -> int:
    """Return the port of a Redis on this machine."""
    return int(redis_server.rpartition(":")[2])


@pytest.mark.slow
async def test_the_lane_keeps_answers_of_a_workload_that_declares_a_lifetime(
    house: Any, client: Any, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promise.serving.loading._lifetime", lambda _: 60.0)
    house.deploy()
    worker = house.worker()
    row = {"age": 41.0, "income": 1200.5, "plan": "gold"}
    async with client(worker) as http:
        bodies = [(await http.post("/v1/models/churn/predict", json=row)).json() for _ in range(3)]
        other = await http.post("/v1/models/churn/predict", json={**row, "age": 20.0})
    answers = [{**body["predictions"][0], "id": 0} for body in bodies]
    assert answers[0] == answers[1] == answers[2] != {**other.json()["predictions"][0], "id": 0}
    assert len({body["predictions"][0]["id"] for body in bodies}) == 3
    assert [line["source"] for line in lines(worker)] == ["model", "cache", "cache", "model"]
    series = worker.counters.series("churn", 1, "live", ())
    assert (series.requests, series.cached) == (4, 2)
