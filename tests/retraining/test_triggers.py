"""What asks for a retraining: known answers, and that a failed one never loops."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promise.retraining.runs import CONCLUDED, Kind, Run, State
from promise.retraining.triggers import (
    FAILED_S,
    LENIENT_S,
    Facts,
    due,
    lenient_until,
    outlook,
    resting_until,
)

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
TRAINED = NOW - timedelta(hours=1)
EVERYTHING = {"every_rows": 200, "schedule": "sun 02:00", "on_drift": True}


def facts(**given: object) -> Facts:
    told = {"retrain": EVERYTHING, "live": 1, "trained_at": TRAINED, "declared_at": TRAINED,
            "new_labels": 1}  # fmt: skip
    return Facts("churn", NOW, **{**told, **given})  # type: ignore[arg-type]


def ended(state: State, ago_s: float, kind: Kind = "rows", live: int = 1) -> Run:
    at = NOW - timedelta(seconds=ago_s)
    return Run("churn", 1, kind, "", state, at, live, 0, ended=at)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"new_labels": 199}, None),
        ({"new_labels": 200}, "rows"),
        ({"trained_at": NOW - timedelta(days=5)}, None),  # declared after that Sunday
        ({"trained_at": NOW - timedelta(days=5), "declared_at": None}, "schedule"),
        ({"drifted": ("drift",)}, "drift"),
        ({"drifted": ("drift",), "retrain": {}}, None),
        ({"broken": ("quality is BROKEN",), "retrain": {}}, "broken"),
        ({"asked": "by ann", "retrain": {}}, "hand"),
        ({"asked": "by ann", "candidate": 2}, None),
        ({"asked": "by ann", "live": None}, None),
    ],
)
def test_each_asks_by_itself(given: dict[str, object], kind: Kind | None) -> None:
    found = due(facts(**given))
    assert (None if found is None else found.kind) == kind


def test_the_strongest_decides_and_all_are_told() -> None:
    found = due(facts(drifted=("drift",), broken=("quality is BROKEN",), new_labels=300))
    assert found is not None
    assert found.kind == "broken"
    assert found.lenient
    assert found.reason == (
        "quality is BROKEN; the data drifted: drift is broken; "
        "300 new labelled rows (asked: every 200)"
    )
    assert not due(facts(asked="by ann", new_labels=300)).lenient  # type: ignore[union-attr]


def test_the_schedule_waits_for_something_new() -> None:
    late = facts(trained_at=NOW - timedelta(days=9), declared_at=None, new_labels=0,
                 retrain={"schedule": "daily 02:00"})  # fmt: skip
    assert due(late) is None
    assert outlook(late) == (
        "with the next labelled row (the schedule daily 02:00 has come, and there is nothing new "
        "to learn from)"
    )
    assert due(replace(late, new_labels=1)) is not None
    assert due(replace(late, asked="by ann")) is not None


def test_a_run_answers_the_schedule() -> None:
    late = facts(retrain={"schedule": "daily 02:00"}, trained_at=NOW - timedelta(days=9),
                 declared_at=None)  # fmt: skip
    assert due(late) is not None
    assert due(replace(late, runs=(ended("kept", 3600.0),))) is None
    assert due(replace(late, runs=(ended("kept", 86_400.0),))) is not None
    assert due(replace(late, runs=(ended("failed", 3600.0),))) is not None


@given(failures=st.integers(1, 40), ago_s=st.floats(0, 3e6), hand=st.booleans())
def test_failures_rest_twice_as_long_each_time(failures: int, ago_s: float, hand: bool) -> None:
    runs = tuple(ended("failed", ago_s + i) for i in range(failures))
    asking = facts(new_labels=500, runs=runs, asked="by ann" if hand else None)
    wait_s = min(86_400.0, FAILED_S * 2 ** (failures - 1))
    assert resting_until(asking) == NOW - timedelta(seconds=ago_s) + timedelta(seconds=wait_s)
    found = due(asking)
    if resting_until(asking) <= NOW:
        assert found is not None
        assert found.kind == ("hand" if hand else "rows")
    else:
        assert (found is not None) == hand


@pytest.mark.parametrize("kind", ["drift", "hand", "schedule", "rows"])
def test_a_version_whose_gate_came_to_no_end_asks_again_after_a_rest(kind: Kind) -> None:
    def at(ago_s: float) -> Facts:
        waiting = replace(ended("failed", ago_s, kind), version=2, reason="as before")
        return facts(retrain={}, new_labels=0, runs=(waiting,))

    assert at(FAILED_S - 1).waiting is not None
    assert due(at(FAILED_S - 1)) is None
    assert outlook(at(FAILED_S - 1)).endswith("UTC again: as before")
    found = due(at(FAILED_S))
    assert found is not None
    assert (found.kind, found.reason) == (kind, "as before")
    # another run since, or another live version, leaves nothing to wait for
    later = replace(at(FAILED_S), runs=(ended("kept", 10.0, kind), *at(FAILED_S).runs))
    assert due(later) is None
    assert replace(at(FAILED_S), live=2).waiting is None


def test_a_person_is_heard_while_a_version_waits() -> None:
    waiting = replace(ended("failed", 1.0), version=2, reason="as before")
    found = due(facts(retrain={}, asked="by ann", runs=(waiting,)))
    assert found is not None
    assert (found.kind, found.reason) == ("hand", "by ann")


def test_a_success_or_another_live_version_ends_the_rest() -> None:
    failed = (ended("failed", 1.0),) * 9
    assert due(facts(new_labels=200, runs=failed)) is None
    assert due(facts(new_labels=200, runs=failed, live=2)) is not None
    runs = (ended("failed", 400.0), ended("kept", 900.0), *failed)
    assert due(facts(new_labels=200, runs=runs)) is not None


def test_one_that_was_killed_begins_at_once_and_then_rests() -> None:
    once = (ended("interrupted", 1.0),)
    assert due(facts(new_labels=200, runs=once)) is not None
    assert due(facts(new_labels=200, runs=once * 2)) is None
    assert resting_until(facts(runs=once * 3)) == NOW + timedelta(seconds=2 * FAILED_S - 1)


@given(
    tried=st.integers(1, 12),
    ago_s=st.floats(0, 4e6),
    kind=st.sampled_from(["broken", "drift"]),
    state=st.sampled_from(CONCLUDED),
)
def test_a_promise_that_stays_broken_asks_ever_more_seldom(
    tried: int, ago_s: float, kind: Kind, state: State
) -> None:
    runs = tuple(ended(state, ago_s, kind) for _ in range(tried))
    asking = facts(broken=("quality is BROKEN",), drifted=("drift",), runs=runs)
    wait_s = min(32 * 86_400.0, LENIENT_S * 2 ** (tried - 1))
    assert (due(asking) is not None) == (ago_s >= wait_s)
    assert due(replace(asking, new_labels=200)) is not None  # others may ask meanwhile
    assert lenient_until(replace(asking, live=7)) == NOW


def test_the_outlook_is_told_in_words() -> None:
    assert outlook(facts(new_labels=80)) == (
        "after 120 more labelled rows or at 2026-03-08 02:00 UTC or on drift"
    )
    assert outlook(facts(retrain={})).startswith("when somebody asks")
    assert outlook(facts(candidate=2)) == "not before churn@2 is live or dropped"
    assert outlook(facts(live=None)).startswith("never while nothing is live")
    assert outlook(facts(asked="by ann")) == "now: by ann"
    resting = facts(new_labels=200, runs=(ended("failed", 0.0),))
    assert outlook(resting) == (
        "at 2026-03-04 12:05 UTC again: 200 new labelled rows (asked: every 200)"
    )
