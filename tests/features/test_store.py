"""Every store keeps event state alike: before-values, order, one count per event, no lost fold."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.features.places import Place, every, fill, fold, folded, joined

from promise.errors import DataError
from promise.features.store import Entry, Held
from promise.features.stores.folding import fold_long_tails
from promise.features.stores.memory import MemoryStore


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


@pytest.mark.slow
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
