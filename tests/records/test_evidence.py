"""Evidence: merged over slots and machines, summed with time, exact under restarts."""

from __future__ import annotations

import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.clock import ManualClock, SteadyClock
from promise.errors import StateError
from promise.records.counters import Counters
from promise.records.evidence import BUCKET_S, EvidenceStore
from promise.records.publishing import CountsPublisher
from promise.records.timeline import Timeline
from promise.state.database import Database


@pytest.fixture
def store(database: Database) -> EvidenceStore:
    return EvidenceStore(database, ManualClock())


def test_slots_are_added_and_repeated_calls_replace(store: EvidenceStore) -> None:
    start = store.clock.now()
    later = start + timedelta(seconds=BUCKET_S)
    store.add_counts("0", "churn", 1, "live", start, 5, 1, {10.0: 1})
    store.add_counts("0", "churn", 1, "live", start, 8, 2, {10.0: 2, 50.0: 1})
    store.add_counts("1", "churn", 1, "live", start, 2, 0, {10.0: 1})
    store.add_counts("other.0", "churn", 1, "live", later, 1, 1, {})
    store.add_counts("0", "churn", 2, "canary", start, 9, 9, {})
    first, second = store.counts("churn", 1, "live")
    assert (first.start, first.requests, first.errors) == (start, 10, 2)
    assert first.over == {10.0: 3, 50.0: 1}
    assert (second.start, second.requests) == (later, 1)
    assert len(store.counts("churn", 1, "live", since=start)) == 2
    assert len(store.counts("churn", 1, "live", since=start + timedelta(seconds=1))) == 1
    assert len(store.counts("churn", 1, "live", since=later)) == 1
    assert store.counts("churn", 1, "shadow") == []


@pytest.mark.slow
def test_old_buckets_become_hours_and_late_counts_are_refused(store: EvidenceStore) -> None:
    start = store.clock.now()
    for number in range(720):  # two hours
        moment = start + timedelta(seconds=number * 10)
        cell = ("churn", 1, "live", moment, 2, 1, {10.0: 1})
        store.add_counts(str(number % 2), *cell)
    before = store.counts("churn", 1, "live")
    cut = start + timedelta(minutes=90)
    assert store.compact(cut) == 359
    assert store.compact(cut) == 0
    after = store.counts("churn", 1, "live")
    assert len(after) == 1 + 360
    assert (after[0].start, after[0].requests, after[0].over) == (start, 720, {10.0: 360})
    for name in ("requests", "errors"):
        assert sum(getattr(b, name) for b in before) == sum(getattr(b, name) for b in after)
    store.add_counts("0", "churn", 1, "live", start, 1000, 0, {})
    assert store.counts("churn", 1, "live") == after
    # an hour that began before the moment mixes both sides and is left out
    assert len(store.counts("churn", 1, "live", since=start + timedelta(seconds=5))) == 360
    assert store.forget(start + timedelta(hours=1)) == 1


def test_observations_replace_by_key_and_keep_their_order(store: EvidenceStore) -> None:
    clock: Any = store.clock
    store.observe("churn", 1, "psi", "age:1", {"n": 1})
    clock.advance(60)
    store.observe("churn", 1, "psi", "age:2", {"n": 2})
    moment = clock.now()
    clock.advance(60)
    store.observe("churn", 1, "psi", "age:1", {"n": 3})
    store.observe_all([("churn", 1, "memory", "m", {"mb": 5}), ("churn", 2, "psi", "x", {})])
    assert [o.payload["n"] for o in store.observed("churn", 1, "psi")] == [3, 2]
    newer = moment + timedelta(seconds=1)
    assert [o.payload["n"] for o in store.observed("churn", 1, "psi", since=newer)] == [3]
    assert store.withdraw("psi", "age:", keep="age:2") == 1
    assert [o.key for o in store.observed("churn", 1, "psi")] == ["age:2"]
    assert store.forget(clock.now() + timedelta(seconds=1)) == 3


class Away:
    """An evidence store whose database may be away, or answer and then be killed with us."""

    def __init__(self, store: EvidenceStore) -> None:
        self.store = store
        self.mode = "there"

    @property
    def timeline(self) -> Timeline:
        if self.mode == "away":
            raise StateError("the database does not answer")
        return self.store.timeline

    def add_cells(self, cells: list[Any]) -> int:
        if self.mode == "away":
            raise StateError("the database does not answer")
        late = self.store.add_cells(cells)
        if self.mode == "killed":
            raise KeyboardInterrupt
        return late


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), st.integers(1, 5)),
        st.tuples(st.just("fail"), st.integers(1, 2)),
        st.tuples(st.just("tick"), st.sampled_from(["there", "away", "killed", "unsaved"])),
        st.tuples(st.just("advance"), st.sampled_from([1, 4, 11, -30])),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=40,
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_restarts_lose_nothing_that_was_saved_and_count_nothing_twice(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any]]
) -> None:
    folder: Path = tmp_path_factory.mktemp("run")
    database = Database("sqlite://")
    clock = ManualClock()
    away = Away(EvidenceStore(database, clock))

    def start() -> tuple[Counters, CountsPublisher]:
        clock.advance(0.001)  # two processes of one slot never begin in one microsecond
        counters = Counters(folder, 0)
        return counters, CountsPublisher(counters, away, clock)  # type: ignore[arg-type]

    counters, publisher = start()
    asked = saved = (0, 0, 0)
    for step, value in steps:
        series = counters.series("churn", 1, "live", (10.0,))
        if step == "answer":
            for _ in range(value):
                series.answered(20.0)
        elif step == "fail":
            for _ in range(value):
                series.failed(1.0)
        elif step == "advance":
            clock.advance(value)
        elif step == "restart":
            counters, publisher = start()
        elif value == "unsaved":
            counters.save()  # killed right after somebody else saved the counters
            counters, publisher = start()
            series = counters.series("churn", 1, "live", (10.0,))
            saved = (series.requests, series.errors, series.over[10.0])
        else:
            away.mode = value
            asked = (series.requests, series.errors, series.over[10.0])
            try:
                publisher.tick()
            except KeyboardInterrupt:
                counters, publisher = start()
            saved = asked
            away.mode = "there"
    counters, publisher = start()
    assert publisher.tick()
    found = away.store.counts("churn", 1, "live")
    total = (
        sum(b.requests for b in found),
        sum(b.errors for b in found),
        sum(b.over.get(10.0, 0) for b in found),
    )
    assert total == saved
    database.close()


