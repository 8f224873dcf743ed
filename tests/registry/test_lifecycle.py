"""The chain of transitions: one after the other, sealed, true at every moment and after a kill."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promise.clock import ManualClock
from promise.errors import ConfigError
from promise.promises.spec import RolloutPlan
from promise.registry.lifecycle import BUCKETS, Conflict, Lifecycle, Route, Transition
from promise.state.database import Database

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

STEADY = Route("churn", stage="steady", live=1)


@pytest.fixture
def life(database: Database) -> Lifecycle:
    return Lifecycle(database, ManualClock())


def steady(version: int) -> Route:
    return replace(STEADY, live=version, standby=version - 1 or None)


def grow(life: Lifecycle, links: int) -> list[Transition]:
    """Commit a chain in which version N is live from second N on."""
    made: list[Transition] = []
    for number in range(1, links + 1):
        before = made[-1] if made else None
        life.clock.advance(1.0)
        made.append(life.commit(before, "promote", steady(number), reason=f"no. {number}"))
    return made


def test_a_transition_is_kept_with_its_evidence(life: Lifecycle) -> None:
    assert (life.route("churn"), life.last("churn"), life.routes()) == (Route("churn"), None, {})
    before = life.epoch()
    evidence = {"verdicts": [{"promise": "speed", "measured": float("nan")}], "rows": 3}
    made = life.commit(None, "deploy", STEADY, reason="first", evidence=evidence, actor="somebody")
    assert life.last("churn") == made
    assert life.history("churn") == [made]
    assert (made.seq, made.previous, made.actor) == (1, "0" * 64, "somebody")
    assert made.evidence["verdicts"][0]["measured"] is None
    assert life.route("churn") == STEADY
    assert life.epoch() == before + 1
    life.touch()
    assert life.epoch() == before + 2
    other = Route("apps", stage="steady", live=4)
    life.commit(None, "deploy", other, reason="first")
    assert life.routes() == {"apps": other, "churn": STEADY}


def test_who_comes_second_is_told_and_changes_nothing(life: Lifecycle) -> None:
    first = life.commit(None, "deploy", STEADY, reason="first")
    with pytest.raises(Conflict):
        life.commit(None, "deploy", steady(2), reason="late")
    second = life.commit(first, "promote", steady(2), reason="second")
    epoch = life.epoch()
    with pytest.raises(Conflict):
        life.commit(first, "promote", steady(3), reason="late")
    assert life.history("churn") == [first, second]
    assert life.epoch() == epoch


def test_what_was_live_at_a_time_is_one_query(life: Lifecycle) -> None:
    made = grow(life, 5)
    for number, link in enumerate(made, start=1):
        for later in (0.0, 0.5, 0.999999):
            found = life.at("churn", link.at + timedelta(seconds=later))
            assert found is not None
            assert (found.route.live, found.reason) == (number, f"no. {number}")
    assert life.at("churn", made[0].at - timedelta(microseconds=1)) is None
    assert life.at("nothing", made[0].at) is None


def test_a_clock_moved_back_does_not_turn_the_chain_around(life: Lifecycle) -> None:
    first = life.commit(None, "deploy", STEADY, reason="first")
    life.clock.advance(-3600.0)
    second = life.commit(first, "promote", steady(2), reason="second")
    life.clock.advance(3700.0)
    third = life.commit(second, "promote", steady(3), reason="third")
    assert first.at == second.at < third.at
    assert life.at("churn", first.at) == second
    assert life.verify("churn") is None


WRONG = {
    "no live": Route("churn", stage="steady"),
    "live without": Route("churn"),
    "two roles": replace(STEADY, standby=1),
    "no candidate": replace(STEADY, stage="canary"),
    "candidate while steady": replace(STEADY, candidate=2),
    "candidate is live": replace(STEADY, stage="canary", candidate=1),
    "share": replace(STEADY, stage="canary", candidate=2, share=BUCKETS + 1),
    "negative": replace(STEADY, share=-1),
    "experiment": replace(STEADY, experiment={2: 6000, 3: 6000}),
    "empty but live": replace(STEADY, stage="empty"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_route_that_must_never_be_is_refused(case: str) -> None:
    life = Lifecycle(Database("sqlite://"), ManualClock())
    first = life.commit(None, "deploy", STEADY, reason="first")
    with pytest.raises(ConfigError, match="cannot be"):
        life.commit(first, "advance", WRONG[case], reason="wrong")
    assert life.history("churn") == [first]


def test_the_database_refuses_to_change_what_happened(life: Lifecycle) -> None:
    grow(life, 2)
    for statement in (
        "UPDATE transitions SET reason = 'nicer'",
        "DELETE FROM transitions WHERE seq = 2",
    ):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            life.database.run(lambda c, s=statement: c.execute(sa.text(s)))
    assert len(life.history("churn")) == 2
    assert life.verify("churn") is None


TAMPERED = {
    "UPDATE transitions SET reason = 'nicer' WHERE seq = 2": 2,
    "UPDATE transitions SET at = '2020-01-01T00:00:00.000000+00:00' WHERE seq = 3": 3,
    "UPDATE transitions SET evidence = '[]' WHERE seq = 1": 1,
    "UPDATE transitions SET hash = previous WHERE seq = 2": 2,
    "DELETE FROM transitions WHERE seq = 2": 2,
    "UPDATE transitions SET actor = 'nobody' WHERE seq = 4": 4,
}


@pytest.mark.parametrize("statement", TAMPERED)
def test_who_goes_around_the_database_is_found_out(statement: str, life: Lifecycle) -> None:
    grow(life, 4)
    postgres = life.database.engine.dialect.name == "postgresql"
    drop = (
        ["DROP FUNCTION transitions_append_only() CASCADE"]
        if postgres
        else ["DROP TRIGGER transitions_no_update", "DROP TRIGGER transitions_no_delete"]
    )
    with life.database.transaction() as connection:
        for text in (*drop, statement):
            connection.execute(sa.text(text))
    assert life.verify("churn") == TAMPERED[statement]


def race(url: str, rounds: int, who: int) -> None:
    life = Lifecycle(Database(url), ManualClock())
    won = 0
    while won < rounds:
        before = life.last("churn")
        number = 1 if before is None else before.seq + 1
        try:
            life.commit(before, "promote", steady(number), reason="race", actor=str(who))
            won += 1
        except Conflict:
            continue
    life.database.close()


@pytest.mark.slow
def test_four_processes_that_race_make_one_chain(life: Lifecycle) -> None:
    context = multiprocessing.get_context("fork")
    url = life.database.url
    workers = [context.Process(target=race, args=(url, 5, who)) for who in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    chain = life.history("churn")
    assert [link.route.live for link in chain] == list(range(1, 21))
    assert life.verify("churn") is None
    assert life.epoch() == 20


def commit_until_killed(url: str, failpoint: str) -> None:
    os.environ["PROMISE_FAILPOINT"] = failpoint
    grow(Lifecycle(Database(url), ManualClock()), 5)


POINTS = {
    "lifecycle.commit.before:3": 2,
    "lifecycle.commit.inserted:3": 2,
    "lifecycle.commit.epoch:3": 2,
    "lifecycle.commit.after:3": 3,
}


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_leaves_a_transition_whole_or_absent(point: str, life: Lifecycle) -> None:
    worker = multiprocessing.get_context("fork").Process(
        target=commit_until_killed, args=(life.database.url, point)
    )
    worker.start()
    worker.join(60)
    assert worker.exitcode == -9
    chain = life.history("churn")
    assert [link.route.live for link in chain] == list(range(1, POINTS[point] + 1))
    assert life.verify("churn") is None
    assert life.epoch() == len(chain)
    # and it goes on from there
    life.commit(chain[-1], "promote", steady(9), reason="after the kill")
    assert life.route("churn").live == 9


_EARLY = datetime(2000, 1, 1)  # noqa: DTZ001
moments = st.datetimes(min_value=_EARLY, timezones=st.just(UTC))
routes = st.builds(
    Route,
    name=st.just("churn"),
    stage=st.sampled_from(["steady", "shadow", "canary", "bake"]),
    live=st.integers(1, 9),
    standby=st.none() | st.integers(1, 9),
    candidate=st.none() | st.integers(1, 9),
    step=st.integers(0, 3),
    share=st.integers(0, BUCKETS),
    salt=st.text(max_size=4),
    since=st.none() | moments,
    held=st.text(max_size=4),
    plan=st.builds(RolloutPlan, shadow=st.integers(0, 9), bake_s=st.floats(0, 1e6)),
    revision=st.integers(0, 9),
    owed=st.dictionaries(st.text(max_size=3), moments, max_size=2),
    experiment=st.dictionaries(st.integers(1, 9), st.integers(0, BUCKETS), max_size=2),
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no finding
@given(routes)
def test_a_route_comes_back_from_its_json(route: Route) -> None:
    assert Route.from_json(route.to_json()) == route
    assert all(route.role(version) is not None for version in route.loaded)


@pytest.mark.slow
@given(st.lists(st.integers(-7200, 7200), min_size=1, max_size=8), st.integers(-8000, 60_000))
def test_the_past_is_what_was_committed_by_then(steps_s: list[int], asked_s: int) -> None:
    clock = ManualClock()
    life = Lifecycle(Database("sqlite://"), clock)
    made: list[Transition] = []
    for number, seconds in enumerate(steps_s, start=1):
        clock.advance(seconds)
        before = made[-1] if made else None
        made.append(life.commit(before, "promote", steady(number), reason=str(number)))
    moment = clock.start + timedelta(seconds=asked_s)
    assert life.at("churn", moment) == next((m for m in reversed(made) if m.at <= moment), None)
    assert [m.at for m in made] == sorted(m.at for m in made)
    assert life.verify("churn") is None
    assert life.epoch() == len(made)
    life.database.close()
