"""A deployed model of articles: what it is held to, how it is judged live, what it grows to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from promise.clock import ManualClock, SystemClock
from promise.data.answer import Class, Labels
from promise.data.schema import Field, Schema
from promise.data.synthetic_articles import article_table
from promise.kernels.multilabel import coded, labels_score
from promise.metrics.drift import SCORE
from promise.monitoring.collect import Collector
from promise.monitoring.watched import Watched
from promise.pipeline.answers import answer_rows
from promise.pipeline.artifact import load_pipeline, read_notes
from promise.pipeline.request import request_from_rows
from promise.promises.read import read_model_file
from promise.promises.spec import Promise
from promise.promises.stability import judge_drift
from promise.promises.verdict import ALPHA, Verdict
from promise.records.labels import Labels as KeptLabels
from promise.records.machine import home_slot
from promise.records.predictions import PredictionLog
from promise.registry.registry import Registry
from promise.registry.revisions import Revisions
from promise.registry.route import Route
from promise.registry.versions import Version
from promise.retraining.facts import FactReader
from promise.retraining.run import Retraining
from promise.retraining.standing import standing
from promise.retraining.triggers import due
from promise.rollout.deploy import GateRefused, deploy
from promise.rollout.reconciler import Reconciler
from promise.rollout.status import status
from promise.settings import Settings
from promise.training.train import train_version
from promise.workloads.articles import ladder, presets
from promise.workloads.articles.rungs import Rung

TERMS = {"encoder": "none", "groups": "no", "baselines": "no"}
DRIFT = Promise("drift", "psi", at_most=0.1)
SCHEMA = Schema((Field("body", "text"),))


@dataclass
class Newsroom:
    """One installation with a model of articles."""

    settings: Settings
    clock: SystemClock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        self.registry = Registry.open(self.settings)
        self.labels = KeptLabels(self.registry.database, self.clock)
        self._slot = 0

    def train(self, rows: pa.Table, **terms: Any) -> Version:
        path = self.settings.home / "news.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, path)
        given = {"name": "news", "options": TERMS, "threads": 1, **terms}
        return train_version("articles", path, settings=self.settings, **given).version

    def deploy(self, config: str | None = None) -> None:
        path = self.settings.home / "promise.toml"
        if config is not None:
            path.write_text(config, encoding="utf-8")
        deploy(
            "news", config=path if config is not None else None, settings=self.settings,
            gate_seconds=0.2,
        )  # fmt: skip

    def live(self, config: str | None = None) -> None:
        """Make the first version live, as somebody who trusts it does."""
        if config is not None:
            path = self.settings.home / "promise.toml"
            path.write_text(config, encoding="utf-8")
            Revisions(self.registry.database, self.clock).declare("news", read_model_file(path))
        first = Route("news", "steady", live=1)
        self.registry.lifecycle.commit(None, "promote", first, reason="first")

    def answered(self, rows: pa.Table) -> list[str]:
        """Log answers as servers do."""
        self._slot += 1
        pipeline = load_pipeline(self.registry.find("news@live").folder)
        asked = rows.select(list(pipeline.task.request.names)).to_pylist()
        found = pipeline.predict(request_from_rows(asked, pipeline.task.request))
        log, ids = PredictionLog(self.settings.records, home_slot(self.settings, self._slot)), []
        for row, answer in zip(asked, answer_rows(pipeline, found), strict=True):
            ids.append(log.new_id())
            line = {
                "id": ids[-1], "version": 1, "arm": "live", "source": "model",
                "at": self.clock.now().timestamp(), "row": row, "answer": answer,
            }  # fmt: skip
            log.append("news", json.dumps(line).encode())
        log.close()
        return ids

    def label(self, ids: list[str], values: list[Any]) -> None:
        self.labels.add(
            [
                {"prediction_id": id, "label": value, "model": "news"}
                for id, value in zip(ids, values, strict=True)
            ]
        )

    def verdicts(self) -> dict[str, Verdict]:
        """Let a watch look, and return what it says of the live version."""
        for each in (Collector(self.settings), Reconciler(self.settings, self.clock)):
            each.collect() if isinstance(each, Collector) else each.tick()
            each.close()
        live = status("news", settings=self.settings).verdicts[1]
        return {verdict.promise: verdict for verdict in live}


@pytest.fixture
def make_room(tmp_path: Path) -> Callable[[], Newsroom]:
    return lambda: Newsroom(Settings.load({"PROMISE_HOME": str(tmp_path / "home")}))


def shuffled(rows: pa.Table, column: str) -> pa.Table:
    """Return the rows with labels that say nothing."""
    order = np.random.default_rng(1).permutation(rows.num_rows)
    place = rows.column_names.index(column)
    return rows.set_column(place, column, rows[column].take(pa.array(order)))


@pytest.mark.slow
def test_a_first_version_must_keep_its_f1_unless_said_otherwise(
    make_room: Callable[[], Newsroom],
) -> None:
    room = make_room()
    room.train(shuffled(article_table(200), "topic"))
    declared = Revisions(room.registry.database, room.clock).current("news").declared
    assert {p.key: (p.that, p.bound, p.due) for p in declared.promises}["quality"] == (
        "f1_macro", 0.85, "gate",
    )  # fmt: skip
    assert declared.retrain == {"every_rows": 200, "schedule": "sun 02:00", "on_drift": True}
    for config in (None, "[retrain]\nevery_rows = 50\n"):
        with pytest.raises(GateRefused, match=r"f1_macro ≥ 0\.85"):
            room.deploy(config)
    room.deploy('[promises]\nquality = { that = "f1_macro", at_least = 0.01, due = "gate" }\n')
    assert room.registry.lifecycle.route("news").live == 1


@pytest.mark.slow
def test_several_labels_are_judged_live_as_at_the_gate(make_room: Callable[[], Newsroom]) -> None:
    room = make_room()
    version = room.train(article_table(240, several=True, clarity=0.4))
    room.live('[promises]\nquality = { that = "f1_macro", at_least = 0.3, due = "gate" }\n')
    more = article_table(120, several=True, clarity=0.4, seed=9)
    ids, truth = room.answered(more), more["topic"].to_pylist()
    # as a list, or as a text that a file of labels has; of some nothing applies
    sent = [labels if i % 2 else ";".join(labels) for i, labels in enumerate(truth)]
    room.label(ids, sent)
    found = room.verdicts()["quality"]
    pipeline = load_pipeline(version.folder)
    known = pipeline.task.answer
    assert isinstance(known, Labels)
    asked = more.select(list(pipeline.task.request.names)).to_pylist()
    output = pipeline.output(request_from_rows(asked, pipeline.task.request))
    y = coded(np.array([[name in labels for name in known.labels] for labels in truth]))
    expected = labels_score("f1_macro", y[:100], output[:100], pipeline.multipliers)
    assert (found.n, found.status) == (100, "KEPT")
    assert found.measured == pytest.approx(expected)
    corrected = [list(known.labels)] * 120
    room.label(ids, corrected)
    wrong = coded(np.ones((120, len(known.labels)), dtype=bool))
    expected = labels_score("f1_macro", wrong[:100], output[:100], pipeline.multipliers)
    assert room.verdicts()["quality"].measured == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow speaks to developers by warnings
@pytest.mark.parametrize("several", [False, True])
def test_mlflow_answers_with_one_class_or_several_labels(
    make_room: Callable[[], Newsroom], tmp_path: Path, several: bool
) -> None:
    mlflow = pytest.importorskip("mlflow")
    from promise.registry.mlflow.pyfunc import write_model

    version = make_room().train(article_table(120, several=several, clarity=0.4))
    write_model(version, tmp_path / "model")
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    pipeline = load_pipeline(version.folder)
    asked = article_table(5, seed=2).select(list(pipeline.task.request.names))
    found = loaded.predict(asked.to_pandas())
    ours = answer_rows(
        pipeline,
        pipeline.predict(request_from_rows(asked.to_pylist(), pipeline.task.request)),
    )
    assert found["prediction"].tolist() == [answer["prediction"] for answer in ours]
    assert found["review"].tolist() == [answer["review"] for answer in ours]
    told = [spec.name for spec in loaded.metadata.signature.outputs]
    assert told == found.columns.tolist()
    shares = [[answer["probability"][name[12:]] for name in told[3:]] for answer in ours]
    np.testing.assert_allclose(found[told[3:]].to_numpy(), shares, atol=1e-6)


def test_a_text_of_codes_is_kept_whole_and_strange_labels_are_told() -> None:
    watched = Watched(SCHEMA, Labels(("oil", "tax", "war")), {})
    assert watched.label(["war", "oil"]) == "0;2"
    assert watched.label("tax") == watched.label(["tax"]) == "1"
    assert watched.label([]) == ""
    assert watched.label(["sea"]) is None


CLASSES = ("sport", "money", "culture", "weather")
SHARES = [0.4, 0.3, 0.2, 0.1]


def looked(seed: int, shares: list[float], *, known: int, looks: int = 40, each: int = 50) -> str:
    """Judge after every few answers; return the first verdict that accuses, else the last.

    Parameters
    ----------
    known
        Articles of the reference, drawn by `SHARES`.
    """
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(known, SHARES)
    mix = dict(zip(CLASSES, counts.tolist(), strict=True))
    reference = {SCORE: {"kind": "category", "counts": mix, "rows": known, "known": known}}
    watched = Watched(SCHEMA, Class(CLASSES), reference)
    rows = watched.typed([{"row": {"body": "x"}}] * each)[1]
    total, told = np.zeros(4, dtype=int), "UNKNOWN"
    for _ in range(looks):
        outputs = np.eye(4)[rng.choice(4, each, p=shares)].tolist()
        total += watched.counted(rows, outputs)[SCORE]["bins"]
        seen = {SCORE: {"bins": total.tolist(), "unseen": 0, "missing": 0}}
        told = judge_drift(DRIFT, reference, seen).status
        if told == "BROKEN":
            break
    return told


@pytest.mark.parametrize("known", [150, 1000])
def test_a_mix_of_classes_that_moves_is_noticed(known: int) -> None:
    assert looked(1, [0.1, 0.2, 0.3, 0.4], known=known) == "BROKEN"


@pytest.mark.parametrize(("known", "told"), [(150, "UNKNOWN"), (1000, "KEPT")])
def test_looking_again_and_again_accuses_no_mix_that_stays(known: int, told: str) -> None:
    found = [looked(seed, SHARES, known=known, looks=15) for seed in range(40)]
    assert found.count("BROKEN") <= max(1, ALPHA * len(found))
    assert told in found


@pytest.mark.slow
def test_the_next_rung_comes_nearer_with_every_label_and_drift_makes_a_training_due(
    make_room: Callable[[], Newsroom],
) -> None:
    room = make_room()
    version = room.train(article_table(400))
    room.live()
    before = standing("news", settings=room.settings)
    assert before.rung is not None
    needed = before.rung["rows"]
    assert (before.rung["labelled"], before.rung["about"]) == (400, None)
    assert f"{needed:,} articles" in before.next_rung
    assert before.next_rung.endswith("400 are labelled so far")
    rows = article_table(1200, seed=5)
    one = rows.filter(pa.compute.equal(rows["topic"], rows["topic"][0]))
    ids = room.answered(one.slice(0, 500) if one.num_rows > 500 else one)
    room.label(ids[:20], one["topic"].to_pylist()[:20])
    later = ManualClock(version.created + timedelta(days=2))
    after = standing("news", settings=room.settings, clock=later)
    assert after.rung is not None
    assert after.rung["labelled"] == 420
    days = 2 * (needed - 420) / 20
    assert after.rung["about"] == (later.now() + timedelta(days=days)).date().isoformat()
    assert "(20 since it was trained)" in after.next_rung
    found = room.verdicts()["drift"]
    assert (found.status, found.n) == ("BROKEN", len(ids))
    wanted = due(FactReader(room.registry, room.clock).read("news"))
    assert wanted is not None
    assert wanted.kind == "drift"


@pytest.mark.slow
def test_a_retraining_measures_the_ladder_anew_and_tells_what_it_made(
    make_room: Callable[[], Newsroom],
) -> None:
    room = make_room()
    room.train(article_table(120, clarity=0.1, n_words=30))
    room.live('[promises]\nquality = { that = "f1_macro", at_least = 0.01, due = "gate" }\n'
                '[retrain]\nevery_rows = 200\n')  # fmt: skip
    more = article_table(700, clarity=0.1, n_words=30, seed=4)
    room.label(room.answered(more), more["topic"].to_pylist())
    retraining = Retraining(room.settings, gate_seconds=0.2)
    run = retraining.run("news")
    retraining.close()
    assert run is not None
    assert (run.kind, run.version, run.n_logged) == ("rows", 2, 700)
    assert run.comparison is not None
    made = room.registry.find("news@2")
    notes = read_notes(made.folder)
    assert notes["next_rung"] is not None
    assert len(notes["ladder"]["rungs"]) > 1
    assert made.lineage["rows_used"] > 600
    assert made.metrics["metric"] == "f1_macro"
    assert not isinstance(run.comparison["difference"], str)


def test_the_own_copy_stands_in_for_an_encoder_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, gone = tmp_path / "here", tmp_path / "gone"
    here.mkdir()
    monkeypatch.setattr(presets, "find_spec", lambda _: None)
    bare, whole = tmp_path / "bare", tmp_path / "whole"
    copy = whole / "weights" / "score" / "member-1" / "encoder"
    copy.mkdir(parents=True)
    bare.mkdir()
    kept = {"encoder": str(here), "review": "0.1"}
    assert presets.restored(whole, kept) == kept
    lost = kept | {"encoder": str(gone)}
    assert presets.restored(whole, lost) == kept | {"encoder": str(copy)}
    assert presets.restored(bare, lost) == kept | {"encoder": "none"}
    both = {"encoder": f"{gone}, {here}"}
    assert presets.restored(whole, both) == {"encoder": f"{here},{copy}"}
    assert presets.restored(whole, {"encoder": "none"}) == {"encoder": "none"}
    # the installed package was used without being asked for, and is installed no more
    assert presets.restored(whole, {}) == {"encoder": str(copy)}
    assert presets.restored(bare, {}) == {}


@pytest.mark.slow
def test_an_encoder_that_is_gone_is_no_end_of_growing(
    make_room: Callable[[], Newsroom], vectors: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    room, table = make_room(), tmp_path / "words.txt"
    table.write_bytes(vectors.read_bytes())

    def static(rungs: list[Rung], *_: object) -> tuple[Rung, str]:
        return next(rung for rung in rungs if rung.name == "static vectors"), "it was asked for"

    with monkeypatch.context() as patch:
        patch.setattr(ladder, "choose", static)
        room.train(article_table(120), options={**TERMS, "encoder": str(table)})
    room.live('[promises]\nquality = { that = "f1_macro", at_least = 0.01, due = "gate" }\n'
                '[retrain]\nevery_rows = 50\n')  # fmt: skip
    table.unlink()
    more = article_table(100, seed=4)
    room.label(room.answered(more), more["topic"].to_pylist())
    retraining = Retraining(room.settings, gate_seconds=0.2)
    run = retraining.run("news")
    retraining.close()
    assert run is not None
    assert run.version == 2, run.sentence
    rungs = {
        rung["rung"] for rung in read_notes(room.registry.find("news@2").folder)["ladder"]["rungs"]
    }
    assert "static vectors" in rungs


@pytest.mark.slow
def test_a_split_by_time_stays_one_when_it_is_trained_again(
    make_room: Callable[[], Newsroom],
) -> None:
    room, rows = make_room(), article_table(150)
    days = [f"2025-01-{1 + number // 6:02}" for number in range(rows.num_rows)]
    version = room.train(
        rows.append_column("day", pa.array(days)), split="temporal:day"
    )  # fmt: skip
    assert "day" in {field["name"] for field in version.lineage["schema"]}
    room.live('[promises]\nquality = { that = "f1_macro", at_least = 0.01, due = "gate" }\n'
                '[retrain]\nevery_rows = 50\n')  # fmt: skip
    more = article_table(100, seed=4)
    twins = pa.concat_tables([more, more.slice(0, 10)])  # asked early, and again at the end
    for part in (twins.slice(0, 50), twins.slice(50)):
        room.label(room.answered(part), part["topic"].to_pylist())
    retraining = Retraining(room.settings, gate_seconds=0.2)
    run = retraining.run("news")
    retraining.close()
    assert run is not None
    assert run.version == 2, run.sentence
    made = room.registry.find("news@2")
    assert made.metrics["split"].startswith("the latest")
    assert f"(from {room.clock.now().year}-" in made.metrics["split"]
    judge = pq.read_table(Path(made.lineage["source"]).with_name("judge.parquet"))
    learned = pq.read_table(made.lineage["source"])
    assert not set(judge["body"].to_pylist()) & set(learned["body"].to_pylist())
