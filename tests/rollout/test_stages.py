"""Evidence counts for the stage in which rows were answered, also where clocks are moved."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from promise.clock import ManualClock
from promise.records.counters import Counters
from promise.records.publishing import CountsPublisher
from promise.rollout.deploy import hold, resume
from promise.rollout.status import status

pytestmark = pytest.mark.usefixtures("no_load")


def test_counts_from_before_a_stage_do_not_count(house: Any) -> None:
    house.begin()
    house.clock.advance(10)
    start = house.clock.now()
    house.clock.advance(1)
    house.evidence.add_counts("s", "churn", 2, "shadow", start, 600, 0, {12.0: 0})
    assert house.look()[0].route.stage == "canary"
    house.evidence.add_counts("s", "churn", 2, "canary", start, 2000, 0, {12.0: 0})
    assert house.look() == [], "the bucket was under way when this step began"
    house.evidence.add_counts(
        "s", "churn", 2, "canary", start + timedelta(seconds=2), 2000, 0, {12.0: 0}
    )
    house.clock.advance(3)
    (moved,) = house.another().look()
    assert moved.route.step == 1
    assert moved.evidence["requests"]["2"] == 2000


def test_labels_count_for_the_stage_in_which_the_rows_were_answered(house: Any) -> None:
    quality = 'quality = { that = "accuracy", at_least = 0.7, due = "canary", on_break = "hold" }\n'
    promises, _, rollout = house.declared.partition("quality")
    house.begin(promises + quality + rollout.partition("\n")[2])
    before = house.clock.now()
    house.labelled(2, 600, 0.2, "old", arm="shadow", at=before - timedelta(seconds=5))
    house.labelled(2, 600, 0.2, "other", arm="live")
    house.good("shadow")
    (moved,) = house.look()
    assert moved.route.stage == "canary", "bad rows of before and of another arm do not count"
    house.labelled(2, 600, 0.9, "shadow", arm="shadow")
    # the block is refreshed in the canary by a late label: its rows are of the shadow stage still
    house.labelled(2, 600, 0.2, "old", arm="canary", at=before)
    house.good("canary")
    assert house.look() == []
    assert status("churn", **house.given).waits_for == "proof of quality"
    house.labelled(2, 600, 0.9, "canary", arm="canary")
    assert [link.route.step for link in house.look()] == [1]
    assert house.look() == [], "the next step stands on rows of its own"
    house.labelled(2, 800, 0.2, "canary", arm="canary")
    assert [link.kind for link in house.look()] == ["hold"]


def test_live_keeps_its_labels_while_another_version_is_on_its_way(house: Any) -> None:
    house.begin()
    live_at = house.lifecycle.history("churn")[0].at
    house.labelled(1, 600, 0.9, at=live_at + timedelta(seconds=1))
    house.look()
    found = status("churn", **house.given).verdicts[1]
    assert [v.status for v in found if v.promise == "quality"] == ["KEPT"]


def test_other_outputs_and_groups_with_the_same_labels_are_judged_anew(house: Any) -> None:
    house.begin()
    house.labelled(1, 600, 0.9)
    house.look()
    house.labelled(1, 600, 0.2)
    house.look()
    assert ("churn", 1, "quality", "BROKEN") in house.alerts.told


def test_a_latency_that_warns_is_counted_and_told(house: Any) -> None:
    house.begin(house.declared.replace('at_most = "12ms"', 'at_most = "12ms", warn = "8ms"'))
    house.seen(2, "shadow", 400, 0, over={12.0: 0})
    house.seen(2, "shadow", 400, 0, over={12.0: 0, 8.0: 60})
    house.seen(1, "live", 4000, 0, over={12.0: 2, 8.0: 900})
    house.look()
    for version in (1, 2):
        found = {v.promise: v for v in status("churn", **house.given).verdicts[version]}
        assert found["speed"].warns
        assert found["speed"].status != "BROKEN"


class Moved(ManualClock):
    """A machine whose wall clock somebody moves while its seconds go on."""

    moved = timedelta()

    def now(self) -> datetime:
        return super().now() + self.moved


@pytest.mark.slow
@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_that_is_moved_neither_stalls_nor_cheats(
    house: Any, hours: int, restarted: bool
) -> None:
    house.clock = clock = Moved(house.clock.now())
    house.reconciler = house.another()
    counters = Counters(house.settings.run, 0)
    publisher = CountsPublisher(counters, house.evidence, clock)

    def answer(arm: str, n: int) -> None:
        for _ in range(n):
            counters.series("churn", 2, arm, (12.0,)).answered(1.0)

    house.begin()
    answer("shadow", 300)
    clock.advance(1)
    publisher.tick()
    clock.moved = timedelta(hours=hours)
    if restarted:
        counters = Counters(house.settings.run, 0)
        publisher = CountsPublisher(counters, house.evidence, clock)
        house.reconciler = house.another()
    for _ in range(5):
        clock.advance(1)
        publisher.tick()
    assert house.look() == []
    answer("shadow", 600)
    for _ in range(5):
        clock.advance(1)
        publisher.tick()
    assert [link.route.stage for link in house.look()] == ["canary"], "within seconds, not an hour"
    answer("canary", 40)
    clock.advance(1)
    publisher.tick()
    assert house.look() == []
    hold("churn", reason="a person comes with another clock", **house.given)
    resume("churn", **house.given)
    clock.advance(5)
    publisher.tick()
    house.look()
    found = status("churn", **house.given)
    assert found.requests == 0, "what was answered before the hold was lifted does not count"
    assert [link.at for link in found.history] == sorted(link.at for link in found.history)
    since = [link.route.since for link in found.history]
    assert since == sorted(since)


@pytest.mark.slow
@pytest.mark.parametrize("apart_s", [-3600, -300, -5, 5, 300, 3600])
def test_machines_whose_clocks_differ_count_for_the_stage_in_which_they_answered(
    house: Any, apart_s: int
) -> None:
    """The server's clock is behind or ahead of the one by which stages begin, all the time."""
    house.begin()
    server = ManualClock(house.clock.now() + timedelta(seconds=apart_s))
    counters = Counters(house.settings.run, 0)
    publisher = CountsPublisher(counters, house.evidence, server)
    moved: list[str] = []

    def go_on(seconds: int) -> None:
        for _ in range(seconds):
            house.clock.advance(1)
            server.advance(1)
            publisher.tick()
            moved.extend(link.route.stage for link in house.look())

    def answer(arm: str, n: int) -> None:
        for _ in range(n):
            counters.series("churn", 2, arm, (12.0,)).answered(1.0)

    go_on(12)
    answer("shadow", 499)
    go_on(12)
    assert moved == [], "499 of 500"
    answer("shadow", 1)
    go_on(12)
    assert moved == ["canary"], "within seconds, however far the clocks are apart"
    answer("shadow", 50)  # by a worker that has not heard of the canary yet
    answer("canary", 40)
    go_on(12)
    assert status("churn", **house.given).requests == 40
    hold("churn", reason="a person looks", **house.given)
    resume("churn", **house.given)
    go_on(12)
    assert status("churn", **house.given).requests == 0, "of before the hold was lifted"
    answer("canary", 30)
    go_on(12)
    found = status("churn", **house.given)
    assert found.requests == 30
    since = [link.route.since for link in found.history]
    assert since == sorted(since)