def test_several_workers_publish_beside_each_other(database: Database, tmp_path: Path) -> None:
    clock = ManualClock()
    store = EvidenceStore(database, clock)
    for _ in range(3):
        clock.advance(7)
        for slot in (0, 1):
            counters = Counters(tmp_path, slot)
            publisher = CountsPublisher(counters, store, clock)
            counters.series("churn", 1, "live", ()).answered(1.0)
            assert publisher.tick()
            counters.series("churn", 1, "live", ()).answered(1.0)
            assert publisher.tick()
    assert sum(b.requests for b in store.counts("churn", 1, "live")) == 12
    counters = Counters(tmp_path, 0)
    kept = copy.deepcopy(counters.published["cells"])
    assert len(kept) <= 2  # what is over and confirmed is let go


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["answer", "tick"]), st.floats(0, 3)), max_size=40),
    st.floats(0, 60),
)
def test_a_stage_never_counts_what_was_answered_before_it(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, float]], begins_s: float
) -> None:
    clock, database = ManualClock(), Database("sqlite://")
    began = clock.now()
    store = EvidenceStore(database, clock)
    counters = Counters(tmp_path_factory.mktemp("run"), 0)
    publisher = CountsPublisher(counters, store, clock)
    answered, longest, ticked = [], 0.0, clock.monotonic()
    for step, pause_s in [*steps, ("tick", 0.0)]:
        clock.advance(pause_s)
        if step == "answer":
            counters.series("churn", 1, "canary", ()).answered(1.0)
            answered.append(clock.now())
            continue
        publisher.tick()
        longest, ticked = max(longest, clock.monotonic() - ticked), clock.monotonic()
    since = began + timedelta(seconds=begins_s)
    counted = sum(b.requests for b in store.counts("churn", 1, "canary", since))
    lost = timedelta(seconds=BUCKET_S + longest)
    assert counted <= sum(at >= since for at in answered)
    assert counted >= sum(at >= since + lost for at in answered)
    database.close()


class Moved(ManualClock):
    """A machine whose wall clock somebody moves while its seconds go on."""

    moved = timedelta()

    def now(self) -> Any:
        return super().now() + self.moved


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_moved_changes_no_time_of_evidence(tmp_path: Path, hours: int) -> None:
    clock, database = Moved(), Database("sqlite://")
    store, counters = EvidenceStore(database, clock), Counters(tmp_path, 0)
    publisher = CountsPublisher(counters, store, clock)
    began = clock.now()
    for _ in range(3):
        counters.series("churn", 1, "live", ()).answered(1.0)
        clock.advance(10)
        assert publisher.tick()
        clock.moved = timedelta(hours=hours)
    seen = store.counts("churn", 1, "live")
    assert [(b.start - began).seconds for b in seen] == [0, 10, 20]


def test_a_start_after_the_clock_was_set_back_goes_on_from_where_it_was(tmp_path: Path) -> None:
    clock, database = Moved(), Database("sqlite://")
    store, began = EvidenceStore(database, clock), clock.now()
    for slot in (0, 0, 1):
        counters = Counters(tmp_path, slot)
        publisher = CountsPublisher(counters, store, clock)
        for _ in range(2):  # a new slot has nothing saved: it hears of the time from the store
            clock.advance(10)
            publisher.tick()
        counters.series("churn", 1, "live", ()).answered(1.0)
        clock.advance(10)
        assert publisher.tick()
        clock.moved = timedelta(hours=-1)
    seen = store.counts("churn", 1, "live")
    assert seen[0].start >= began
    assert [b.start for b in seen] == sorted(b.start for b in seen)
    assert sum(b.requests for b in seen) == 3
    assert len(store.counts("churn", 1, "live", since=began + timedelta(seconds=25))) >= 1


def test_what_a_clock_gained_it_loses_again_and_a_broken_one_is_not_followed() -> None:
    clock = ManualClock()
    steady, began = SteadyClock(clock), clock.now()
    steady.not_before(began + timedelta(minutes=30))
    steady.not_before(began + timedelta(days=300))
    assert steady.now() == began + timedelta(minutes=30)
    last = steady.now()
    for _ in range(50):
        clock.advance(600)
        assert steady.now() > last
        last = steady.now()
    assert last == clock.now()
    assert SteadyClock.over(steady) is steady


def test_time_is_remembered_and_never_goes_back(database: Database) -> None:
    timeline, start = Timeline(database), ManualClock().now()
    assert timeline.newest().year == 1970
    timeline.mark(start)
    timeline.mark(start - timedelta(hours=1))
    assert timeline.newest() == start
    EvidenceStore(database, ManualClock()).add_counts(
        "0", "churn", 1, "live", start + timedelta(hours=2), 1, 0, {}
    )
    assert timeline.newest() == start + timedelta(hours=2)
