"""Every store keeps event state alike: before-values, order, one count per event, no lost fold."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promise.clock import ManualClock
from promise.errors import ConfigError, DataError
from promise.features.store import Entry, Held, Lifetimes, Store
from promise.features.stores.folding import fold_long_tails
from promise.features.stores.memory import MemoryStore
from promise.features.stores.postgres import PostgresStore
from promise.features.stores.redis import RedisStore
from promise.features.stores.sqlite import SQLiteStore
from promise.state.database import Database

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

_NOW = """CREATE OR REPLACE FUNCTION promise_feature_now() RETURNS BIGINT LANGUAGE sql AS
    $$ SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT {} $$"""
KINDS = ("memory", "journal", "sqlite", "postgres", "redis")
SHARED = ("sqlite", "postgres", "redis")


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


@pytest.fixture
def redis_url(redis_server: str) -> Iterator[str]:
    """Yield a Redis URL with a prefix of its own after the #."""
    prefix = f"test:{{{uuid.uuid4().hex[:12]}}}"
    yield f"{redis_server}/5#{prefix}"
    with redis.Redis.from_url(f"{redis_server}/5") as client:
        for part in client.scan_iter(match=prefix + ":*", count=1000):
            client.delete(part)


@pytest.fixture
def postgres_schema(postgres_url: str) -> Iterator[str]:
    """Yield the URL of an empty schema."""
    url = sa.make_url(postgres_url)
    schema = f"t{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    own = url.update_query_dict({"options": f"-csearch_path={schema}"})
    yield own.render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Yield an empty place of the kind that the test asks for."""
    kind = request.param
    if kind in ("postgres", "redis"):
        url = request.getfixturevalue({"postgres": "postgres_schema", "redis": "redis_url"}[kind])
    else:
        url = f"sqlite:///{tmp_path}/promise.db" if kind == "sqlite" else str(tmp_path / "state")
    made = Place(kind, url)
    yield made
    made.close()


every = pytest.mark.parametrize("place", KINDS, indirect=True)
shared = pytest.mark.parametrize("place", SHARED, indirect=True)


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


@every
def test_an_exchange_returns_what_was_held_before_it(place: Place) -> None:
    store = place.open()
    assert store.exchange("e1", 10, ["a", "b"], b"1") == [Held(None, ()), Held(None, ())]
    assert [one.tail for one in store.exchange("e2", 5, ["b", "c"], b"2")] == [(b"1",), ()]
    before = store.exchange("e3", 10, ["a", "b", "c"], b"3")
    assert [one.tail for one in before] == [(b"1",), (b"1", b"2"), (b"2",)]
    assert all(one.exact and not one.duplicate for one in before)
    assert [one.tail for one in store.read(["c", "nobody"])] == [(b"2", b"3"), ()]
    assert not store.read(["nobody"])[0].known


@every
def test_versions_grow_by_one_with_each_event(place: Place) -> None:
    store = place.open()
    store.exchange("e1", 10, ["a"], b"1")
    first = store.versions(["a", "b"])
    assert first[0] > 0 == first[1]
    assert store.exchange("e2", 11, ["a"], b"2")[0].version == first[0]
    assert store.versions(["a"]) == [first[0] + 1] == [store.read(["a"])[0].version]


@every
def test_the_same_event_again_counts_once_and_returns_the_same(place: Place) -> None:
    store = place.open()
    fill(store, "a", 2)
    first = store.exchange("e", 5, ["a", "b"], b"x")
    store.exchange("later", 6, ["a", "b"], b"y")
    again = store.exchange("e", 5, ["a", "b"], b"x")
    assert [(one.snapshot, one.tail, one.version) for one in again] == [
        (one.snapshot, one.tail, one.version) for one in first
    ]
    assert all(one.duplicate and one.exact for one in again)
    assert [one.tail for one in store.read(["a", "b"])] == [(b"0", b"1", b"x", b"y"), (b"x", b"y")]
    # an entity that the event never touched is told as it is
    (other,) = store.exchange("e", 5, ["c"], b"x")
    assert other.duplicate
    assert not other.known
    assert not store.read(["c"])[0].known


@every
def test_a_key_named_twice_gets_the_event_once(place: Place) -> None:
    store = place.open()
    store.exchange("e1", 1, ["a"], b"1")
    before = store.exchange("e2", 2, ["a", "b", "a"], b"2")
    assert [one.tail for one in before] == [(b"1",), (), (b"1",)]
    assert store.read(["a"])[0].tail == (b"1", b"2")
    assert store.exchange("e3", 2, [], b"2") == []


@every
def test_a_compaction_keeps_what_came_since(place: Place) -> None:
    store = place.open()
    fill(store, "a", 3)
    (state,) = store.read(["a"])
    store.exchange("e", 9, ["a"], b"new")
    assert store.compact("a", state.version, fold(state.snapshot, state.tail))
    (after,) = store.read(["a"])
    assert (after.snapshot, after.tail) == (b"0|1|2|", (b"new",))
    assert after.version == state.version + 1
    (before,) = store.exchange("e5", 9, ["a"], b"5")
    assert joined(before) == [b"0", b"1", b"2", b"new"]


@every
def test_of_two_compactions_the_one_that_came_further_stays(place: Place) -> None:
    store = place.open()
    fill(store, "a", 3)
    (early,) = store.read(["a"])
    store.exchange("e", 9, ["a"], b"3")
    (late,) = store.read(["a"])
    assert store.compact("a", late.version, fold(late.snapshot, late.tail))
    assert not store.compact("a", early.version, fold(early.snapshot, early.tail))
    assert not store.compact("a", late.version + 1, b"of the future")
    assert not store.compact("nobody", 1, b"of nobody")
    assert store.read(["a"])[0].snapshot == b"0|1|2|3|"


@every
def test_a_duplicate_that_is_folded_says_that_it_is_inexact(place: Place) -> None:
    store = place.open()
    fill(store, "a", 4)
    (state,) = store.read(["a"])
    # the newest payload stays in the tail, so its event can still be told exactly
    assert store.compact("a", state.version - 1, fold(None, state.tail[:-1]))
    (exact,) = store.exchange("a-3", 3, ["a"], b"3")
    assert (exact.duplicate, exact.exact, joined(exact)) == (True, True, [b"0", b"1", b"2"])
    (inexact,) = store.exchange("a-2", 2, ["a"], b"2")
    assert (inexact.duplicate, inexact.exact) == (True, False)
    assert joined(inexact) == [b"0", b"1", b"2", b"3"]


@every
def test_long_tails_are_folded_after_the_answer(place: Place) -> None:
    store = place.open()
    for i in range(20):
        seen = store.exchange(f"e{i}", i, ["a", "b"], b"%d" % i)
        fold_long_tails(store, ["a", "b"], seen, folded, limit=5, keep=2)
        assert all(len(one.tail) <= 6 for one in store.read(["a", "b"]))
    assert joined(store.read(["b"])[0]) == [b"%d" % i for i in range(20)]


@every
@given(data=st.data())
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_store_agrees_with_lists(place: Place, data: st.DataObject) -> None:
    store = place.opened[0] if place.opened else place.open()
    run = uuid.uuid4().hex[:8]
    names = [f"{run}:{letter}" for letter in "abc"]
    lists: dict[str, list[bytes]] = {name: [] for name in names}
    in_snapshot = dict.fromkeys(names, 0)
    events: dict[str, dict[str, int]] = {}
    letters = st.sets(st.sampled_from("abc"), min_size=1)
    for number, keys, compacts in data.draw(
        st.lists(st.tuples(st.integers(0, 7), letters, st.booleans()))
    ):
        event = f"{run}-{number}"
        ordered = [f"{run}:{letter}" for letter in sorted(keys, reverse=bool(number % 2))]
        # any bytes but the bar by which the test folds
        payload = bytes([number, 0, 0xFF])
        before = store.exchange(event, number, ordered, payload)
        if event not in events:
            assert [joined(one) for one in before] == [lists[key] for key in ordered]
            for key in ordered:
                lists[key].append(payload)
            events[event] = {key: len(lists[key]) for key in ordered}
        for key, one in zip(ordered, before, strict=True):
            place_of = events[event].get(key, len(lists[key]) + 1)
            if one.duplicate:
                assert one.exact == (place_of > in_snapshot[key])
                assert joined(one) == lists[key][: place_of - 1 if one.exact else None]
            if compacts:
                (state,) = store.read([key])
                folds = fold(state.snapshot, state.tail)
                assert store.compact(key, state.version, folds) == state.known
                in_snapshot[key] = len(lists[key])
    assert [joined(one) for one in store.read(names)] == [lists[key] for key in names]


@pytest.mark.parametrize("place", ["journal", "sqlite", "postgres", "redis"], indirect=True)
def test_what_was_acknowledged_is_there_after_a_restart(place: Place) -> None:
    store = place.open()
    fill(store, "a", 3)
    store.compact("a", store.versions(["a"])[0], b"0|1|2|")
    store.exchange("e", 4, ["a", "b"], b"x")
    held = store.read(["a", "b"])
    store.close()
    again = place.open()
    assert again.read(["a", "b"]) == held
    assert again.exchange("e", 4, ["a"], b"x")[0].duplicate
    assert joined(again.exchange("f", 4, ["a"], b"y")[0]) == [b"0", b"1", b"2", b"x"]


@every
def test_an_entity_without_events_is_forgotten(place: Place) -> None:
    place = place.living(retention_s=40, remember_s=100)
    store = place.open()
    store.exchange("e1", 0, ["a", "b"], b"1")
    old = store.read(["a"])[0]
    place.pass_time(25)
    store.exchange("e2", 0, ["a"], b"2")
    place.pass_time(25)
    assert [one.known for one in store.read(["a", "b"])] == [True, False]
    place.pass_time(45)
    assert not store.read(["a"])[0].known
    # it begins anew: nothing of its former life comes back, and no version comes twice
    assert store.exchange("e3", 0, ["a"], b"3") == [Held(None, ())]
    assert store.read(["a"])[0].tail == (b"3",)
    assert store.versions(["a"])[0] > old.version + 1
    assert not store.compact("a", old.version, b"1|")
    assert not store.exchange("e1", 0, ["a"], b"1")[0].exact
    assert [entry.key for entry in store.export()] == ["a"]
    place.pass_time(45)
    assert store.expire() == (0 if place.kind == "redis" else 2)
    assert list(store.export()) == []
    place.close()


@every
def test_an_event_ahead_of_the_clock_is_kept_until_its_own_time_is_over(place: Place) -> None:
    place = place.living(retention_s=30, remember_s=100)
    store = place.open()
    now = place.clock.now().timestamp() if place.kind not in ("postgres", "redis") else time.time()
    store.exchange("ahead", int((now + 10_000) * 1e6), ["a"], b"1")
    store.exchange("far", 2**60, ["c"], b"1")
    store.exchange("before", -(2**60), ["b"], b"1")
    place.pass_time(40)
    assert [one.known for one in store.read(["a", "b", "c"])] == [True, False, True]
    place.pass_time(30)  # but at most one lifetime ahead
    assert [one.known for one in store.read(["a", "b", "c"])] == [False] * 3
    place.close()


@every
def test_an_event_id_is_remembered_for_its_time(place: Place) -> None:
    place = place.living(retention_s=100, remember_s=30)
    store = place.open()
    store.exchange("e", 0, ["a"], b"1")
    assert store.exchange("e", 0, ["a"], b"1")[0].duplicate
    place.pass_time(35)
    assert not store.exchange("e", 0, ["a"], b"1")[0].duplicate
    assert store.exchange("e", 0, ["a"], b"1")[0].duplicate
    place.pass_time(35)
    store.expire()
    assert not store.exchange("e", 0, ["a"], b"1")[0].duplicate
    assert store.read(["a"])[0].tail == (b"1",) * 3
    place.close()


@every
def test_state_moves_between_stores(place: Place) -> None:
    source = MemoryStore()
    entries = [Entry(f"key{i:04d}*[?é", b"s\0\xff%d" % i, (b"", b"\0x")) for i in range(1100)]
    assert source.import_(entries) == 1100
    target = place.open()
    target.exchange("e", 0, [entries[7].key], b"mine")
    mine = target.read([entries[7].key])
    assert target.import_(source.export()) == 1099
    assert target.read([entries[7].key]) == mine
    moved = sorted(target.export(), key=lambda entry: entry.key)
    assert len(moved) == 1100
    assert [one for one in moved if one.key != entries[7].key] == entries[:7] + entries[8:]
    assert target.read([entries[3].key])[0].tail == (b"", b"\0x")
    (before,) = target.exchange("next", 0, [entries[3].key], b"new")
    assert (before.snapshot, before.tail) == (entries[3].snapshot, entries[3].tail)
    # replaced on demand; what was read before is void then
    (stale,) = target.read([entries[7].key])
    assert target.import_(entries[7:8], replace=True) == 1
    assert target.read([entries[7].key])[0].snapshot == entries[7].snapshot
    assert target.versions([entries[7].key])[0] > stale.version
    assert not target.compact(entries[7].key, stale.version, b"stale")
    again = MemoryStore()
    assert again.import_(target.export()) == 1100


@every
@pytest.mark.parametrize(
    ("event_id", "at", "keys", "told"),
    [
        ("", 0, ["a"], "event id is ''"),
        ("e\0", 0, ["a"], "without NUL"),
        ("e", 0, [""], "entity key is ''"),
        ("e", 0, ["\ud800"], "no Unicode text"),
        ("e" * 2000, 0, ["a"], "2,000 bytes long"),
        ("e", 1.5, ["a"], "whole microseconds"),
        ("e", 2**70, ["a"], "whole microseconds"),
        ("e", 0, "a", "a list of entity keys"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_words(
    place: Place, event_id: str, at: Any, keys: Any, told: str
) -> None:
    with pytest.raises(DataError, match=told):
        place.open().exchange(event_id, at, keys, b"")


def test_lifetimes_that_cannot_be_are_refused() -> None:
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="retention_s"):
            Lifetimes(retention_s=value)
    with pytest.raises(ConfigError, match="PostgresStore"):
        SQLiteStore(Database("postgresql+psycopg://x/y"))
    with pytest.raises(ConfigError, match="SQLiteStore"):
        PostgresStore(Database("sqlite://"))


def in_processes(n: int, work: Callable[..., None], *arguments: Any) -> None:
    """Run `work` in n processes at once; every one of them must end well."""
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(*arguments, i)) for i in range(n)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0] * n


def send(place: Place, n: int, notes: Path, who: int) -> None:
    """Send events to overlapping entities, fold now and then, note what was held before each."""
    place = replace(place, opened=[], databases=[])
    store = place.open()
    keys = ["a", "b", "c"][:: 1 if who % 2 else -1]
    with (notes / str(who)).open("w") as file:
        for i in range(n):
            # one in five is sent by everybody
            event = f"all-{i}" if i % 5 == 0 else f"{who}-{i}"
            seen = store.exchange(event, i, keys, event.encode())
            for key, one in zip(keys, seen, strict=True):
                before = b",".join(joined(one)).decode() if one.exact else "?"
                file.write(f"{key} {event} {int(one.duplicate)} {before}\n")
            if i % 7 == who:
                fold_long_tails(store, keys, seen, folded, limit=4)
    place.close()


@shared
def test_processes_at_once_see_one_order_of_events(place: Place, tmp_path: Path) -> None:
    place.open()
    notes = tmp_path / "notes"
    notes.mkdir()
    in_processes(4, send, place, 30, notes)
    final = {
        key: [payload.decode() for payload in joined(state)]
        for key, state in zip("abc", place.opened[0].read(list("abc")), strict=True)
    }
    for key in "abc":
        assert len(final[key]) == len(set(final[key])) == 6 + 4 * 24
    counted = 0
    for note in notes.iterdir():
        for line in note.read_text().splitlines():
            key, event, duplicate, before = line.split(" ")
            counted += not int(duplicate)
            if before != "?":
                # exactly the events that stand before it, whoever sent them
                stood = final[key][: final[key].index(event)]
                assert before.split(",") == stood if stood else before == ""
    assert counted == 3 * (6 + 4 * 24)


def compact_often(place: Place, n: int, who: int) -> None:
    """Half of the processes append, half fold what they read."""
    place = replace(place, opened=[], databases=[])
    store = place.open()
    for i in range(n):
        if who % 2:
            store.exchange(f"{who}-{i}", i, ["a"], b"%d-%d" % (who, i))
        else:
            (state,) = store.read(["a"])
            if state.tail:
                store.compact("a", state.version, fold(state.snapshot, state.tail))
    place.close()


@shared
def test_compactions_at_once_lose_and_double_nothing(place: Place) -> None:
    place.open()
    in_processes(4, compact_often, place, 40)
    found = joined(place.opened[0].read(["a"])[0])
    assert len(found) == len(set(found)) == 80
    for who in (1, 3):
        mine = [payload for payload in found if payload.startswith(b"%d-" % who)]
        assert mine == [b"%d-%d" % (who, i) for i in range(40)]


def send_until_killed(place: Place, told: Any) -> None:
    store = replace(place, opened=[], databases=[]).open()
    for i in range(100_000):
        store.exchange(f"e{i}", i, ["a", "b", "c"], b"%d" % i)
        told.send(i)


@shared
@pytest.mark.parametrize("after", [1, 17, 40])
def test_a_kill_leaves_each_event_with_all_of_its_entities_or_none(
    place: Place, after: int
) -> None:
    store = place.open()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    sender = context.Process(target=send_until_killed, args=(place, theirs))
    sender.start()
    theirs.close()
    last = -1
    with contextlib.suppress(EOFError):
        while True:
            last = ours.recv()
            if last >= after:
                sender.kill()
    sender.join(30)
    assert sender.exitcode == -signal.SIGKILL
    # a server may still be at work on what was sent before the kill: another exchange waits for it
    store.exchange("after", 0, ["a", "b", "c"], b"end")
    lists = [joined(one) for one in store.read(["a", "b", "c"])]
    assert lists[0] == lists[1] == lists[2]
    kept = len(lists[0]) - 1
    assert last + 1 <= kept <= last + 2
    # the event that was never acknowledged is sent again and counts once
    store.exchange(f"e{last + 1}", 0, ["a", "b", "c"], b"again")
    assert len(joined(store.read(["b"])[0])) == last + 3
