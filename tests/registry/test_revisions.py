"""Promises in revisions: the same again adds nothing, and less than before needs a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promise.clock import ManualClock
from promise.errors import ConfigError, DataError
from promise.promises.spec import STAGES, ModelFile, Promise, RolloutPlan
from promise.registry.lifecycle import Lifecycle
from promise.registry.revisions import Revisions, loosened
from promise.state.database import Database

SPEED = Promise("speed", "latency_p99", at_most=12.0, on_break=("rollback",))
QUALITY = Promise("quality", "accuracy", at_least=0.75, due="gate", on_break=("retrain", "alert"))
DECLARED = ModelFile(name="churn", promises=(SPEED, QUALITY), experiment={3: 50.0})


def with_(speed: Promise = SPEED, quality: Promise = QUALITY) -> ModelFile:
    return replace(DECLARED, promises=(speed, quality))


STRICTER = {
    "same": DECLARED,
    "lower bound": with_(replace(SPEED, at_most=10.0)),
    "higher bound": with_(quality=replace(QUALITY, at_least=0.8)),
    "sooner": with_(replace(SPEED, due="gate")),
    "one more": replace(DECLARED, promises=(*DECLARED.promises, replace(SPEED, key="more"))),
    "renamed": with_(replace(SPEED, key="quick")),
    "stronger": with_(quality=replace(QUALITY, on_break=("rollback",))),
    "warned": with_(replace(SPEED, warn=9.0)),
    "another plan": replace(DECLARED, rollout=RolloutPlan(shadow=0)),
    "shorter grace": with_(replace(SPEED, grace_s=1.0)),
}

LOOSER = {
    "speed: at_most 12 becomes 13": with_(replace(SPEED, at_most=13.0)),
    "quality: at_least 0.75 becomes 0.7": with_(quality=replace(QUALITY, at_least=0.7)),
    "speed: dropped": replace(DECLARED, promises=(QUALITY,)),
    "speed: due canary becomes live": with_(replace(SPEED, due="live")),
    "speed: a breach no longer leads to rollback": with_(replace(SPEED, on_break=("hold",))),
    "quality: a breach no longer leads to retrain": with_(
        quality=replace(QUALITY, on_break=("alert",))
    ),
    "speed: latency_p99 becomes latency_p50": with_(replace(SPEED, that="latency_p50")),
    "speed: its bound turns around": with_(replace(SPEED, at_most=None, at_least=12.0)),
    "speed: grace 604800 s becomes 700000 s": with_(replace(SPEED, grace_s=700_000.0)),
}


@pytest.fixture
def revisions(database: Database) -> Revisions:
    return Revisions(database, ManualClock())


@pytest.mark.parametrize("case", STRICTER)
def test_asking_as_much_or_more_is_not_loosening(case: str) -> None:
    assert loosened(DECLARED, STRICTER[case]) == []


@pytest.mark.parametrize("said", LOOSER)
def test_asking_less_is_loosening_and_is_said(said: str) -> None:
    assert loosened(DECLARED, LOOSER[said]) == [said]


def test_revisions_count_up_and_come_back(revisions: Revisions) -> None:
    before = revisions.current("churn")
    assert (before.number, before.declared.promises[0].that) == (0, "request_errors")
    assert revisions.get("churn", 0) == before
    epoch = Lifecycle(revisions.database, revisions.clock).epoch()
    first = revisions.declare("churn", DECLARED)
    assert (first.number, revisions.declare("churn", DECLARED)) == (1, first)
    assert Lifecycle(revisions.database, revisions.clock).epoch() == epoch + 1
    second = revisions.declare("churn", with_(replace(SPEED, at_most=10.0)))
    assert revisions.current("churn") == second
    assert [revisions.get("churn", number) for number in (1, 2)] == [first, second]
    assert first.declared == DECLARED
    with pytest.raises(DataError, match="no revision 7; the newest is 2"):
        revisions.get("churn", 7)


def test_loosening_needs_a_reason_that_is_kept(revisions: Revisions) -> None:
    revisions.declare("churn", DECLARED)
    slower = with_(replace(SPEED, at_most=20.0))
    with pytest.raises(ConfigError, match=r"at_most 12 becomes 20\); say why"):
        revisions.declare("churn", slower)
    assert revisions.current("churn").number == 1
    assert revisions.declare("churn", slower, reason="a bigger model").reason == "a bigger model"
    assert [revision.number for revision in revisions.all("churn")] == [1, 2]


promises = st.builds(
    Promise,
    key=st.just("speed"),
    that=st.just("latency_p99"),
    at_most=st.floats(1, 100),
    due=st.sampled_from(STAGES),
    on_break=st.sets(st.sampled_from(["rollback", "hold", "alert", "retrain"])).map(tuple),
    grace_s=st.floats(0, 1e6),
)


@given(promises, promises)
def test_going_back_and_forth_loosens_in_one_direction_at_least(a: Promise, b: Promise) -> None:
    there = loosened(ModelFile(promises=(a,)), ModelFile(promises=(b,)))
    back = loosened(ModelFile(promises=(b,)), ModelFile(promises=(a,)))
    differs = (a.at_most, a.due, a.grace_s) != (b.at_most, b.due, b.grace_s)
    assert bool(there or back) or not differs
    tightened = replace(a, at_most=min(a.bound, b.bound), grace_s=min(a.grace_s, b.grace_s))
    assert loosened(ModelFile(promises=(a,)), ModelFile(promises=(tightened,))) == []
