"""Labels: idempotent, revised, numbered in commit order, on SQLite and on Postgres."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promise.clock import ManualClock
from promise.data.answer import Class
from promise.errors import DataError
from promise.monitoring.index import Answered, Index
from promise.monitoring.tables import INDEX
from promise.records.given import as_answered
from promise.records.labels import Labels
from promise.records.owners import Owners
from promise.state.database import Database


@pytest.fixture
def labels(database: Database) -> Labels:
    return Labels(database, ManualClock())


def one(prediction_id: str, label: Any, **more: Any) -> dict[str, Any]:
    return {"prediction_id": prediction_id, "label": label, **more}


def test_the_same_again_changes_nothing_and_another_value_is_a_revision(labels: Labels) -> None:
    first = labels.add([one("a", "yes", model="churn"), one("b", [1, 2])])
    assert [(kept.number, kept.revision, kept.unchanged) for kept in first] == [
        (1, 1, False),
        (2, 1, False),
    ]
    labels.clock.advance(60)  # type: ignore[attr-defined]
    again, revised, human = labels.add(
        [one("a", "yes"), one("b", [1, 3]), one("a", "no", source="human")]
    )
    assert again.unchanged
    assert again.number == 1
    assert (revised.number, revised.revision) == (3, 2)
    assert (human.number, human.revision, human.model) == (4, 1, "churn")
    assert [kept.value for kept in labels.of("b")] == [[1, 2], [1, 3]]
    assert [kept.number for kept in labels.since(1)] == [2, 3, 4]
    assert [kept.number for kept in labels.since(0, limit=2)] == [1, 2]
    assert labels.newest(["a", "b", "c"])["a"].value == "no"
    assert labels.newest(["a"], source="api")["a"].value == "yes"


def test_a_label_for_another_model_is_refused(labels: Labels) -> None:
    labels.add([one("a", "yes", model="churn"), one("b", "yes")])
    with pytest.raises(
        DataError, match="label 1: prediction a is of the model 'churn', not of 'pr"
    ):
        labels.add([one("c", 1, model="price"), one("a", 2.5, model="price")])
    assert labels.of("c") == []
    labels.owners = lambda ids: {"b": "churn"} if "b" in ids else {}
    with pytest.raises(DataError, match="label 0: prediction b is of the model 'churn'"):
        labels.add([one("b", 1, model="price", source="human")])
    assert labels.strangers(["a", "b", "c"], "price") == {"a": "churn", "b": "churn"}
    assert labels.add([one("b", "no")])[0].model == "churn"


def test_a_class_is_the_same_label_as_text_and_as_a_number(labels: Labels) -> None:
    labels.add([one("a", 0, model="churn")])  # as it was kept before
    answer = Class(("0", "1"))
    labels.normalise = lambda model, value: as_answered(value, answer)
    same, new = labels.add([one("a", "0"), one("b", 1.0, model="churn")])
    assert (same.unchanged, new.value) == (True, "1")
    assert labels.add([one("b", "1")])[0].unchanged
    with pytest.raises(DataError, match="label 0: the label is '2', which is no class of the mod"):
        labels.add([one("b", "2")])
    with pytest.raises(DataError, match="10,001 characters; expected 10,000 at most"):
        labels.add([one("c", "x" * 10_001)])


def test_a_zone_that_leads_out_of_the_years_is_refused(labels: Labels) -> None:
    with pytest.raises(DataError, match="event_at is '0001-01-01T00:00:00"):
        labels.add([one("a", 1, event_at="0001-01-01T00:00:00+14:00")])


def test_the_join_index_tells_whose_prediction_it_is(tmp_path: Path) -> None:
    index = Database(f"sqlite:///{tmp_path / 'join.db'}")
    index.migrate(INDEX)
    with index.transaction() as connection:
        Index(connection).keep([Answered("m.0-a-1", "churn", 1, 1.0, "live", [1.0], {})])
    index.close()
    owners = Owners(tmp_path)
    assert owners(["m.0-a-1", "m.0-a-2"]) == {"m.0-a-1": "churn"}
    owners.close()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "join.db").write_text("no database")
    damaged = Owners(tmp_path / "bad")
    assert damaged(["m.0-a-1"]) == {}
    damaged.close()


def test_one_batch_may_revise_itself(labels: Labels) -> None:
    kept = labels.add([one("a", 1), one("a", 1.0), one("a", True), one("a", 0)])
    assert [(entry.revision, entry.unchanged) for entry in kept] == [
        (1, False),
        (1, True),
        (2, False),
        (3, False),
    ]
    assert len(labels.of("a")) == 3


def test_a_label_is_known_from_known_at_on(labels: Labels) -> None:
    now = labels.clock.now()
    labels.add(
        [
            one("a", "early", known_at=now - timedelta(days=2)),
            one("a", "late", known_at=(now + timedelta(days=2)).isoformat()),
            one("b", "now", event_at="2025-12-31T23:00:00+01:00"),
        ]
    )
    assert labels.newest(["a", "b"], as_of=now)["a"].value == "early"
    assert labels.newest(["a", "b"], as_of=now + timedelta(days=2))["a"].value == "late"
    assert labels.newest(["b"], as_of=now)["b"].known_at == now
    assert labels.newest(["b"], as_of=now - timedelta(seconds=1)) == {}
    (kept,) = labels.of("b")
    assert kept.event_at is not None
    assert kept.event_at.hour == 22


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("text", "label 1: expected an object"),
        ({"prediction_id": "a", "lable": 1}, "label 1: there is no key 'lable'.*mean 'label'"),
        ({"label": 1}, "label 1: prediction_id is missing"),
        ({"prediction_id": "a", "label": None}, "label 1: label is missing"),
        ({"prediction_id": "", "label": 1}, "label 1: prediction_id is ''"),
        ({"prediction_id": "a\n", "label": 1}, "printable"),
        ({"prediction_id": "a", "label": {"x": 1}}, "label 1: the label is"),
        ({"prediction_id": "a", "label": float("nan")}, "label 1: the label is nan"),
        ({"prediction_id": "a", "label": [[1]]}, "label 1: the label is"),
        ({"prediction_id": "a", "label": 1, "known_at": "yesterday"}, "label 1: known_at.*zone"),
        ({"prediction_id": "a", "label": 1, "event_at": "2026-01-01T00:00:00"}, "event_at.*zone"),
        ({"prediction_id": "a", "label": 1, "source": 3}, "label 1: source is 3"),
    ],
)  # fmt: skip
def test_a_bad_entry_is_named_and_none_is_kept(entry: Any, said: str) -> None:
    labels = Labels(Database("sqlite://"), ManualClock())
    with pytest.raises(DataError, match=said):
        labels.add([one("good", 1), entry])
    assert labels.since(0) == []
    labels.database.close()


@pytest.mark.slow
def test_ten_thousand_at_once(labels: Labels) -> None:
    batch = [one(f"p{number}", number % 3) for number in range(10_000)]
    assert len(labels.add(batch)) == 10_000
    assert all(kept.unchanged for kept in labels.add(batch))
    assert [kept.number for kept in labels.since(0, limit=20_000)] == list(range(1, 10_001))


WRITER = """
import sys
from promise.clock import SystemClock
from promise.records.labels import Labels
from promise.state.database import Database
labels = Labels(Database(sys.argv[1]), SystemClock())
for batch in range(8):
    labels.add([{"prediction_id": f"{batch}-{n}", "label": 1} for n in range(20)]
               + [{"prediction_id": f"{sys.argv[2]}-{batch}-{n}", "label": 1} for n in range(20)])
