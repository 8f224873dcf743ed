"""What an encoder brings to the ladder: its table, its vectors, and tuning with few articles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.models.tiny_encoders import WORDS, write_bert, write_static
from tests.workloads.articles.conftest import train

from promise.job import Job
from promise.models.encoder_tuned import Adapter, fit_adapter
from promise.pipeline.artifact import load_pipeline, save_pipeline
from promise.pipeline.bind import bind
from promise.pipeline.order import Outcome
from promise.workloads.articles import ladder, presets
from promise.workloads.articles.rungs import Rung

pytest.importorskip("torch", reason="the deep extra is not installed")


@pytest.fixture(scope="module")
def articles() -> pa.Table:
    """Return articles of words that the small encoders know."""
    rng = np.random.default_rng(0)
    topics = {"sport": WORDS[1:4], "money": WORDS[4:8], "film": WORDS[8:10]}
    rows = []
    for number in range(45):
        topic = list(topics)[number % 3]
        words = [*rng.choice(topics[topic], 4), *rng.choice(("the", "play", "a", "b"), 8)]
        rows.append({"body": " ".join(rng.permutation(words)) + f" n{number}", "label": topic})
    return pa.Table.from_pylist(rows)


def chosen(
    rows: pa.Table, work: Path, name: str, patch: pytest.MonkeyPatch, **terms: Any
) -> Outcome:
    """Train with the rung of a name chosen, whatever its score."""

    def choose(rungs: list[Rung], *_: object) -> tuple[Rung, str]:
        return next(rung for rung in rungs if rung.name == name), "it was asked for"

    patch.setattr(ladder, "choose", choose)
    return train(rows, work, **terms)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small sentence encoder's folder."""
    return write_bert(tmp_path_factory.mktemp("encoder") / "bert")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["static vectors", "tuned sentence vectors"])
def test_a_sentence_encoder_brings_its_table_and_tuning(
    articles: pa.Table, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    work = tmp_path / "home" / "work"
    outcome = chosen(articles, work, name, monkeypatch, options={"encoder": str(bert)})
    told = {rung["rung"]: rung for rung in outcome.details["ladder"]["rungs"]}
    assert {"words", "static vectors", "sentence vectors", "tuned sentence vectors"} <= set(told)
    assert any(one.startswith("words") and one.endswith(" + static vectors") for one in told)
    assert told[name]["status"] == "chosen"
    folder = tmp_path / "version"
    folder.mkdir()
    save_pipeline(outcome.pipeline, folder, outcome.contents)
    again = load_pipeline(folder)
    rows = [(body,) for body in articles["body"].to_pylist()[:9]]
    assert bind(again).many(rows) == bind(outcome.pipeline).many(rows)
    assert [bind(again).one(row) for row in rows] == bind(again).many(rows)
    # The version stands by itself: its own rung learns again, the table is not made anew.
    retrained = train(articles, work, start=folder, options={"encoder": str(bert)})
    assert retrained.contents.recipe["rung"] == name
    assert retrained.metrics == outcome.metrics


@pytest.mark.slow
def test_encoders_of_one_kind_have_names_of_their_own(
    articles: pa.Table, bert: Path, tmp_path: Path
) -> None:
    table = write_static(tmp_path / "table")
    outcome = train(articles, tmp_path / "w", options={"encoder": f"{bert},{table},{bert}"})
    names = [rung["rung"] for rung in outcome.details["ladder"]["rungs"]]
    assert len(names) == len(set(names))
    assert {"static vectors", "static vectors of table"} <= set(names)


@pytest.mark.slow
def test_a_bound_on_latency_is_held_against_what_computes(
    articles: pa.Table, bert: Path, tmp_path: Path
) -> None:
    """Vectors that a cache holds already do not make an encoder quick."""
    options = {"encoder": str(bert)}
    train(articles, tmp_path / "w", options=options)
    again = train(articles, tmp_path / "w", options=options | {"latency": "0.000001ms"})
    told = {rung["rung"]: rung for rung in again.details["ladder"]["rungs"]}
    assert told["sentence vectors"]["status"] == "skipped"
    assert "ms an article is more than" in told["sentence vectors"]["why"]


@pytest.mark.slow
def test_a_table_that_the_budget_does_not_allow_is_not_made(
    articles: pa.Table, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presets.DistilledEncoder, "seconds_needed", 1e6)
    outcome = train(articles, tmp_path / "h" / "w", options={"encoder": str(bert)})
    told = {rung["rung"]: rung for rung in outcome.details["ladder"]["rungs"]}
    assert told["static vectors"]["status"] == "skipped"
    assert "making its table takes about 1,000,000 s" in told["static vectors"]["why"]
    assert not (tmp_path / "h" / "static-tables").exists()


@pytest.mark.slow
def test_an_adapter_draws_a_class_together(tmp_path: Path) -> None:
    """Planted: one direction of sixteen tells the classes, the others are noise."""
    rng = np.random.default_rng(0)
    truth = np.eye(2, dtype=bool)[rng.integers(0, 2, 80)]
    rows = rng.normal(size=(80, 16)).astype(np.float32)
    rows[:, 0] += np.where(truth[:, 0], 1.5, -1.5)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def margin(vectors: np.ndarray) -> float:
        alike, same = vectors @ vectors.T, truth[40:, :1] == truth[40:, :1].T
        return float(alike[same].mean() - alike[~same].mean())

    learned = fit_adapter(rows[:40], truth[:40], Job(seed=1, threads=1))
    assert margin(learned.of(rows)[40:]) > 1.02 * margin(rows[40:])
    again = fit_adapter(rows[:40], truth[:40], Job(seed=1, threads=1))
    np.testing.assert_array_equal(again.matrix, learned.matrix)
    learned.save(tmp_path)
    found = Adapter.load(tmp_path).of(rows)
    np.testing.assert_array_equal(found[:3], learned.of(rows[:3]))
    assert learned.of(np.zeros((1, 16), np.float32)).tolist() == [[0.0] * 16]


def test_an_adapter_of_lone_labels_stays_where_it_was() -> None:
    rows = np.eye(4, dtype=np.float32)
    learned = fit_adapter(rows, np.eye(4, dtype=bool), Job(seed=1, threads=1))
    np.testing.assert_allclose(learned.matrix, np.eye(4), atol=1e-6)


@pytest.mark.slow
def test_what_another_encoder_left_is_not_taken_for_ones_own(
    articles: pa.Table, bert: Path, tmp_path: Path
) -> None:
    other = write_bert(tmp_path / "other", seed=5)
    found = []
    for work in ("one", "other"):
        options = {"encoder": str(other)}
        if work == "one":  # in this folder a training with another encoder was killed
            train(articles, tmp_path / "one", options={"encoder": str(bert)})
        ladder_told = train(articles, tmp_path / work, options=options).details["ladder"]
        found.append({rung["rung"]: rung["score"] for rung in ladder_told["rungs"]})
    assert found[0] == found[1]
