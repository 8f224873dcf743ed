"""Events are kept once by their id, all of a batch or none, and read in the order of commits."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promise.clock import ManualClock, SystemClock
from promise.errors import DataError
from promise.records.events import EventConflict, Events
from promise.state.database import Database


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def events(database: Database, clock: ManualClock) -> Events:
    return Events(database, clock)


def one(id: str = "e1", **more: Any) -> dict[str, Any]:
    return {"event_id": id, "entity": "ann", "type": "login", **more}


def test_an_event_comes_back_as_it_was_given(events: Events, clock: ManualClock) -> None:
    given_event = one(at="2026-01-01T02:00:00+02:00", payload={"a": [1, None, "ü"], "b": 1.5})
    kept = events.add("churn", [given_event, one("e2", entity=7)])
    assert kept.added == 2
    assert events.since(0) == kept.events
    first, second = kept.events
    assert first.payload == {"a": [1, None, "ü"], "b": 1.5}
    assert (first.at, second.at) == (clock.now(), clock.now())
    assert (second.entity, second.payload) == ("7", {})
    assert events.since(first.number) == [second]
    assert events.since(0, 1) == [first]
    assert events.since(0, model="other") == []


def test_the_same_again_changes_nothing_and_another_content_is_refused(
    events: Events, clock: ManualClock
) -> None:
    first = events.add("churn", [one(payload={"n": 1}, at="2026-01-01T00:00:00Z")])
    clock.advance(60)
    again = events.add("churn", [one(payload={"n": 1}), one("e2"), one("e2")])
    assert (again.added, again.events[0]) == (1, first.events[0])
    for other in (
        one(payload={"n": 2}), one(entity="bob", payload={"n": 1}),
        one(payload={"n": 1}, at="2026-01-02T00:00:00Z"),
    ):  # fmt: skip
        with pytest.raises(EventConflict, match="'e1' is already kept with another content"):
            events.add("churn", [one("e3"), other])
    assert [event.event_id for event in events.since(0)] == ["e1", "e2"]
    assert events.add("other", [one(payload={"n": 2})]).added == 1


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({**one(), "event_id": ""}, "event 1: event_id must have 1 to 200"),
        ({**one(), "event_id": "a\x00"}, "printable"),
        ({**one(), "event_id": "\ud800"}, "printable"),
        ({**one(), "entity": None}, "event 1: entity is missing"),
        ({**one(), "type": ["x"]}, "type is list, expected text"),
        ({**one(), "typ": "x"}, "did you mean 'type'"),
        ({**one(), "at": "today"}, "expected a time with its zone"),
        ({**one(), "at": "2026-01-01T00:00:00"}, "expected a time with its zone"),
        ({**one(), "at": "0001-01-01T00:00:00+23:00"}, "expected a time"),
        ({**one(), "payload": [1]}, "payload is list, expected an object"),
        ({**one(), "payload": {"x": float("nan")}}, "cannot be written as JSON"),
        ({**one(), "payload": {"x": "y" * 70_000}}, "longer than 65,536"),
    ],
)
def test_a_bad_entry_is_named_and_nothing_is_kept(
    events: Events, entry: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        events.add("churn", [one("e0"), entry])
    assert events.since(0) == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.integers(0, 12), max_size=6), max_size=6))
def test_however_events_are_batched_each_id_is_kept_once(batches: list[list[int]]) -> None:
    events = Events(Database("sqlite://"), ManualClock())
    seen: set[int] = set()
    for batch in batches:
        assert events.add("m", [one(str(n)) for n in batch]).added == len(set(batch) - seen)
        seen |= set(batch)
    kept = events.since(0)
    assert sorted(int(event.event_id) for event in kept) == sorted(seen)
    assert [event.number for event in kept] == list(range(1, len(seen) + 1))


def _send(url: str, ids: list[int], ready: Any) -> None:
    events = Events(Database(url), SystemClock())
    ready.wait()
    for n in ids:
        events.add("m", [one(str(n)), one(f"{n}-b")])


@pytest.mark.slow
def test_processes_that_send_the_same_events_keep_each_once(
    database_url: str, events: Events
) -> None:
    events.since(0)
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(3)
    ids = list(range(25))
    senders = [
        spawn.Process(target=_send, args=(database_url, ids[::step], ready)) for step in (1, -1, 1)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
    assert [sender.exitcode for sender in senders] == [0, 0, 0]
    assert [event.number for event in events.since(0)] == list(range(1, 51))
