"""Verdicts: a row for every change of status, the newest numbers for the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from promise.clock import ManualClock
from promise.promises.verdict import Status, Verdict
from promise.registry.verdicts import Verdicts
from promise.state.database import Database


@pytest.fixture
def verdicts(database: Database) -> Verdicts:
    return Verdicts(database, ManualClock())


def verdict(status: Status, n: int = 0, promise: str = "speed") -> Verdict:
    return Verdict(promise, "latency_p99", status, 12.0, measured=9.5, n=n, reason="as seen")


def test_only_a_new_status_is_news(verdicts: Verdicts) -> None:
    start = verdicts.clock.now()
    first = verdicts.record(
        "churn", 2, "canary", [verdict("UNKNOWN"), verdict("KEPT", 1, "memory")]
    )
    assert [judged.verdict.promise for judged in first] == ["speed", "memory"]
    verdicts.clock.advance(10)
    assert verdicts.record("churn", 2, "canary", [verdict("UNKNOWN", 50)]) == []
    verdicts.clock.advance(10)
    broken = verdict("BROKEN", 80)
    news = verdicts.record("churn", 2, "canary", [broken, verdict("KEPT", 2, "memory")])
    assert [(j.verdict, j.at) for j in news] == [(broken, verdicts.clock.now())]
    current = {judged.verdict.promise: judged for judged in verdicts.current("churn", 2)}
    assert current["speed"] == news[0]
    assert (current["memory"].verdict.n, current["memory"].at) == (2, start)
    history = [(j.verdict.promise, j.verdict.status) for j in verdicts.history("churn")]
    assert history == [("speed", "BROKEN"), ("memory", "KEPT"), ("speed", "UNKNOWN")]
    assert len(verdicts.history("churn", limit=1)) == 1
    assert verdicts.current("churn", 3) == []


def test_what_is_the_same_is_not_written(verdicts: Verdicts) -> None:
    odd = replace(verdict("KEPT", 5), low=float("nan"))
    verdicts.record("churn", 1, "live", [odd])
    impatient = Verdicts(Database(verdicts.database.url, wait_s=0.1), verdicts.clock)
    with verdicts.database.transaction() as connection:
        connection.execute(sa.text("UPDATE verdicts SET stage = stage"))
        assert impatient.record("churn", 1, "live", [odd]) == []
    assert impatient.record("churn", 1, "bake", [odd]) == []
    assert verdicts.current("churn", 1)[0].stage == "bake"
    impatient.database.close()


def test_a_promise_may_have_a_long_key(verdicts: Verdicts) -> None:
    long = verdict("KEPT", promise="é" * 300)
    assert [judged.verdict for judged in verdicts.record("churn", 1, "live", [long])] == [long]
