"""State and event ids are forgotten after their time, and never come back as they were."""

from __future__ import annotations

import time

import pytest
from tests.features.places import Place, every

from promise.errors import ConfigError
from promise.features.store import Held, Lifetimes
from promise.features.stores.postgres import PostgresStore
from promise.features.stores.sqlite import SQLiteStore
from promise.state.database import Database


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


def test_lifetimes_that_cannot_be_are_refused() -> None:
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="retention_s"):
            Lifetimes(retention_s=value)
    with pytest.raises(ConfigError, match="PostgresStore"):
        SQLiteStore(Database("postgresql+psycopg://x/y"))
    with pytest.raises(ConfigError, match="SQLiteStore"):
        PostgresStore(Database("sqlite://"))
