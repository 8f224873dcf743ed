"""Old evidence is summed and forgotten, retired versions are archived, and failures do no harm."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from promise.errors import StateError
from promise.records.buckets import bucket_start
from promise.rollout.deploy import deploy


@pytest.mark.usefixtures("no_load")
def test_the_holder_of_the_lease_tends_old_evidence_and_retired_versions(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.register(), house.register()
    deploy("churn@1", **house.given)
    start = bucket_start(house.clock.now(), 3600) + timedelta(hours=1)
    for i in range(5):
        at = start + timedelta(seconds=10 * i)
        house.evidence.add_counts("s", "churn", 1, "live", at, 10, 0, {})
    registry = house.reconciler.upkeep.registry
    registry.retire("churn@2", "too old")
    swept: list[int] = []
    sweep = type(registry).sweep

    def counting(self: Any) -> Any:
        found = sweep(self)
        swept.append(len(found))
        return found

    monkeypatch.setattr(type(registry), "sweep", counting)
    house.reconciler.tick()
    assert len(house.evidence.counts("churn", 1, "live")) == 5
    house.clock.advance(2 * 86_400)
    house.reconciler.tick(), house.reconciler.tick()
    (hour,) = house.evidence.counts("churn", 1, "live")
    assert hour.requests == 50
    assert swept == [0, 0], "once at the start, once a day later"
    house.clock.advance(31 * 86_400)
    house.reconciler.tick()
    assert swept == [0, 0, 1]
    assert registry.get("churn@2").state == "archived"
    house.clock.advance(91 * 86_400)
    house.reconciler.tick()
    assert house.evidence.counts("churn", 1, "live") == []


def test_upkeep_that_fails_keeps_nobody_from_being_judged(
    house: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(before: Any) -> int:
        raise StateError("the database is away")

    monkeypatch.setattr(house.reconciler.upkeep.store, "compact", away)
    with caplog.at_level(logging.WARNING):
        assert house.reconciler.tick() == []
    assert "upkeep failed" in caplog.text
