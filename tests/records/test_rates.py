"""Rates of traffic and labels, where enough is known."""

from __future__ import annotations

from datetime import timedelta

import pytest

from promise.clock import ManualClock
from promise.records.evidence import EvidenceStore
from promise.records.rates import rates
from promise.state.database import Database


def test_requests_and_labels_per_day_leave_shadows_out(database: Database) -> None:
    clock = ManualClock()
    store, start = EvidenceStore(database, clock), clock.now()
    store.add_counts("0", "churn", 1, "live", start, 600, 0, {})
    clock.advance(300)
    assert rates(database, "churn", clock.now()) is None, "five minutes tell little"
    payload = {"ids": 30, "arm": ["live"] * 25 + ["shadow"] * 5, "y": [], "output": []}
    store.observe("churn", 1, "outcome", "a", payload)
    clock.advance(6 * 3600 - 300)
    store.add_counts("0", "churn", 2, "canary", start + timedelta(hours=1), 400, 0, {})
    store.add_counts("0", "churn", 2, "shadow", start, 5000, 0, {})
    found = rates(database, "churn", clock.now())
    assert found is not None
    assert found.requests == pytest.approx(4000)
    assert found.labels == pytest.approx(100)
    assert rates(database, "other", clock.now()) is None
    clock.advance(8 * 86_400)
    assert rates(database, "churn", clock.now()) is None
