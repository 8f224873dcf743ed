"""Events are kept once by their id, all of a batch or none, and read in the order of commits."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promise.clock import ManualClock, SystemClock
from promise.errors import DataError
from promise.records.events import EVENTS, EventConflict, Events
from promise.records.history import History
from promise.state.database import Database, Migrations


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


@pytest.mark.slow
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


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
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


def test_a_log_of_an_earlier_installation_is_read_on(database: Database) -> None:
    database.migrate(Migrations("events", EVENTS.steps[:6]))
    row = {
        "number": 4, "model": "churn", "event_id": "e0", "entity": "ann", "type": "login",
        "at": "2026-01-01T00:00:00.000000+00:00", "payload": "{}",
    }  # fmt: skip
    with database.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO events (number, model, event_id, entity, type, at, received_at, "
                "payload) VALUES (:number, :model, :event_id, :entity, :type, :at, :at, :payload)"
            ),
            row,
        )
    events = Events(database)
    assert [event.event_id for event in events.since(0, model="churn")] == ["e0"]
    assert events.add("churn", [one("e1")]).events[0].number == 5
    assert [told[0] for told in events.told_since(0, 10, model="churn")] == [4, 5]


@pytest.mark.slow
def test_who_follows_one_model_reads_by_its_index(database: Database) -> None:
    events = Events(database)
    for model, n in (("busy", 1500), ("quiet", 3), ("busy", 1500)):
        events.add(model, [one(f"{model}-{events.head()}-{i}") for i in range(n)])
    with database.transaction() as connection:
        connection.execute(sa.text("ANALYZE events"))
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, text: str, values: Any, *_: Any) -> None:
        asked.append((text, values))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        told = events.told_since(0, 100, model="quiet")
        same = events.since(0, 100, model="quiet")
        (_, rows), *_ = History(database, "quiet").batches(["entity"])
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert [one[0] for one in told] == [event.number for event in same] == [1501, 1502, 1503]
    assert rows.num_rows == 3
    plan = "EXPLAIN QUERY PLAN " if database.url.startswith("sqlite") else "EXPLAIN "
    of_model = [(text, values) for text, values in asked if "FROM events WHERE" in text]
    assert len(of_model) >= 4
    with database.reading() as connection:
        for text, values in of_model:
            said = str(connection.exec_driver_sql(plan + text, values).all())
            assert "events_in_order" in said, said
