"""What a request sees of a store: one round trip, a bound on waiting, vectors that hide nothing."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa

from promise.errors import ConfigError, StateError
from promise.features.store import Entry, Held
from promise.features.stores.awaited import Awaited
from promise.features.stores.folding import fold_long_tails_async
from promise.features.stores.memory import MemoryStore
from promise.features.stores.postgres import PostgresStore
from promise.features.stores.redis import AsyncRedisStore, RedisStore
from promise.features.stores.sqlite import SQLiteStore
from promise.state.database import Database

pytestmark = pytest.mark.anyio


class PrivateRedis:
    """A server of its own, so that it can be stopped, killed and counted."""

    def __init__(self, folder: Path) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            pytest.skip("redis-server is not installed")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://:secret@127.0.0.1:{self.port}/0"
        self._command = [
            binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
            "--requirepass", "secret",
            "--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always",
        ]  # fmt: skip
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url) as client:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                try:
                    client.ping()
                    return
                except redis.RedisError:
                    time.sleep(0.02)
        raise AssertionError("the private Redis did not start")

    def client(self) -> Any:
        return redis.Redis.from_url(self.url)

    def close(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(20)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PrivateRedis]:
    made = PrivateRedis(tmp_path)
    yield made
    made.close()


async def test_an_exchange_of_many_entities_is_one_round_trip(server: PrivateRedis) -> None:
    store = AsyncRedisStore(server.url, timeout_s=5)
    await store.exchange("first", 0, ["a"], b"1")
    sent = []
    with server.client() as client, server.client() as end, client.monitor() as monitor:
        end.echo("greeted")
        await store.exchange("second", 1, [f"k{i}" for i in range(20)], b"2")
        await store.versions(["a"])
        end.echo("end")
        for command in monitor.listen():
            if command["command"] == "ECHO end":
                break
            if command["client_type"] != "lua":
                sent.append(command["command"].split()[0])
    # the greeting is over; the exchange by its name; `versions` likewise, and by its text as it
    # was unknown to the server
    assert sent[sent.index("ECHO") + 1 :] == ["EVALSHA", "EVALSHA", "EVAL"]
    await store.close()


async def test_both_clients_see_the_same_state(server: PrivateRedis) -> None:
    lane, tool = AsyncRedisStore(server.url, timeout_s=5), RedisStore(server.url, timeout_s=5)
    assert lane.reach == tool.reach == "cluster"
    await lane.exchange("e1", 0, ["a", "b"], b"1")
    assert tool.exchange("e1", 0, ["a", "b"], b"1")[0].duplicate
    assert [one.tail for one in tool.exchange("e2", 0, ["b"], b"2")] == [(b"1",)]
    assert await lane.read(["a", "b"]) == tool.read(["a", "b"])
    assert await lane.versions(["b", "c"]) == tool.versions(["b", "c"])
    (state,) = await lane.read(["b"])
    assert await lane.compact("b", state.version, b"folded")
    assert tool.read(["b"]) == [Held(b"folded", (), state.version)]
    assert await lane.exchange("e3", 0, [], b"3") == []
    await lane.close()
    tool.close()


async def test_many_requests_at_once_count_once_each(server: PrivateRedis) -> None:
    store = AsyncRedisStore(server.url, timeout_s=5)
    found = await asyncio.gather(
        *(store.exchange(f"e{i % 20}", i, ["a", "b"], b"%d" % i) for i in range(60))
    )
    assert sum(not one[0].duplicate for one in found) == 20
    lengths = sorted(len(one[0].tail) for one in found if not one[0].duplicate)
    assert lengths == list(range(20))
    await store.close()


async def test_a_server_that_forgot_its_scripts_is_told_them_again(server: PrivateRedis) -> None:
    store, lane = RedisStore(server.url, timeout_s=5), AsyncRedisStore(server.url, timeout_s=5)
    store.exchange("e1", 0, ["a"], b"1")
    with server.client() as client:
        client.script_flush()
    assert store.exchange("e2", 0, ["a"], b"2")[0].tail == (b"1",)
    with server.client() as client:
        client.script_flush()
    assert (await lane.exchange("e3", 0, ["a"], b"3"))[0].tail == (b"1", b"2")
    await lane.close()
    store.close()


@pytest.mark.slow
async def test_a_frozen_redis_is_an_error_in_time_and_its_answer_goes_to_nobody_else(
    server: PrivateRedis,
) -> None:
    store, lane = RedisStore(server.url, timeout_s=1.5), AsyncRedisStore(server.url, timeout_s=1.5)
    store.exchange("e1", 0, ["a"], b"1")
    await lane.exchange("e2", 0, ["a"], b"2")
    server.process.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(60):
        with pytest.raises(StateError, match=r"within 1\.5 s") as told:
            await lane.exchange("e3", 0, ["a"], b"3")
        with pytest.raises(StateError, match=r"within 1\.5 s"):
            store.exchange("e4", 0, ["a"], b"4")
    assert "secret" not in str(told.value)
    server.process.send_signal(signal.SIGCONT)
    patient = AsyncRedisStore(server.url, timeout_s=5)
    # sent again with the same ids, both count once, whether or not the server had them
    for event in ("e3", "e4"):
        await patient.exchange(event, 0, ["a"], event[1:].encode())
    (state,) = await lane.read(["a"])
    assert sorted(state.tail) == [b"1", b"2", b"3", b"4"]
    await patient.close()
    await lane.close()
    store.close()


async def test_a_redis_that_died_is_told_in_words_and_found_again(server: PrivateRedis) -> None:
    store, lane = RedisStore(server.url, timeout_s=5), AsyncRedisStore(server.url, timeout_s=5)
    store.exchange("e1", 0, ["a"], b"1")
    await lane.exchange("e2", 0, ["a"], b"2")
    server.process.kill()
    server.process.wait(20)
    with pytest.raises(StateError, match="PROMISE_REDIS"):
        store.exchange("e3", 0, ["a"], b"3")
    with pytest.raises(StateError, match="same id"):
        await lane.exchange("e3", 0, ["a"], b"3")
    with pytest.raises(StateError):
        list(store.export())
    with pytest.raises(StateError):
        store.import_([Entry("b", b"s", ())])
    with pytest.raises(StateError):
        store.versions(["a"])
    server.start()
    # written ahead by the server, taken up by the same clients
    assert (await lane.exchange("e3", 0, ["a"], b"3"))[0].tail == (b"1", b"2")
    assert store.exchange("e3", 0, ["a"], b"3")[0].duplicate
    await lane.close()
    store.close()


async def test_a_redis_url_that_is_none_is_told() -> None:
    with pytest.raises(ConfigError, match="PROMISE_REDIS"):
        RedisStore("nonsense://x")
    with pytest.raises(ConfigError, match="timeout_s"):
        AsyncRedisStore("redis://127.0.0.1", timeout_s=0)


@pytest.fixture
def postgres(postgres_schema: str) -> Iterator[PostgresStore]:
    """Yield a store in a schema of its own."""
    database = Database(postgres_schema)
    store = PostgresStore(database)
    yield store
    store.close()
    database.close()


def end_connections(store: PostgresStore) -> None:
    """End the store's connections on the server's side, as its restart would."""
    with store.database.reading() as connection:
        for one in store._opened:
            pid = one.connection.dbapi_connection.info.backend_pid
            connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})


async def test_a_lost_connection_to_postgres_costs_nothing(postgres: PostgresStore) -> None:
    postgres.exchange("e1", 0, ["a"], b"1")
    end_connections(postgres)
    assert postgres.exchange("e2", 0, ["a"], b"2")[0].tail == (b"1",)
    assert len(postgres._opened) == 1


async def test_requests_at_once_share_threads_of_postgres(postgres: PostgresStore) -> None:
    lane = Awaited(postgres, threads=4, timeout_s=30)
    found = await asyncio.gather(
        *(
            lane.exchange(f"e{i % 10}", i, ["a", "b"][:: 1 - 2 * (i % 2)], b"%d" % i)
            for i in range(40)
        )
    )
    fresh = [one[0] for one in found if not one[0].duplicate]
    assert len(fresh) == 10
    assert all(one.exact for pair in found for one in pair)
    assert [len(one.tail) for one in await lane.read(["a", "b"])] == [10, 10]
    assert len(postgres._opened) <= 4
    await lane.close()
    assert not postgres._opened


@pytest.mark.slow
async def test_a_postgres_that_waits_too_long_is_an_error_in_time(postgres: PostgresStore) -> None:
    postgres.exchange("e1", 0, ["a"], b"1")
    impatient = PostgresStore(postgres.database, timeout_s=0.5)
    with postgres.database.transaction() as connection:
        connection.execute(sa.text("SELECT * FROM feature_entities FOR UPDATE"))
        with pytest.raises(StateError, match=r"0\.5 s"):
            impatient.exchange("e2", 0, ["a"], b"2")
    impatient.close()
    assert postgres.exchange("e2", 0, ["a"], b"2")[0].tail == (b"1",)


async def test_a_postgres_that_is_away_is_told_in_words() -> None:
    with pytest.raises(StateError, match="does not answer"):
        PostgresStore(Database("postgresql+psycopg://me:secret@127.0.0.1:1/none"))


async def test_one_exchange_with_postgres_is_one_statement(postgres: PostgresStore) -> None:
    postgres.exchange("e1", 0, ["a"], b"1")
    sent: list[str] = []
    sa.event.listen(
        postgres.database.engine, "before_cursor_execute", lambda *given: sent.append(given[2])
    )
    postgres.exchange("e2", 0, ["a", "b", "c"], b"2")
    assert len(sent) == 1


async def test_a_locked_sqlite_is_an_error_in_time(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/promise.db", wait_s=0.2)
    store = SQLiteStore(database)
    store.exchange("e1", 0, ["a"], b"1")
    with database.transaction():
        # another thread, as the loop's would be
        with pytest.raises(StateError, match="lock"):
            await Awaited(store).exchange("e2", 0, ["a"], b"2")
        assert store.read(["a"])[0].tail == (b"1",)
    assert store.exchange("e2", 0, ["a"], b"2")[0].tail == (b"1",)
    database.close()


class Hanging(MemoryStore):
    """A store of a machine that never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    @property
    def reach(self) -> Any:
        return "machine"

    def exchange(self, event_id: str, at: int, keys: Sequence[str], payload: bytes) -> list[Held]:
        self.go.wait(20)
        return super().exchange(event_id, at, keys, payload)