"""


@pytest.mark.slow
def test_concurrent_writers_lose_and_double_nothing_and_readers_miss_nothing(
    database_url: str,
) -> None:
    labels = Labels(Database(database_url), ManualClock())
    labels.since(0)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, database_url, str(who)]) for who in range(3)
    ]
    seen: list[int] = []
    while any(writer.poll() is None for writer in writers):
        seen += [kept.number for kept in labels.since(seen[-1] if seen else 0)]
    seen += [kept.number for kept in labels.since(seen[-1] if seen else 0)]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    # the shared ids once, the others once for each writer; no number is missing or seen late
    assert seen == list(range(1, 8 * 20 + 3 * 8 * 20 + 1))
    labels.database.close()


def test_threads_that_send_the_same_label_agree(labels: Labels) -> None:
    threads = [
        threading.Thread(target=lambda: [labels.add([one("a", n)]) for n in (1, 1)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(labels.of("a")) == 1


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.sampled_from(["api", "human"]), st.integers(0, 2)),
            max_size=6,
        ),
        max_size=6,
    )
)
def test_any_sequence_ends_as_a_plain_dictionary_says(
    batches: list[list[tuple[str, str, int]]],
) -> None:
    labels = Labels(Database("sqlite://"), ManualClock())
    history: dict[tuple[str, str], list[int]] = {}
    for batch in batches:
        labels.add([one(p, value, source=source) for p, source, value in batch])
        for p, source, value in batch:
            values = history.setdefault((p, source), [])
            if not values or values[-1] != value:
                values.append(value)
    kept = labels.since(0)
    assert len(kept) == sum(len(values) for values in history.values())
    for (p, source), values in history.items():
        assert [k.value for k in labels.of(p) if k.source == source] == values
    labels.database.close()
