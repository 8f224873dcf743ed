"""Training articles end to end: the ladder, what is noticed, what is kept, what comes again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.workloads.articles.conftest import train

from promise.data.columns import Columns
from promise.data.synthetic_articles import article_table
from promise.errors import ArtifactError, ConfigError, DataError
from promise.metrics.pointwise import metric_named
from promise.models.encoder import open_encoder
from promise.models.text_linear import Margins
from promise.pipeline.answers import answer_rows
from promise.pipeline.artifact import golden_difference, load_pipeline, save_pipeline
from promise.pipeline.order import Outcome
from promise.pipeline.request import request_from_rows
from promise.workloads.articles.learners import OfVectors
from promise.workloads.articles.task import TEXT


def asked(outcome: Outcome, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    request = request_from_rows(rows, outcome.pipeline.task.request)
    return answer_rows(outcome.pipeline, outcome.pipeline.predict(request))


@pytest.mark.slow
def test_planted_topics_are_found_and_the_rung_is_told(outcome: Outcome) -> None:
    ladder = outcome.details["ladder"]
    assert outcome.metrics["f1_macro"] > 0.85
    assert outcome.metrics["f1_macro"] > outcome.details["baselines"]["majority"]["f1_macro"] + 0.5
    assert [rung["rung"] for rung in ladder["rungs"]] == ["words", "words and characters"]
    assert [r["rung"] for r in ladder["rungs"] if r["status"] == "chosen"] == [ladder["rung"]]
    for rung in ladder["rungs"]:
        assert rung["ci"][0] <= rung["score"] <= rung["ci"][1]
        assert rung["latency_ms"] > 0
        assert rung["features"] > 100
    assert ladder["reason"] in outcome.contents.card
    assert "| words |" in outcome.contents.card
    assert outcome.details["next_rung"]["rows"] > 120
    json.dumps(outcome.details)


def test_a_version_keeps_its_digits_and_a_batch_is_its_rows(
    rows: pa.Table, outcome: Outcome, tmp_path: Path
) -> None:
    save_pipeline(outcome.pipeline, tmp_path, outcome.contents)
    loaded = load_pipeline(tmp_path)
    assert golden_difference(loaded, tmp_path) == 0.0
    few = rows.select(["title", "body"]).slice(0, 7).to_pylist()
    request = request_from_rows(few, loaded.task.request)
    whole = loaded.output(request)
    single = [loaded.output(request.take(np.array([row])))[0] for row in range(7)]
    np.testing.assert_array_equal(whole, np.stack(single))


@pytest.mark.slow
def test_the_same_order_gives_the_same_weights(
    rows: pa.Table, outcome: Outcome, tmp_path: Path
) -> None:
    again = train(rows, tmp_path)
    request = request_from_rows(
        rows.select(["title", "body"]).to_pylist(), outcome.pipeline.task.request
    )
    np.testing.assert_array_equal(again.pipeline.output(request), outcome.pipeline.output(request))
    assert again.metrics == outcome.metrics


@pytest.mark.slow
def test_several_labels_are_answered_as_a_list(several: Outcome, tmp_path: Path) -> None:
    assert several.metrics["f1_macro"] > 0.75
    assert set(several.metrics) >= {"f1_micro", "subset_accuracy", "average_precision"}
    row = article_table(1, several=True, clarity=0.6, seed=11)
    answer = asked(several, [{"title": None, "body": row["body"][0].as_py()}])[0]
    assert answer["prediction"] == row["topic"][0].as_py()
    assert set(answer["probability"]) == {"business", "culture", "politics", "science"}
    assert answer["review"] in (True, False)
    save_pipeline(several.pipeline, tmp_path, several.contents)
    assert golden_difference(load_pipeline(tmp_path), tmp_path) == 0.0


def test_odd_texts_are_answered(outcome: Outcome) -> None:
    told = article_table(1, clarity=0.8, seed=5)
    body, topic = told["body"][0].as_py(), told["topic"][0].as_py()
    page = f"<html><style>x</style><p>{body}</p></html>"
    odd: list[Any] = ["", None, "私は元気です。", "Съешь же ещё", "\0 <b", "a" * 1_000_000, page]
    answers = asked(outcome, [{"title": "", "body": text} for text in odd])
    for answer in answers:
        assert sum(answer["probability"].values()) == pytest.approx(1.0)
    assert answers[-1]["prediction"] == topic


@pytest.mark.slow
def test_what_is_strange_is_named(tmp_path: Path) -> None:
    table = article_table(80, clarity=0.4)
    cells = table.to_pydict()
    cells["topic"][3] = "Sport " if cells["topic"][3] != "Sport " else "x"
    cells["topic"] = ["sport" if t == "science" else t for t in cells["topic"]]
    cells["topic"][0] = None
    for name in ("title", "body", "source"):  # an article twice, with two labels; once more agreed
        cells[name] += [cells[name][1], cells[name][1]]
    cells["topic"] += ["strange", cells["topic"][1]]
    cells["body"][5] = cells["title"][5] = ""
    cells["body"][7] = "Der Minister sagte, das ist nicht der Plan, und die Wahl ist nicht weit."
    for row in (8, 9):
        cells["body"][row] = "The minister said that it was not the plan, and this is not so."
    found = train(pa.table(cells), tmp_path).details["noticed"]
    assert found["unlabelled"] == 1
    assert found["conflicts"]["articles"] == 1
    assert found["conflicts"]["left_out"] == 1
    assert found["conflicts"]["examples"][0]["rows"] == [1, 80, 81]
    assert found["copies"]["rows"] >= 1
    assert found["empty"]["articles"] == 1
    assert found["languages"]["articles"] == {"en": 2, "de": 1}
    assert found["languages"]["rows"] == [7]
    assert "articles are in 2 languages: en (2), de (1)" in found["languages"]["in_words"]
    assert any("'Sport'" in line and "'sport'" in line for line in found["spellings"])
    assert found["single"] == ["Sport"]
    assert "Sport" not in found["not_learned"]
    assert found["copies_across"] == 0


def test_one_class_and_missing_columns_are_refused(rows: pa.Table, tmp_path: Path) -> None:
    alike = rows.set_column(3, "topic", pa.array(["sport"] * rows.num_rows))
    with pytest.raises(DataError, match="one class \\('sport'\\)"):
        train(alike, tmp_path)
    with pytest.raises(DataError, match="--column label=NAME"):
        train(rows.rename_columns(["title", "body", "a", "b"]), tmp_path)
    with pytest.raises(ConfigError, match="latency"):
        train(rows, tmp_path, options={"latency": "soon"})
    with pytest.raises(ConfigError, match="did you mean 'encoder'"):
        train(rows, tmp_path, options={"encodr": "x"})
    with pytest.raises(ConfigError, match="there is no encoder"):
        train(rows, tmp_path, options={"encoder": str(tmp_path / "none")})


@pytest.mark.slow
def test_one_column_of_text_suffices(tmp_path: Path) -> None:
    table = article_table(60, clarity=0.4).select(["body", "topic"])
    table = table.rename_columns(["wording", "what"])
    outcome = train(table, tmp_path, columns={"wording": "body"}, options={"precision": "0.9"})
    assert outcome.pipeline.task.request.names == ("wording",)
    assert outcome.metrics["f1_macro"] > 0.7


@pytest.mark.slow
def test_the_split_that_is_given_is_kept(rows: pa.Table, tmp_path: Path) -> None:
    part = pa.array(["test" if row % 3 == 0 else "train" for row in range(rows.num_rows)])
    outcome = train(rows.append_column("part", part), tmp_path, split="given:part")
    assert outcome.rows == 80
    assert outcome.contents.rows["holdout"].tolist() == list(range(0, 120, 3))
    days = pa.array(np.datetime64("2026-01-01") + np.arange(120))
    late = train(rows.append_column("day", days), tmp_path / "late", split="temporal:day")
    assert late.contents.rows["holdout"].min() > late.contents.rows["train"].max()


@pytest.mark.slow
def test_an_encoder_joins_the_ladder(rows: pa.Table, vectors: Path, tmp_path: Path) -> None:
    outcome = train(rows, tmp_path / "w", options={"encoder": str(vectors)})
    names = [rung["rung"] for rung in outcome.details["ladder"]["rungs"]]
    assert "static vectors" in names
    assert any(" + static vectors" in name for name in names)
    vectors_rung = next(
        rung for rung in outcome.details["ladder"]["rungs"] if rung["rung"] == "static vectors"
    )
    assert vectors_rung["features"] == 8


def test_a_table_from_a_text_file_is_known_again(vectors: Path, tmp_path: Path) -> None:
    linear = Margins(np.ones((8, 2), np.float32), np.zeros(2, np.float32))
    learned = OfVectors(open_encoder(vectors), linear)
    articles = Columns({TEXT: np.array(["market film vote"], dtype=object)})
    learned.save(tmp_path)
    found = OfVectors.load(tmp_path).margins(articles)
    np.testing.assert_array_equal(found, learned.margins(articles))
    told = tmp_path / "vectors.json"
    told.write_text(told.read_text().replace('"weights_hash": "', '"weights_hash": "0'))
    with pytest.raises(ArtifactError, match="not the encoder that the version was trained with"):
        OfVectors.load(tmp_path)


@pytest.mark.slow
def test_a_bound_on_latency_leaves_dear_rungs_out(rows: pa.Table, tmp_path: Path) -> None:
    outcome = train(rows, tmp_path, options={"latency": "0.000001ms"})
    ladder = outcome.details["ladder"]
    assert "no rung keeps the latency" in ladder["reason"]
    assert {rung["status"] for rung in ladder["rungs"]} == {"too slow", "chosen"}


@pytest.mark.slow
def test_a_killed_ladder_goes_on_where_it_was(
    rows: pa.Table, outcome: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promise.workloads.articles import ways

    learned: list[int] = []
    fit = ways.fit_support

    def counted(features: Any, truth: Any, **terms: Any) -> Any:
        learned.append(len(truth))
        if len(learned) == 20:
            raise KeyboardInterrupt
        return fit(features, truth, **terms)

    monkeypatch.setattr(ways, "fit_support", counted)
    with pytest.raises(KeyboardInterrupt):
        train(rows, tmp_path)
    learned.append(0)
    resumed = train(rows, tmp_path, resume=True)
    first = len(learned)
    monkeypatch.setattr(ways, "fit_support", fit)
    assert resumed.metrics == outcome.metrics
    assert resumed.contents.recipe == outcome.contents.recipe
    learned.clear()
    monkeypatch.setattr(ways, "fit_support", counted)
    learned.extend([0] * 20)
    train(rows, tmp_path / "anew")
    assert first - 21 < len(learned) - 20  # what was finished was not learned again


@pytest.mark.slow
def test_a_version_is_trained_again_on_its_own_rung(
    rows: pa.Table, outcome: Outcome, tmp_path: Path
) -> None:
    folder = tmp_path / "version"
    folder.mkdir()
    save_pipeline(outcome.pipeline, folder, outcome.contents)
    more = pa.concat_tables([rows, article_table(60, seed=8)])
    again = train(more, tmp_path / "work", start=folder)
    assert again.details["ladder"]["rung"] == outcome.details["ladder"]["rung"]
    assert "trained again" in again.details["ladder"]["reason"]
    assert again.pipeline.task.answer == outcome.pipeline.task.answer
    assert again.rows > outcome.rows


@pytest.mark.slow
def test_the_reference_preset_is_trained(tmp_path: Path) -> None:
    table = article_table(210, clarity=0.3, n_words=30)
    outcome = train(table, tmp_path, preset="reference")
    assert outcome.details["ladder"]["rung"] == "conservative features"
    assert outcome.details["next_rung"] is None
    assert outcome.metrics["f1_macro"] > 0.6
    assert outcome.pipeline.task.request.names == ("title", "body", "source")
    folder = tmp_path / "version"
    folder.mkdir()
    save_pipeline(outcome.pipeline, folder, outcome.contents)
    assert golden_difference(load_pipeline(folder), folder) == 0.0


@pytest.mark.slow
def test_evaluation_rows_score_as_they_were_told(several: Outcome) -> None:
    kept = several.contents.evaluation
    assert kept is not None
    answer = several.pipeline.task.answer
    wide = np.column_stack([kept[name] for name in kept if name.startswith("output_")])
    metric = metric_named("f1_macro", answer)
    score = metric.score(kept["y"], wide, several.pipeline.multipliers)
    assert score == several.metrics["f1_macro"]
    policy = several.pipeline.decide
    assert len(policy.many(Columns({}), wide)["prediction"]) == len(kept["y"])