async def test_a_store_that_hangs_does_not_hang_the_loop() -> None:
    store = Hanging()
    lane = Awaited(store, timeout_s=0.05, threads=2)
    with pytest.raises(StateError, match=r"within 0\.05 s"):
        await lane.exchange("e1", 0, ["a"], b"1")
    store.go.set()
    patient = Awaited(store, timeout_s=20)
    await patient.exchange("e1", 0, ["a"], b"1")
    assert (await lane.read(["a"]))[0].tail == (b"1",)
    await lane.close()


async def test_a_store_in_process_is_asked_without_a_thread() -> None:
    lane = Awaited(MemoryStore())
    assert lane.reach == "process"
    await lane.exchange("e1", 0, ["a"], b"1")
    assert await lane.versions(["a"]) == [(await lane.read(["a"]))[0].version]
    assert await lane.compact("a", (await lane.versions(["a"]))[0], b"folded")
    assert lane._threads is None
    await lane.close()


async def test_long_tails_are_folded_on_the_loop() -> None:
    lane = Awaited(MemoryStore())
    for i in range(9):
        seen = await lane.exchange(f"e{i}", i, ["a", "b", "a"], b"%d" % i)
    done = await fold_long_tails_async(
        lane, ["a", "b", "a"], seen, lambda key, _, tail: key.encode() + b"".join(tail), limit=8
    )
    assert done == 2
    assert [one.snapshot for one in await lane.read(["a", "b"])] == [b"a01234567", b"b01234567"]
    assert [one.tail for one in await lane.read(["a", "b"])] == [(b"8",)] * 2
