"""Following gives what a reading of everything gives, whatever came, went or was refreshed."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from promise.clock import ManualClock
from promise.records.evidence import EvidenceStore
from promise.records.evidence_tables import EVIDENCE
from promise.records.following import Following
from promise.state.database import Database, Migrations

MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("observe"), st.integers(0, 9), st.integers(0, 99)),
        st.tuples(st.just("late"), st.integers(0, 9), st.integers(0, 99)),
        st.tuples(st.just("elsewhere"), st.integers(0, 9), st.integers(0, 99)),
        st.tuples(st.just("withdraw"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("forget"), st.integers(0, 60), st.just(0)),
        st.tuples(st.just("wait"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("read"), st.one_of(st.none(), st.integers(0, 60)), st.just(0)),
    ),
    max_size=25,
)


def play(store: EvidenceStore, model: str, move: tuple[str, Any, int]) -> None:
    """Do one thing to the evidence of a model."""
    kind, number, value = move
    clock = store.clock
    assert isinstance(clock, ManualClock)
    if kind == "observe":
        store.observe(model, 1, "outcome", f"k{number}", {"y": [value]})
    elif kind == "late":  # by a machine whose clock is a minute behind
        behind = EvidenceStore(store.database, ManualClock(clock.now() - timedelta(minutes=1)))
        behind.observe(model, 1, "outcome", f"k{number}", {"y": [value]})
    elif kind == "elsewhere":
        store.observe(model, 2, "outcome", f"k{number}", {"y": [value]})
        store.observe(model, 1, "psi", f"k{number}", {"y": [value]})
    elif kind == "withdraw":
        store.withdraw("outcome", f"k{number}", "none")
    elif kind == "forget":
        store.forget(clock.now() - timedelta(seconds=number))
    elif kind == "wait":
        clock.advance(number)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(moves=MOVES)
@example([("observe", 0, 1), ("read", None, 0), ("withdraw", 0, 0), ("observe", 0, 0)])
def test_it_reads_what_a_whole_reading_reads(database: Database, moves: list[Any]) -> None:
    store, model = EvidenceStore(database, ManualClock()), uuid.uuid4().hex
    following = Following(database, model, 1, "outcome")
    for move in [*moves, ("read", None, 0)]:
        play(store, model, move)
        if move[0] != "read":
            continue
        since = None if move[1] is None else store.clock.now() - timedelta(seconds=move[1])
        found = following.read(since)
        assert found == store.observed(model, 1, "outcome", since)
        assert following.read(since) is found


def test_only_what_changed_is_fetched(database: Database) -> None:
    store = EvidenceStore(database, ManualClock())
    payloads = [("churn", 1, "outcome", f"b:{n:04d}", {"y": [n]}) for n in range(1200)]
    store.observe_all(payloads)
    following = Following(database, "churn", 1, "outcome")
    first = following.read()
    asked: list[Any] = []
    sa.event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, values, *_: asked.append((statement, values)),
    )
    assert following.read() is first
    assert [statement for statement, _ in asked if "payload" in statement] == []
    asked.clear()
    store.observe("churn", 1, "outcome", "b:0007", {"y": [-1]})
    asked.clear()
    second = following.read()
    (fetched,) = [values for statement, values in asked if "payload" in statement]
    shown = list(fetched.values() if isinstance(fetched, dict) else fetched)
    assert [value for value in shown if str(value).startswith("b:")] == ["b:0007"]
    assert [a is b for a, b in zip(first, second, strict=True)].count(False) == 1


def test_the_list_of_keys_is_answered_by_the_index_alone(tmp_path: Any) -> None:
    database = Database(f"sqlite:///{tmp_path}/promise.db")
    following = Following(database, "churn", 1, "outcome")
    following.read()
    plans: list[str] = []
    sa.event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, cursor, statement, values, *_: plans.extend(
            row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values)
        ),
    )
    following.read()
    assert any("COVERING INDEX observations_by_time" in plan for plan in plans), plans
    database.close()


@pytest.mark.parametrize("kind", ["outcome", "psi"])
def test_an_older_table_of_observations_is_followed_too(database: Database, kind: str) -> None:
    database.migrate(Migrations("evidence", EVIDENCE.steps[:6]))
    row = "('churn', 1, :kind, 'k', '2026-01-01T00:00:00.000000+00:00', "
    insert = f"INSERT INTO observations VALUES {row} '2026-01-01T00:00:00.000000+00:00', '{{}}')"
    database.run(lambda connection: connection.execute(sa.text(insert), {"kind": kind}))
    newer = Database(database.url)
    (seen,) = Following(newer, "churn", 1, kind).read()
    assert seen.payload == {}
    newer.close()
