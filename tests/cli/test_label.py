"""`promise label` and `promise events`: files are kept once, bad rows are named."""

from __future__ import annotations

import json
from datetime import UTC, datetime
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
from promise.data.answer import Class, Number, answer_to_json
from promise.errors import DataError, PromiseError
from promise.records.events import Events
from promise.records.labels import Labels
from promise.registry.registry import Registry
from promise.state.database import Database

app = typer.Typer()
app.command()(label)
app.command()(events)


def register(name: str, answer: Any) -> None:
    """Register a version whose manifest is all there is."""

    def write(folder: Path) -> None:
        task = {
            "workload": "tabular", "request": [], "answer": answer_to_json(answer), "label": "y",
            "metric": "accuracy", "split": {}, "label_delay_s": 0.0, "heuristic": [],
        }  # fmt: skip
        manifest = {
            "format": 1, "task": task, "stages": {}, "views": {}, "metrics": {}, "lineage": {},
            "digests": {},
        }  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(manifest))

    Registry.open().register(name, write)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an installation with a classifier `churn` and a regressor `price`."""
    monkeypatch.setenv("PROMISE_HOME", str(tmp_path / "home"))
    register("churn", Class(("0", "1")))
    register("price", Number())
    return tmp_path


def run(*arguments: str) -> dict[str, Any]:
    """Run a command and return its JSON."""
    done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def labels() -> list[tuple[str, Any]]:
    kept = Labels(Registry.open().database, SystemClock()).since(0)
    return [(one.prediction_id, one.value) for one in kept]


def test_labels_from_csv_are_kept_once_and_changed_ones_are_revisions(home: Path) -> None:
    file = home / "labels.csv"
    file.write_text("id,label,source,event_at\nm.0-a-1,1,clerk,2026-01-01T00:00:00Z\nm.0-a-2,0,,\n")
    first = run("label", "churn", str(file))
    again = run("label", "churn", str(file))
    file.write_text("prediction_id,label,source\nm.0-a-1,0,clerk\nm.0-a-3,1,\n")
    third = run("label", "churn", str(file))
    kinds = ("accepted", "unchanged", "revisions")
    assert [[found[k] for k in kinds] for found in (first, again, third)] == [
        [2, 0, 0], [0, 2, 0], [1, 0, 1],
    ]  # fmt: skip
    assert labels() == [("m.0-a-1", "1"), ("m.0-a-2", "0"), ("m.0-a-1", "0"), ("m.0-a-3", "1")]
    kept = Labels(Registry.open().database, SystemClock()).of("m.0-a-1")[0]
    assert (kept.model, kept.source, kept.event_at) == (
        "churn", "clerk", datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_labels_come_as_the_model_answers_from_typed_files(home: Path, ending: str) -> None:
    table = pa.table({"prediction_id": ["m.0-a-1", "m.0-a-2"], "label": [1, 0]})
    file = home / f"labels.{ending}"
    if ending == "parquet":
        pq.write_table(table, file)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    assert run("label", "churn", str(file))["accepted"] == 2
    assert labels() == [("m.0-a-1", "1"), ("m.0-a-2", "0")]
    with pytest.raises(DataError, match="1 is of the model 'churn', not of 'price'"):
        run("label", "price", str(file))
    assert run("label", "price", str(file), "--on-bad-rows", "skip")["bad_rows"]["count"] == 2
    assert len(labels()) == 2
    others = home / "others.csv"
    others.write_text("prediction_id,label\nm.0-b-1,1\n")
    assert run("label", "price", str(others))["accepted"] == 1
    assert labels()[2:] == [("m.0-b-1", 1.0)]


def test_a_class_is_one_label_however_it_is_written_and_an_unknown_one_is_refused(
    home: Path,
) -> None:
    file = home / "labels.jsonl"
    file.write_text('{"prediction_id": "m.0-a-1", "label": 0}\n')
    run("label", "churn", str(file))
    file.write_text('{"prediction_id": "m.0-a-1", "label": "0"}\n')
    assert run("label", "churn", str(file))["unchanged"] == 1
    file.write_text('{"prediction_id": "m.0-a-1", "label": "7"}\n')
    with pytest.raises(DataError, match="'7', which is no class of the model; known: 0, 1"):
        run("label", "churn", str(file))
    file.write_text(json.dumps({"prediction_id": "m.0-b-1", "label": "x" * 10_001}) + "\n")
    with pytest.raises(DataError, match="row 1"):
        run("label", "churn", str(file))


BAD = (
    "prediction_id,label,event_at\n"
    "m.0-a-1,1.5,\n"
    "nonsense,1,\n"
    "m.0-a-2,,\n"
    "m.0-a-3,many,\n"
    "m.0-a-4,2,yesterday\n"
    ",3,\n"
)


def test_one_bad_row_keeps_the_whole_file_out_and_is_named(home: Path) -> None:
    file = home / "labels.csv"
    file.write_text(BAD)
    with pytest.raises(DataError) as told:
        run("label", "price", str(file))
    for words in (
        "5 rows cannot be kept, so none was", "row 2: prediction_id is 'nonsense'",
        "row 3: label is missing", "row 4: the label is 'many', expected a number",
        "row 5: event_at is 'yesterday'", "row 6: prediction_id is missing",
    ):  # fmt: skip
        assert words in str(told.value)
    assert labels() == []


def test_bad_rows_are_left_out_and_counted_when_told_so(home: Path) -> None:
    file = home / "labels.csv"
    file.write_text(BAD)
    found = run("label", "price", str(file), "--on-bad-rows", "skip")
    assert (found["accepted"], found["bad_rows"]["count"]) == (1, 5)
    assert [row["row"] for row in found["bad_rows"]["examples"]] == [2, 3, 4, 5, 6]
    assert labels() == [("m.0-a-1", 1.5)]


def test_a_missing_column_or_model_is_told_with_the_near_match(home: Path) -> None:
    file = home / "labels.csv"
    file.write_text("predictionid,label\nm.0-a-1,1\n")
    with pytest.raises(DataError, match="no column 'prediction_id'; did you mean 'predictionid'"):
        run("label", "churn", str(file))
    with pytest.raises(PromiseError, match="did you mean 'churn'"):
        run("label", "chrun", str(file))


@pytest.mark.slow
def test_a_long_file_is_kept_in_parts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promise.cli.entries.CHUNK_ROWS", 100)
    file = home / "labels.csv"
    file.write_text("prediction_id,label\n" + "".join(f"m.0-a-{n},{n % 2}\n" for n in range(1_050)))
    assert run("label", "churn", str(file))["accepted"] == 1_050
    assert run("label", "churn", str(file))["unchanged"] == 1_050


def test_events_take_other_columns_as_payload(home: Path) -> None:
    file = home / "events.csv"
    file.write_text(
        "event_id,entity,type,at,amount,place\n"
        "e1,7,pay,2026-01-01T00:00:00Z,12.5,Rome\n"
        "e2,8,pay,2026-01-01T00:00:01Z,,\n"
    )
    assert run("events", "churn", str(file))["accepted"] == 2
    assert run("events", "churn", str(file))["unchanged"] == 2
    kept = Events(Database(Registry.open().database.url), SystemClock()).since(0)
    assert [(one.event_id, one.entity, one.payload) for one in kept] == [
        ("e1", "7", {"amount": "12.5", "place": "Rome"}), ("e2", "8", {}),
    ]  # fmt: skip


def test_bad_events_are_named(home: Path) -> None:
    file = home / "events.jsonl"
    good = {"event_id": "e1", "entity": "a", "type": "pay", "payload": '{"n": 1}'}
    rows = [good, {**good, "event_id": "e2", "payload": "{"}, {**good, "event_id": None}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"row 2: the payload is no JSON.*row 3: event_id is"):
        run("events", "churn", str(file))
    found = run("events", "churn", str(file), "--on-bad-rows", "skip")
    assert (found["accepted"], found["bad_rows"]["count"]) == (1, 2)
