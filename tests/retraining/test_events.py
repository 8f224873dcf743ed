"""Features of a retraining count every event that servers counted, labelled or not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.serving.guards import COLUMNS, FORMATS, bodies, train

from promise.clock import ManualClock
from promise.data.columns import Columns
from promise.data.source import open_source
from promise.features.keyed import SEEN, Keyed
from promise.pipeline.artifact import load_pipeline, read_manifest
from promise.pipeline.request import request_from_rows
from promise.records.events import Events
from promise.records.labels import Labels
from promise.records.predictions import PredictionLog
from promise.registry.versions import Version
from promise.retraining.base import Part, base_of
from promise.retraining.gather import Gathered, gather
from promise.state.database import Database
from promise.training.evaluate import evaluate
from promise.workloads.fraud.task import fraud_task

Rows = list[dict[str, Any]]
START = datetime.fromisoformat("2026-03-25T00:00:00+00:00")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("guards") / "guard", reasons=False)


@dataclass
class Guarded:
    """A model that decides on events, what it answered, and what it was told."""

    home: Path
    version: Version
    database: Database = field(default_factory=lambda: Database("sqlite://"))
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    runs: int = 0

    def __post_init__(self) -> None:
        self.labels = Labels(self.database, self.clock)
        self.events = Events(self.database, self.clock)
        self.log = PredictionLog(self.home / "log", "0", clock=self.clock)

    def answer(self, row: dict[str, Any]) -> str:
        self.clock.advance(60)
        id = self.log.new_id()
        line = {"id": id, "version": 1, "arm": "live", "at": self.clock.now().timestamp(),
                "row": row, "answer": {"prediction": "approve"}, "source": "model"}  # fmt: skip
        self.log.append("guard", json.dumps(line).encode())
        return id

    def tell(self, row: dict[str, Any]) -> None:
        self.clock.advance(60)
        payload = {key: value for key, value in row.items() if key not in ("tx", "card")}
        self.events.add(
            "guard",
            [{"event_id": row["tx"], "entity": row["card"], "type": "paid", "payload": payload}],
        )

    def label(self, id: str, value: int) -> None:
        self.labels.add([{"prediction_id": id, "label": str(value), "model": "guard"}])

    def file(self, rows: Rows) -> Part:
        """Return a file that the version learned from."""
        path = self.home / "past.parquet"
        table = pa.Table.from_pylist([{**row, "fraud": "0"} for row in rows])
        pq.write_table(table, path)
        return Part(open_source(path), lambda rows, _: np.ones(len(rows), dtype=np.bool_))

    def gather(self, made_in: Path | None = None, history: Part | None = None) -> Gathered:
        self.log.close()
        self.log = PredictionLog(self.home / "log", f"{self.runs + 1}", clock=self.clock)
        self.runs += 1
        folder = self.home / f"run-{self.runs}"
        folder.mkdir()
        pipeline = load_pipeline(self.version.folder)
        base = base_of(self.version, pipeline, made_in)
        return gather(
            self.version, pipeline, replace(base, history=history or base.history), self.labels,
            records=self.home / "log", folder=folder, as_of=self.clock.now(),
        )  # fmt: skip


@pytest.fixture
def guarded(folder: Path, tmp_path: Path) -> Any:
    lineage = read_manifest(folder)["lineage"]
    version = Version("guard", 1, START, "fraud", folder, "", {}, lineage, {})
    made = Guarded(tmp_path, version)
    yield made
    made.log.close()
    made.database.close()


def features(keyed: Keyed, rows: Rows, y: list[float]) -> np.ndarray:
    request = load_request(rows)
    return keyed.replay(request, Columns({"label": np.array(y)}))[SEEN]


def load_request(rows: Rows) -> Columns:
    return request_from_rows(rows, fraud_task(COLUMNS, formats=FORMATS).request)


@pytest.mark.slow
def test_the_history_holds_what_servers_counted(guarded: Guarded, monkeypatch: Any) -> None:
    """Asked about or told, answered twice or once, labelled or not: each event counts once."""
    sent, y = bodies(150), []
    for number, row in enumerate(sent):
        known = float(number % 2) if number % 3 == 0 else np.nan
        if number % 10 == 7:
            guarded.tell(row)
            if not np.isnan(known):
                guarded.label(row["tx"], int(known))
        else:
            ids = [guarded.answer(row)]
            if number % 4 == 0:  # a client that did not hear the answer
                ids.append(guarded.answer(row))
            if not np.isnan(known):
                guarded.label(ids[-1], int(known))
        y.append(known)
    found = guarded.gather()
    rows = pq.read_table(found.folder / "judge.parquet")
    assert rows.column("tx").to_pylist() == [row["tx"] for row in sent]
    assert found.n_logged == 50
    assert "100 events without a label, which are looked back on" in found.notes
    pipeline = load_pipeline(guarded.version.folder)
    seen: list[Columns] = []
    monkeypatch.setattr(
        type(pipeline), "output",
        lambda self, columns: seen.append(columns) or np.full((columns.n_rows, 2), 0.5),
    )  # fmt: skip
    judged = evaluate(pipeline, guarded.version, found.judge, rows=found.judged)
    assert judged.rows == found.n_judged == 10
    everything = features(pipeline.featurize, sent, y)  # type: ignore[arg-type]
    places = [k for k, row in enumerate(sent) if row["tx"] in set(seen[0]["tx"])]
    assert all(y[place] == y[place] for place in places)
    np.testing.assert_array_equal(seen[0][SEEN], everything[places])


def test_a_late_label_finds_an_event_that_the_log_let_go(guarded: Guarded) -> None:
    sent = bodies(40)
    ids = [guarded.answer(row) for row in sent[:30]]
    for id in ids[:20]:
        guarded.label(id, 0)
    first = guarded.gather()
    for segment in (guarded.home / "log" / "guard").iterdir():
        segment.unlink()
    guarded.label(ids[25], 1)
    guarded.label(guarded.answer(sent[30]), 1)
    guarded.clock.advance(timedelta(days=1).total_seconds())
    lineage = {"fingerprint": open_source(first.train).fingerprint()}
    guarded.version = replace(guarded.version, lineage={**guarded.version.lineage, **lineage})
    second = guarded.gather(first.folder)
    assert (first.n_logged, second.n_logged) == (20, 22)
    judge = pq.read_table(second.folder / "judge.parquet")
    assert judge.column("tx").to_pylist() == [row["tx"] for row in sent[:31]]
    assert judge.column("fraud").to_pylist()[24:27] == [None, 1.0, None]


def test_strange_labels_do_not_take_their_event_away(guarded: Guarded) -> None:
    sent = bodies(12)
    for number, row in enumerate(sent):
        guarded.label(guarded.answer(row), 5 if number == 3 else number % 2)
    found = guarded.gather()
    assert (found.n_logged, found.n_rows + found.n_judged) == (11, 12)
    assert found.notes[-1] == "1 more are of values that the model cannot read"


@pytest.mark.parametrize("told", [False, True])
def test_events_between_the_file_and_the_version_count(guarded: Guarded, told: bool) -> None:
    """An earlier version answered while the file was written and learned from: none is missed."""
    sent = bodies(30)
    sent[10]["when"] = sent[9]["when"]  # of the moment at which the file ends, but not in it
    past = guarded.file(sent[:10])
    for row in sent[5:20]:  # the file holds the first five of them
        if told:
            guarded.tell(row)
        else:
            guarded.label(guarded.answer(row), 0)
    guarded.version = replace(guarded.version, created=guarded.clock.now())
    for row in sent[20:]:
        guarded.label(guarded.answer(row), 1)
    first = guarded.gather(history=past)
    rows = pq.read_table(first.folder / "judge.parquet").column("tx").to_pylist()
    assert rows == [row["tx"] for row in sent]
    assert first.n_logged == (10 if told else 20)
    lineage = {"fingerprint": open_source(first.train).fingerprint()}
    guarded.version = replace(guarded.version, lineage={**guarded.version.lineage, **lineage})
    again = guarded.gather(first.folder)  # from what the first run kept
    assert pq.read_table(again.folder / "judge.parquet").column("tx").to_pylist() == rows
