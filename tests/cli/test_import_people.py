"""`promise events` for models that answer with lists: people and deeds by the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from promise.cli.events import events
from promise.cli.label import label
from promise.clock import SystemClock
from promise.data.answer import Ranking
from promise.data.schema import Schema
from promise.errors import DataError
from promise.pipeline.order import WORKLOADS, Workload
from promise.pipeline.task import Task
from promise.records.events import Event, Events
from promise.registry.registry import Registry

app = typer.Typer()
app.command()(label)
app.command()(events)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a folder; in its installation `meet` answers with lists."""
    monkeypatch.setenv("PROMISE_HOME", str(tmp_path / "home"))
    lists: Any = Workload("meeting", "", ("default",), None, finder=lambda _: None)  # type: ignore[arg-type,return-value]
    WORKLOADS._found["meeting"] = lists

    def write(folder: Path) -> None:
        task = Task("meeting", Schema(()), Ranking(), None, "recall_at_20").to_json()
        manifest = {
            "format": 1, "task": task, "stages": {}, "views": {}, "metrics": {}, "lineage": {},
            "digests": {},
        }  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(manifest))

    Registry.open().register("meet", write)
    yield tmp_path
    WORKLOADS._found.pop("meeting")


def run(*arguments: str) -> dict[str, Any]:
    """Run a command and return its JSON."""
    done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def kept() -> list[Event]:
    return Events(Registry.open().database, SystemClock()).since(0)


def test_deeds_are_known_by_their_columns_and_kept_once(home: Path) -> None:
    deeds = pa.table(
        {
            "user_id": [1, 2, 1], "target": ["2", "3", "3"], "action": ["like", "pass", "like"],
            "timestamp": pa.array([0, 1_000_000, 2_000_000], pa.timestamp("us")),
            "position": [4, None, 1],
        }
    )  # fmt: skip
    pq.write_table(deeds, home / "deeds.parquet")
    file = str(home / "deeds.parquet")
    assert [run("events", "meet", file)["accepted"] for _ in range(2)] == [3, 0]
    found = kept()
    assert [(e.entity, e.other, e.type) for e in found] == [
        ("1", "2", "like"), ("2", "3", "pass"), ("1", "3", "like"),
    ]  # fmt: skip
    assert found[1].at.isoformat() == "1970-01-01T00:00:01+00:00"
    assert (found[0].payload, found[1].payload) == ({"position": 4}, {})


def test_long_ids_are_kept_where_events_have_none_of_their_own(home: Path) -> None:
    long = "x" * 150
    (home / "deeds.csv").write_text(
        f"entity,other,type,at\n{long},y{long},like,2026-01-01T00:00:00Z\n"
        "ann,bob,like,2026-01-01T00:00:00Z\n"
    )
    file = str(home / "deeds.csv")
    assert [run("events", "meet", file)["accepted"] for _ in range(2)] == [2, 0]
    assert kept()[0].entity == long


def test_people_become_what_they_tell_of_themselves(home: Path) -> None:
    (home / "people.jsonl").write_text(
        '{"id": 7, "age": 31, "city": "Oslo", "interests": ["hiking"]}\n'
        '{"id": 8, "age": null, "city": "", "interests": []}\n'
    )
    file = str(home / "people.jsonl")
    assert [run("events", "meet", file)["accepted"] for _ in range(2)] == [2, 0]
    first, second = kept()
    assert (first.entity, first.other, first.type) == ("7", "", "person")
    assert first.payload == {"age": 31, "interests": ["hiking"], "place": "Oslo"}
    assert second.payload == {"interests": []}


def test_bad_rows_are_named_and_left_out_only_where_asked(home: Path) -> None:
    (home / "deeds.csv").write_text(
        "event_id,entity,other,type,at\n"
        "a,ann,bob,like,2026-01-01T00:00:00Z\n"
        "b,ann,ann,like,2026-01-01T00:00:00Z\n"
        "c,ann,bob,lkie,2026-01-01T00:00:00Z\n"
        "d,ann,,like,2026-01-01T00:00:00Z\n"
        "e,ann,bob,like,\n"
        f"f,{'x' * 201},bob,like,2026-01-01T00:00:00Z\n"
    )
    file = str(home / "deeds.csv")
    with pytest.raises(DataError, match="row 2: somebody did this to themselves") as refused:
        run("events", "meet", file)
    assert "row 3: the type is 'lkie'; did you mean 'like'" in str(refused.value)
    assert kept() == []
    found = run("events", "meet", file, "--on-bad-rows", "skip")
    assert (found["accepted"], found["bad_rows"]["count"]) == (1, 5)
    (home / "odd.csv").write_text("entity,other\na,b\n")
    with pytest.raises(DataError, match="no column tells"):
        run("events", "meet", str(home / "odd.csv"))


def test_deeds_from_the_future_are_no_deeds(home: Path) -> None:
    (home / "deeds.csv").write_text(
        "entity,other,type,at\nann,bob,like,2026-01-01T00:00:00Z\nann,cem,like,9026-01-01T00:00:00Z\n"
    )
    with pytest.raises(DataError, match=r"row 2: the time, 9026-01-01T.*, lies in the future"):
        run("events", "meet", str(home / "deeds.csv"))
    assert kept() == []
