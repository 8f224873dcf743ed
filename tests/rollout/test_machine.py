"""The rollout as a pure function: known stories, then invariants after random events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from promise.errors import ConfigError
from promise.promises.spec import ModelFile, Promise, RolloutPlan
from promise.promises.verdict import Status, Verdict
from promise.registry.route import BUCKETS, Route
from promise.rollout.machine import (
    Change,
    Deploy,
    Experiment,
    Hold,
    Look,
    RollBack,
    broken_invariants,
    step,
    waits_for,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
DECLARED = ModelFile(
    promises=(
        Promise("errors", "request_errors", at_most=0.01, on_break=("rollback",)),
        Promise("quality", "accuracy", at_least=0.7, due="gate", on_break=("hold",)),
        Promise("recall", "f1", at_least=0.5, due="live", on_break=("retrain",), grace_s=500.0),
    )
)
PLAN = RolloutPlan(shadow=10, steps=(10, 100), bake_s=100.0)
GATED = frozenset({"quality"})


def verdict(key: str, status: Status, shared: bool = False) -> Verdict:
    return Verdict(key, "any", status, 0.5, n=10, shared=shared)


def deploy(version: int, at: datetime = START, **more: Any) -> Deploy:
    return Deploy(version, **{"plan": PLAN, "revision": 1, "salt": str(version), "at": at,
                              "owed": {}, **more})  # fmt: skip


def look(at: datetime = START, *, requests: int = 50, **verdicts: Any) -> Look:
    return Look(at, DECLARED, requests=requests, kept=GATED, **verdicts)


def moved(route: Route, *events: Any) -> Route:
    for event in events:
        change = step(route, event)
        assert change is not None
        route = change.route
        assert broken_invariants(route) == []
    return route


KEPT = (verdict("errors", "KEPT"),)
UNKNOWN = (verdict("errors", "UNKNOWN"),)
BROKEN = (verdict("errors", "BROKEN"),)
STEADY = moved(Route("m"), deploy(1))
SHADOW = moved(STEADY, deploy(2))
CANARY = moved(SHADOW, look())
BAKE = moved(CANARY, look(candidate=KEPT), look(candidate=KEPT))


def test_a_rollback_ends_an_experiment_whole() -> None:
    two = moved(STEADY, deploy(2, forced=True, reason="r"))
    split = moved(two, Experiment(START, {2: 50.0, 3: 25.0}, "s"))
    for event in (RollBack(START, "odd"), look(live=BROKEN)):
        change = step(split, event)
        assert change is not None
        assert (change.route.live, change.route.experiment) == (1, {})
        assert "the experiment ends" in change.reason
    first = moved(STEADY, Experiment(START, {2: 50.0}, "s"))
    change = step(first, RollBack(START, "odd"))
    assert change is not None
    assert (change.kind, change.route.live, change.route.experiment) == ("rollback", 1, {})


def test_an_experiment_of_the_live_version_alone_is_none() -> None:
    split = moved(STEADY, Experiment(START, {1: 50.0, 2: 50.0}, "s"))
    change = step(split, look(experiment={2: BROKEN}))
    assert change is not None
    assert change.route.experiment == {}
    assert "nobody is left to compare with" in change.reason


def test_a_version_goes_from_shadow_by_shares_and_bake_to_live() -> None:
    assert (SHADOW.stage, SHADOW.share, SHADOW.live, SHADOW.candidate) == ("shadow", 0, 1, 2)
    assert (CANARY.stage, CANARY.step, CANARY.share) == ("canary", 0, 1000)
    second = moved(CANARY, look(candidate=KEPT))
    assert (second.stage, second.step, second.share) == ("canary", 1, BUCKETS)
    assert (BAKE.stage, BAKE.share, BAKE.live) == ("bake", BUCKETS, 1)
    assert step(BAKE, look(START + timedelta(seconds=99), candidate=KEPT)) is None
    end = START + timedelta(seconds=100)
    live = moved(BAKE, look(end, candidate=KEPT))
    assert (live.stage, live.live, live.standby, live.share) == ("steady", 2, 1, 0)
    assert live.owed == {"recall": end + timedelta(seconds=500)}


def test_the_standby_goes_once_nothing_is_owed_and_the_bake_is_over() -> None:
    end = START + timedelta(seconds=100)
    live = moved(BAKE, look(end, candidate=KEPT))
    after = end + timedelta(seconds=100)
    assert step(live, look(after, live=KEPT)) is None
    early = step(live, look(end, live=(verdict("recall", "KEPT"),)))
    assert early is not None
    assert (early.kind, early.route.owed, early.route.standby) == ("advance", {}, 1)
    released = step(early.route, look(after, live=KEPT))
    assert released is not None
    assert (released.kind, released.route.standby) == ("release", None)
    late = step(live, look(end + timedelta(seconds=500), live=KEPT))
    assert late is not None
    assert (late.kind, late.route.owed) == ("release", {})
    assert "grace of recall ended" in late.reason


def test_unknown_neither_promotes_nor_rolls_back() -> None:
    assert step(CANARY, look(candidate=UNKNOWN)) is None
    assert step(CANARY, look()) is None
    assert step(SHADOW, look(requests=9)) is None


def test_a_step_without_a_request_does_not_advance() -> None:
    nothing_due = ModelFile(promises=(Promise("recall", "f1", at_least=0.5, due="live"),))
    assert step(CANARY, Look(START, nothing_due, requests=0)) is None
    assert step(CANARY, Look(START, nothing_due, requests=1)) is not None


def test_a_gate_promise_stands_on_the_gate_until_newer_evidence() -> None:
    without_gate = Look(START, DECLARED, KEPT, requests=50)
    assert step(CANARY, without_gate) is None
    assert waits_for(CANARY, without_gate) == "proof of quality"
    newer = (*KEPT, verdict("quality", "KEPT"))
    assert step(CANARY, replace(without_gate, candidate=newer)) is not None
    broken = (*KEPT, verdict("quality", "BROKEN"))
    held = step(CANARY, look(candidate=broken))
    assert held is not None
    assert (held.kind, held.route.stage) == ("hold", "canary")


@pytest.mark.parametrize("route", [SHADOW, CANARY, BAKE], ids=lambda r: r.stage)
@pytest.mark.parametrize("held", ["", "by a person"])
def test_a_breach_rolls_back_in_every_stage_even_when_held(route: Route, held: str) -> None:
    late = START + timedelta(days=1)
    found = step(replace(route, held=held), look(late, candidate=BROKEN))
    assert found is not None
    assert found.kind == "rollback"
    assert (found.route.live, found.route.candidate, found.route.stage) == (1, None, "steady")


@pytest.mark.parametrize("route", [SHADOW, CANARY, BAKE], ids=lambda r: r.stage)
def test_a_breach_that_stable_shares_holds(route: Route) -> None:
    shared = (verdict("errors", "BROKEN", shared=True),)
    found = step(route, look(START + timedelta(days=1), candidate=shared))
    assert found is not None
    assert found.kind == "hold"
    assert "m@1 breaks it too" in found.reason
    assert step(found.route, look(START + timedelta(days=1), candidate=shared)) is None
    resumed = step(found.route, Hold(START + timedelta(days=2), "it was the network", held=False))
    assert resumed is not None
    assert resumed.route.since == START + timedelta(days=2)


def test_a_breach_that_only_alerts_blocks_the_advance() -> None:
    seen = (*KEPT, verdict("recall", "BROKEN"))
    assert step(CANARY, look(candidate=seen)) is None
    assert "broken promises: recall" in waits_for(CANARY, look(candidate=seen))


def test_live_falls_back_to_its_standby_and_stays_without_one() -> None:
    live = moved(BAKE, look(START + timedelta(seconds=100), candidate=KEPT))
    back = step(live, look(START + timedelta(seconds=101), live=BROKEN))
    assert back is not None
    assert (back.kind, back.route.live, back.route.standby) == ("rollback", 1, None)
    assert step(back.route, look(START + timedelta(seconds=102), live=BROKEN)) is None
    under_way = moved(live, deploy(3))
    dropped = step(under_way, look(live=BROKEN))
    assert dropped is not None
    assert (dropped.route.live, dropped.route.candidate) == (1, None)
    both = step(under_way, look(live=BROKEN, candidate=(verdict("errors", "BROKEN", True),)))
    assert both is not None
    assert both.kind == "hold"


def test_a_person_rolls_back() -> None:
    dropped = step(CANARY, RollBack(START, "it looks odd"))
    assert dropped is not None
    assert (dropped.route.live, dropped.route.candidate) == (1, None)
    live = moved(BAKE, look(START + timedelta(seconds=100), candidate=KEPT))
    back = moved(live, RollBack(START, "customers call"))
    assert (back.live, back.standby) == (1, None)
    with pytest.raises(ConfigError, match="no version to go back to"):
        step(back, RollBack(START, "again"))
    assert moved(back, RollBack(START, "after all", to=2)).live == 2
    with pytest.raises(ConfigError, match="is live already"):
        step(back, RollBack(START, "", to=1))
    with pytest.raises(ConfigError, match="on its way"):
        step(CANARY, RollBack(START, "", to=2))


def test_forced_goes_live_at_once_and_keeps_the_old_version_loaded() -> None:
    forced = step(CANARY, deploy(3, forced=True, reason="hot fix"))
    assert forced is not None
    assert forced.kind == "promote"
    assert (forced.route.live, forced.route.standby, forced.route.candidate) == (3, 1, None)
    assert "hot fix" in forced.reason


@pytest.mark.parametrize(
    ("route", "event", "words"),
    [
        (STEADY, deploy(1), "m@1 is live already"),
        (CANARY, deploy(1), "promise rollback m"),
        (CANARY, deploy(3), "m@2 is on its way"),
        (CANARY, deploy(2), "m@2 is on its way"),
        (CANARY, Experiment(START, {1: 50, 3: 50}, "s"), "is on its way"),
        (STEADY, Experiment(START, {1: 60, 3: 50}, "s"), "at most 100 %"),
        (STEADY, Experiment(START, {3: 0}, "s"), "above 0 %"),
        (Route("m"), Experiment(START, {3: 1}, "s"), "no live version"),
        (Route("m"), RollBack(START, ""), "nothing is live yet"),
        (Route("m"), Hold(START, ""), "no version is live yet"),
    ],
)
def test_what_cannot_be_is_refused_in_words(route: Route, event: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        step(route, event)


def test_an_experiment_splits_lastingly_and_loses_a_broken_version() -> None:
    split = moved(STEADY, Experiment(START, {2: 30.0, 3: 20.0}, "s"))
    assert split.experiment == {2: 3000, 3: 2000}
    assert split.loaded == (1, 2, 3)
    with pytest.raises(ConfigError, match="runs an experiment"):
        step(split, deploy(4))
    assert step(split, Experiment(START, {2: 30.0, 3: 20.0}, "t")) is None
    left = step(split, look(experiment={3: BROKEN, 2: KEPT}))
    assert left is not None
    assert left.route.experiment == {2: 3000}
    assert moved(left.route, Experiment(START, {}, "u")).experiment == {}


STATUSES = st.sampled_from(["KEPT", "BROKEN", "UNKNOWN"])
VERDICTS = st.lists(
    st.builds(verdict, st.sampled_from(["errors", "quality", "recall", "gone"]), STATUSES,
              st.booleans()),
    max_size=4, unique_by=lambda v: v.promise,
).map(tuple)  # fmt: skip


class Rollouts(RuleBasedStateMachine):
    """Any events in any order leave a sound route, and no breach passes unnoticed."""

    @initialize()
    def begin(self) -> None:
        self.at, self.route, self.newest = START, Route("m"), 0

    def apply(self, event: Any) -> Change | None:
        before = self.route
        try:
            change = step(before, event)
        except ConfigError:
            assert not isinstance(event, Look)
            return None
        assert self.route == before
        if change is not None:
            assert change.reason
            self.route = change.route
        return change

    @rule(version=st.integers(1, 6), forced=st.booleans(), shadow=st.sampled_from([0, 10]))
    def deploy(self, version: int, forced: bool, shadow: int) -> None:
        plan = replace(PLAN, shadow=shadow)
        change = self.apply(deploy(version, self.at, plan=plan, forced=forced, reason="r"))
        if change is not None:
            assert version in self.route.loaded
            assert forced or change.kind == "deploy" or self.newest == 0
            self.newest = version

    @rule(candidate=VERDICTS, live=VERDICTS, seconds=st.sampled_from([0, 60, 200, 900]),
          requests=st.sampled_from([0, 5, 50]), kept=st.booleans())  # fmt: skip
    def look(
        self,
        candidate: tuple[Verdict, ...],
        live: tuple[Verdict, ...],
        seconds: int,
        requests: int,
        kept: bool,
    ) -> None:
        self.at += timedelta(seconds=seconds)
        before, kept_before = self.route, GATED if kept else frozenset()
        event = Look(self.at, DECLARED, candidate, live, requests, kept_before)
        change = self.apply(event)
        broken = {v.promise for v in candidate if v.status == "BROKEN" and v.promise != "gone"}
        if before.candidate is not None and broken:
            alone = {v.promise for v in candidate if v.status == "BROKEN" and not v.shared}
            if "errors" in alone:
                assert change is not None
                assert change.kind == "rollback"
                assert self.route.candidate is None
            if change is not None:
                assert change.kind in ("rollback", "hold")
            if {"errors", "quality"} & broken:
                assert change is not None or before.held
        if change is not None and change.kind in ("advance", "promote") and before.candidate:
            assert not broken
            assert not before.held
            proven = {v.promise for v in candidate if v.status == "KEPT"}
            if before.stage == "canary":
                assert "errors" in proven
                assert "quality" in proven or kept
        if change is not None and change.kind == "rollback":
            assert any(v.status == "BROKEN" for v in (*candidate, *live))

    @rule(to=st.one_of(st.none(), st.integers(1, 6)))
    def roll_back(self, to: int | None) -> None:
        before = self.route
        change = self.apply(RollBack(self.at, "r", to))
        if change is not None and before.candidate is not None and to is None:
            assert self.route.live == before.live

    @rule(held=st.booleans())
    def hold(self, held: bool) -> None:
        self.apply(Hold(self.at, "r", held))

    @precondition(lambda self: self.route.live is not None)
    @rule(split=st.dictionaries(st.integers(1, 6), st.sampled_from([10.0, 50.0]), max_size=3))
    def experiment(self, split: dict[int, float]) -> None:
        self.apply(Experiment(self.at, split, "s"))

    @invariant()
    def sound(self) -> None:
        assert broken_invariants(self.route) == []
        if self.newest:
            assert self.route.live is not None


Rollouts.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestRollouts = Rollouts.TestCase
