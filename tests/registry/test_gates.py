"""Gates leave a trace that nothing changes."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from promise.clock import ManualClock
from promise.registry.gates import Gates
from promise.state.database import Database


def test_every_gate_is_kept_in_order_by_name_and_version(database: Database) -> None:
    clock = ManualClock()
    gates = Gates(database, clock)
    assert gates.last("churn") is None
    gates.record("churn", 1, True, {"blocking": [], "holdout": {"rows": 200}})
    before = clock.now()
    clock.advance(60)
    refused = gates.record("churn", 2, False, {"blocking": ["quality"]})
    gates.record("apps", 9, True, {"blocking": []})
    assert gates.last("churn") == refused
    assert str(refused) == "churn@2: refused on 2026-01-01 00:01: quality"
    first = gates.last("churn", 1)
    assert first is not None
    assert (first.passed, first.evidence["holdout"]["rows"]) == (True, 200)
    assert gates.last("churn", at=before + timedelta(seconds=1)) == first
    assert gates.last("churn", 3) is None


@pytest.mark.parametrize("change", ["UPDATE gates SET passed = 1", "DELETE FROM gates"])
def test_no_gate_can_be_changed(database: Database, change: str) -> None:
    Gates(database, ManualClock()).record("churn", 1, False, {"blocking": ["quality"]})
    with pytest.raises(Exception, match="append-only"):
        database.run(lambda connection: connection.execute(sa.text(change)))
