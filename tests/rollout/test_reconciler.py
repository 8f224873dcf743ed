"""From evidence to transitions, on SQLite and Postgres, with a clock that the test moves."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from promise.errors import ConfigError, StateError
from promise.registry.lifecycle import Conflict
from promise.rollout import deploy as deploying
from promise.rollout.deploy import GateRefused, deploy, hold, resume, rollback
from promise.rollout.machine import broken_invariants
from promise.rollout.reconciler import LEASE, LEASE_S
from promise.rollout.status import status, statuses
from promise.rollout.wishes import Wishes

pytestmark = pytest.mark.usefixtures("no_load")


def live(house: Any) -> None:
    """Bring version 2 all the way."""
    for arm in ("shadow", "canary", "canary"):
        house.good(arm)
        assert len(house.look()) == 1
    house.clock.advance(60)
    assert [link.kind for link in house.look()] == ["promote"]


@pytest.mark.slow
def test_a_good_version_becomes_live_step_by_step(any_house: Any) -> None:
    house = any_house
    house.begin()
    assert house.look() == []
    route = house.lifecycle.route("churn")
    assert (route.stage, route.live, route.candidate) == ("shadow", 1, 2)
    house.good("shadow", 300)
    assert house.look() == []
    house.good("shadow", 300)
    assert [link.route.share for link in house.look()] == [1000]
    assert house.look() == [], "a step stands on its own evidence"
    house.good("canary")
    assert [link.route.share for link in house.look()] == [10_000]
    house.good("canary")
    assert [link.route.stage for link in house.look()] == ["bake"]
    assert house.look() == []
    house.clock.advance(60)
    (promoted,) = house.look()
    assert (promoted.route.live, promoted.route.standby) == (2, 1)
    assert set(promoted.route.owed) == {"quality"}
    assert promoted.evidence["verdicts"]["2"]
    assert house.lifecycle.verify("churn") is None
    house.clock.advance(60)
    assert house.look() == [], "quality is owed still"
    house.labelled(2, 400, 0.9)
    (released,) = house.look()
    assert (released.kind, released.route.standby, released.route.owed) == ("release", None, {})
    assert all(broken_invariants(link.route) == [] for link in house.lifecycle.history("churn"))
    assert house.kinds() == [
        "promote", "deploy", "advance", "advance", "advance", "promote", "release",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_breach_brings_the_old_version_back_from_every_stage(house: Any, steps: int) -> None:
    house.begin()
    for arm in ("shadow", "canary", "canary")[:steps]:
        house.good(arm)
        assert len(house.look()) == 1
    arm = "shadow" if steps == 0 else "canary"
    house.seen(2, arm, 200, 40, over={12.0: 0})
    (back,) = house.look()
    assert (back.kind, back.route.live, back.route.candidate) == ("rollback", 1, None)
    assert "40 of 200 requests failed" in back.reason
    assert ("churn", 2, "errors", "BROKEN") in house.alerts.told
    assert house.look() == []


def test_slow_answers_are_a_breach_too(house: Any) -> None:
    house.begin()
    house.seen(2, "shadow", 600, 0, over={12.0: 60})
    (back,) = house.look()
    assert back.kind == "rollback"
    assert "took longer than 12 ms" in back.reason


def test_trouble_that_the_stable_version_shares_holds(house: Any) -> None:
    house.begin()
    house.good("shadow")
    house.look()
    start = house.clock.now()
    house.seen(2, "canary", 300, 60, over={12.0: 0})
    house.evidence.add_counts(
        "other", "churn", 1, "live", start + timedelta(seconds=10), 2700, 540, {12.0: 0}
    )
    (held,) = house.look()
    assert (held.kind, held.route.candidate) == ("hold", 2)
    assert "churn@1 breaks it too" in held.reason
    assert house.look() == []
    made = deploy("churn@2", reason="the network is back", **house.given)
    assert made.transition.kind == "resume"
    assert made.gate is None
    house.good("canary", 50)
    assert house.look() == []
    assert house.look() == [], "what led to the hold counts no more"
    house.good("canary")
    assert [link.kind for link in house.look()] == ["advance"]


@pytest.mark.slow
def test_live_is_watched_and_falls_back_to_its_standby(any_house: Any) -> None:
    house = any_house
    house.begin()
    live(house)
    house.seen(2, "live", 5000, 10, over={12.0: 0})
    assert house.look() == []
    house.seen(2, "live", 400, 80, over={12.0: 0})
    (back,) = house.look()
    assert (back.kind, back.route.live, back.route.standby) == ("rollback", 1, None)
    assert "back to churn@1" in back.reason
    # somebody who reacts a moment later must not bring the broken version back
    with pytest.raises(ConfigError, match="no version to go back to: churn@2: errors is broken"):
        rollback("churn", **house.given)
    deploy("churn@2", now=True, reason="mended outside", **house.given)
    assert rollback("churn", **house.given).route.live == 1
    assert rollback("churn", **house.given).route.live == 2  # what a person took out, a person may


def test_a_broken_live_promise_asks_for_retraining_once(house: Any) -> None:
    house.begin()
    live(house)
    house.labelled(2, 800, 0.3)
    assert house.look() == []
    wishes = Wishes(house.registry.database, house.clock)
    assert [(w.name, w.what) for w in wishes.open()] == [("churn", "retrain")]
    assert house.alerts.told.count(("churn", 2, "quality", "BROKEN")) == 1
    house.look()
    assert house.alerts.told.count(("churn", 2, "quality", "BROKEN")) == 1
    house.another().look()
    assert house.alerts.told.count(("churn", 2, "quality", "BROKEN")) == 2, "after a kill: again"
    assert len(wishes.open()) == 1


def test_drift_is_judged_on_live_rows(house: Any) -> None:
    drift = 'drift = { that = "psi", at_most = 0.1, of = "plan" }\n'
    house.begin(house.declared.replace("[rollout]", drift + "[rollout]"))
    counts = {"bins": [3000, 10, 10], "unseen": 0, "missing": 0}
    house.evidence.observe("churn", 1, "psi", "plan:1", {"feature": "plan", "counts": counts})
    house.look()
    assert ("churn", 1, "drift", "BROKEN") in house.alerts.told


@pytest.mark.slow
def test_a_person_holds_resumes_and_rolls_back(any_house: Any) -> None:
    house = any_house
    house.begin()
    hold("churn", reason="the weekend", **house.given)
    house.good("shadow")
    assert house.look() == []
    resume("churn", **house.given)
    house.good("shadow")
    assert len(house.look()) == 1
    assert rollback("churn", reason="not now", **house.given).route.candidate is None
    with pytest.raises(ConfigError, match="no version to go back to"):
        rollback("churn", **house.given)
    with pytest.raises(ConfigError, match="is not held"):
        resume("churn", **house.given)
    deploy("churn@2", now=True, reason="hot fix", **house.given)
    assert rollback("churn", **house.given).route.live == 1
    assert rollback("churn", reason="after all", **house.given).route.live == 2


def test_a_version_that_the_gate_refuses_stays_out(house: Any) -> None:
    house.register(), house.register("bad")
    text = house.declared.replace('due = "live"', 'due = "gate"')
    deploy("churn@1", config=house.config(text), **house.given)
    with pytest.raises(GateRefused, match=r"churn@2 does not pass the gate: quality\."):
        deploy("churn@2", **house.given)
    assert house.lifecycle.route("churn").candidate is None
    with pytest.raises(ConfigError, match="say why with --reason"):
        deploy("churn@2", now=True, **house.given)
    made = deploy("churn@2", now=True, reason="a drill", **house.given).transition
    assert made.route.live == 2
    assert made.evidence["gate"]["blocking"] == ["quality"]
    with pytest.raises(ConfigError, match="loosens"):
        deploy("churn@1", config=house.config(house.declared), **house.given)
    with pytest.raises(ConfigError, match="has 'churn'"):
        deploy("churn@1", config=house.config('name = "other"'), **house.given)


@pytest.mark.slow
def test_an_experiment_starts_ends_and_tells_differences(any_house: Any) -> None:
    house = any_house
    for what in ("good", "good", "bad"):
        house.register(what)
    deploy("churn@1", config=house.config(house.declared), **house.given)
    split = house.declared + '[experiment]\nsplit = { "2" = 30, "3" = 20 }\n'
    began = deploy("churn@1", config=house.config(split), **house.given).transition
    assert (began.kind, began.route.experiment) == ("experiment", {2: 3000, 3: 2000})
    with pytest.raises(ConfigError, match="runs an experiment"):
        deploy("churn@2", **house.given)
    for version, right, errors in ((1, 0.8, 5), (2, 0.8, 5), (3, 0.4, 4)):
        arm = "live" if version == 1 else "experiment"
        house.seen(version, arm, 2000, errors, over={12.0: 2})
        house.labelled(version, 400, right, arm=arm)
    assert [link.kind for link in house.look()] == ["advance"], "live kept what it owed"
    found = {(d.version, d.metric): d for d in status("churn", **house.given).experiment}
    assert found[2, "accuracy"].better is None
    assert found[3, "accuracy"].better is False
    accuracy = found[3, "accuracy"]
    assert accuracy.low < accuracy.value - accuracy.baseline < accuracy.high < 0
    assert found[3, "request_errors"].better is None
    assert found[3, "slower than 12 ms"].n == 2000
    house.seen(3, "experiment", 200, 60, over={12.0: 0})
    (left,) = house.look()
    assert left.route.experiment == {2: 3000}
    ended = deploy("churn@1", config=house.config(house.declared), **house.given).transition
    assert ended.route.experiment == {}


@pytest.mark.slow
def test_status_says_what_was_live_and_why(any_house: Any) -> None:
    house = any_house
    house.begin()
    before = house.clock.now()
    live(house)
    now = status("churn", **house.given)
    assert (now.route.live, now.verified) == (2, True)
    assert now.made_live is not None
    assert "it baked without a breach" in now.made_live.reason
    then = status("churn", before, **house.given)
    assert (then.route.live, then.route.stage) == (1, "shadow")
    assert then.verdicts[2], "the evidence of the transition that was in force"
    assert status("churn", "30s ago", **house.given).route.stage == "bake"
    assert [each.name for each in statuses(**house.given)] == ["churn"]
    assert now.to_json()["live"] == 2
    with pytest.raises(Exception, match="was not live at 2026-01-01"):
        status("churn", "2026-01-01", **house.given)
    with pytest.raises(Exception, match="did you mean 'churn'"):
        status("chrun", **house.given)
    with pytest.raises(ConfigError, match="is no moment"):
        status("churn", "yesterday-ish", **house.given)


def test_status_says_what_a_rollout_waits_for(house: Any) -> None:
    house.begin()
    house.good("shadow", 100)
    house.look()
    found = status("churn", **house.given)
    assert found.requests == 100
    assert found.waits_for == "400 more shadow requests"


@pytest.mark.slow
def test_one_of_several_is_active_and_a_lease_passes_on(any_house: Any) -> None:
    house = any_house
    house.begin()
    house.good("shadow")
    first, second = house.reconciler, house.another()
    assert len(first.tick()) == 1
    house.good("canary")
    house.clock.advance(-19)  # within the lease
    assert first.leases.take(LEASE, first.holder, LEASE_S)
    assert second.tick() == []
    house.clock.advance(LEASE_S + 20)
    assert len(second.tick()) == 1
    assert first.tick() == []
    house.clock.advance(-3600)  # a lease from the future is no lease
    assert first.leases.take(LEASE, first.holder, LEASE_S)


def test_a_route_that_changed_meanwhile_is_left_alone(
    house: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house.begin()
    house.good("shadow")
    judged = house.reconciler._judge

    def slowly(*given: Any) -> Any:
        found = judged(*given)
        rollback("churn", reason="while it was judged", **house.given)
        return found

    monkeypatch.setattr(house.reconciler, "_judge", slowly)
    with caplog.at_level(logging.WARNING):
        assert house.look() == []
    assert "look failed" in caplog.text
    assert house.kinds()[-1] == "rollback"


def test_a_person_and_a_look_at_once_are_both_heard(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.begin()
    commit, tries = deploying.Desk.commit, []
    append = house.lifecycle.__class__.append

    def once_in_between(self: Any, connection: Any, *given: Any, **more: Any) -> Any:
        if not tries:
            tries.append(1)
            raise Conflict("the reconciler was faster")
        return append(self, connection, *given, **more)

    monkeypatch.setattr(house.lifecycle.__class__, "append", once_in_between)
    assert rollback("churn", reason="now", **house.given).kind == "rollback"
    assert tries == [1]
    assert deploying.Desk.commit is commit


def test_names_at_rest_are_looked_at_rarely(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    house.register()
    deploy("churn@1", now=True, reason="first", **house.given)
    route = house.lifecycle.route("churn")
    house.lifecycle.commit(
        house.lifecycle.last("churn"), "advance",
        type(route)(**{**vars(route), "owed": {}}), reason="nothing is owed",
    )  # fmt: skip
    seen: list[str] = []
    look_at: Callable[..., Any] = house.reconciler._look_at

    def counting(name: str, route: Any) -> Any:
        seen.append(name)
        return look_at(name, route)

    monkeypatch.setattr(house.reconciler, "_look_at", counting)
    house.look(), house.look()
    assert seen == ["churn"]
    house.clock.advance(11)
    house.look()
    assert seen == ["churn", "churn"]


@pytest.mark.parametrize("error", [ConfigError("apps is damaged"), KeyError("unforeseen")])
def test_a_broken_name_does_not_keep_others_from_being_judged(
    house: Any, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.begin()
    house.register(name="apps")
    deploy("apps@1", **house.given)
    house.seen(2, "shadow", 200, 60, over={12.0: 0})
    judged = house.reconciler._judge

    def sometimes(name: str, *rest: Any) -> Any:
        if name == "apps":
            raise error
        return judged(name, *rest)

    monkeypatch.setattr(house.reconciler, "_judge", sometimes)
    assert [link.kind for link in house.look()] == ["rollback"]


def test_counts_are_read_once_and_late_ones_are_found(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.begin()
    hold("churn", reason="to count", **house.given)
    house.look()
    first = house.clock.now().replace(second=0, microsecond=0) + timedelta(seconds=60)
    house.clock.advance(600)
    for i in range(50):
        start = first + timedelta(seconds=10 * i)
        house.evidence.add_counts("s", "churn", 2, "shadow", start, 5, 0, {12.0: 0})
    judgement, store = house.reconciler.judgement, house.reconciler.judgement.store
    route = house.lifecycle.route("churn")
    read: list[int] = []
    counts = store.counts

    def counting(*given: Any) -> Any:
        found = counts(*given)
        read.append(len(found))
        return found

    monkeypatch.setattr(store, "counts", counting)
    whole = judgement.counted(route, 2, "shadow")
    house.evidence.add_counts("t", "churn", 2, "shadow", start, 7, 0, {12.0: 0})
    again = judgement.counted(route, 2, "shadow")
    assert (whole.requests, again.requests) == (250, 257)
    assert read[0] == 50
    assert read[1] < 15
    house.evidence.add_counts("t", "churn", 2, "shadow", first, 9, 0, {12.0: 0})
    house.clock.advance(601)
    assert judgement.counted(route, 2, "shadow").requests == 266
    for _ in range(30):  # old buckets become wider ones, and none is counted twice
        house.clock.advance(200)
        assert judgement.counted(route, 2, "shadow").requests == 266
    assert len(judgement.counted(route, 2, "shadow").buckets) < 12


def test_it_runs_until_stopped_and_outlives_a_database_that_is_away(
    house: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house.begin()
    house.seen(2, "shadow", 200, 60, over={12.0: 0})
    reconciler, tick, tries = house.reconciler, house.reconciler.tick, []

    def at_first_away() -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise StateError("the database is away")
        return tick()

    monkeypatch.setattr(reconciler, "tick", at_first_away)
    with caplog.at_level(logging.WARNING):
        running = threading.Thread(target=reconciler.run, kwargs={"every_s": 0.01})
        running.start()
        until = time.monotonic() + 60
        while house.lifecycle.route("churn").candidate and time.monotonic() < until:
            time.sleep(0.01)
        reconciler.stop()
        running.join(60)
    assert not running.is_alive()
    assert house.kinds()[-1] == "rollback"
    assert "the database cannot be used" in caplog.text
    assert house.another().leases.take(LEASE, "somebody else", LEASE_S), "the lease was given back"
