"""Training names end to end: three splits, baselines, rules, unknown, hierarchy, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.workloads.domains.conftest import train

from promise.data.columns import Columns
from promise.data.synthetic import name_table
from promise.errors import ConfigError, DataError
from promise.features.names import normalise_many, pinned_suffixes
from promise.models.hashed import Batch, HashedLinear, counted
from promise.pipeline.artifact import golden_difference, load_pipeline, save_pipeline
from promise.pipeline.order import Outcome
from promise.workloads.domains.naming import Naming


def answers(outcome: Outcome, names: list[str]) -> Columns:
    return outcome.pipeline.predict(Columns({"domain": np.array(names, dtype=object)}))


@pytest.mark.slow
def test_each_split_is_told_beside_its_baselines(outcome: Outcome) -> None:
    splits = outcome.details["splits"]
    assert next(iter(splits)) == "registrable"
    assert set(splits) == {"random", "registrable", "brand"}
    for one in splits.values():
        baselines = one["baselines"]
        assert one["accuracy"] > baselines["suffix"]["accuracy"] + 0.2
        assert one["accuracy"] > baselines["majority"]["accuracy"] + 0.2
        assert one["ci"][0] <= one["accuracy"] <= one["ci"][1]
        coverages = [point["coverage"] for point in one["coverage"]]
        assert coverages == sorted(coverages)
        thresholds = [point["threshold"] for point in one["coverage"]]
        assert thresholds == sorted(thresholds, reverse=True)
        assert sum(row["rows"] for row in one["per_class"]) == one["rows"]
    assert outcome.metrics["accuracy"] == splits["registrable"]["accuracy"]
    assert "| registrable |" in outcome.contents.card


def test_a_version_keeps_its_digits(outcome: Outcome, tmp_path: Path) -> None:
    save_pipeline(outcome.pipeline, tmp_path, outcome.contents)
    assert golden_difference(load_pipeline(tmp_path), tmp_path) == 0.0


@pytest.mark.slow
def test_another_split_is_another_metric_of_the_same_model(
    rows: pa.Table, outcome: Outcome, tmp_path: Path
) -> None:
    other = train(rows, tmp_path, split="brand")
    assert other.details["splits"]["random"] == outcome.details["splits"]["random"]
    assert other.metrics["accuracy"] == outcome.details["splits"]["brand"]["accuracy"]
    with pytest.raises(ConfigError, match="did you mean 'brand'"):
        train(rows, tmp_path / "x", split="brands")


def test_what_is_no_name_is_unknown(outcome: Outcome) -> None:
    found = answers(outcome, ["10.0.0.1", "", "a..b"])
    assert found["prediction"].tolist() == ["unknown"] * 3
    assert found["path"].tolist() == ["none"] * 3
    assert found["probability"].sum() == 0.0


@pytest.mark.slow
def test_given_rules_answer_and_say_so(rows: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "rules.txt"
    path.write_text("special.example category_03\n")
    outcome = train(rows, tmp_path / "work", options={"rules": str(path)})
    found = answers(outcome, ["a.special.example", "notspecial.example"])
    assert found["path"].tolist() == ["rule", "model"]
    assert found["prediction"][0] == "category_03"
    assert found["rule"][0] == {"suffix": "special.example", "source": "given", "rows": 0}
    assert found["rule"][1] is None
    assert set(found["alternatives"][0]).isdisjoint({"category_03"})


@pytest.mark.slow
def test_background_names_are_learned_as_unknown(rows: pa.Table, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    letters = np.array(list("qxwyj0123456789"))
    none = ["".join(rng.choice(letters, 12)) + ".biz" for _ in range(600)]
    path = tmp_path / "background.txt"
    path.write_text("\n".join([*none[:500], *rows["domain"].to_pylist()[:5]]))
    outcome = train(rows, tmp_path / "work", options={"background": str(path), "reject": "0.05"})
    unknown = outcome.details["unknown"]
    assert unknown["rejected"] > 0.9
    assert unknown["false_rejection"] == 0.05
    assert unknown["frontier"][-1]["rejected"] >= unknown["frontier"][0]["rejected"]
    found = answers(outcome, none[500:])
    assert (found["prediction"] == "unknown").mean() > 0.9
    score = outcome.pipeline.score
    assert isinstance(score, HashedLinear)
    names = normalise_many(none[:500], pinned_suffixes())
    batch = Batch(names.data, names.offsets, names.cuts, np.zeros(500, np.int64))
    # what only names of no class have counts as well; a fifth of them is held out
    assert np.isin(np.flatnonzero(counted([batch])), score.buckets).mean() > 0.7
    assert (found["probability"].sum(axis=1) <= 1.0).all()
    path.write_text("lonely.biz")
    with pytest.raises(ConfigError, match="give at least 100"):
        train(rows, tmp_path / "few", options={"background": str(path)})


@pytest.mark.parametrize("share", ["1", "x", "-0.1"])
def test_a_wrong_share_is_refused(rows: pa.Table, tmp_path: Path, share: str) -> None:
    with pytest.raises(ConfigError, match="expected a share"):
        train(rows, tmp_path, options={"reject": share})


@pytest.mark.parametrize("option", ["rules", "background", "unknown_share", "reject"])
def test_an_option_that_a_reference_preset_does_not_follow_is_refused(
    rows: pa.Table, tmp_path: Path, option: str
) -> None:
    with pytest.raises(ConfigError, match=f"--set {option}: the preset 'reference' has neither"):
        train(rows, tmp_path, preset="reference", options={option: "0.5"})


@pytest.mark.slow
def test_answers_go_up_where_the_class_is_unsure(tmp_path: Path) -> None:
    rows = name_table(1_500, n_classes=4)
    labels = rows["category"].to_pylist()
    above = ["odd" if int(label[-1]) % 2 else "even" for label in labels]
    table = rows.append_column("owner", pa.array(above))
    outcome = train(table, tmp_path, target="category", options={"company": "owner"})
    policy = outcome.pipeline.decide
    assert isinstance(policy, Naming)
    assert policy.levels[0].name == "owner"
    found = answers(outcome, rows["domain"].to_pylist()[:300])
    told = found["owner"]
    right = np.array(above[:300], dtype=object) == told
    assert right.mean() > 0.8
    unsure = found["prediction"] == "unknown"
    if unsure.any():
        assert (found["confidence"][unsure] < policy.threshold).all()


@pytest.mark.slow
def test_columns_are_found_or_asked_for(rows: pa.Table, tmp_path: Path) -> None:
    three = rows.append_column("note", pa.array(["x", "y"] * (len(rows) // 2)))
    assert train(three, tmp_path / "named").pipeline.task.label == "category"
    with pytest.raises(DataError, match="no column of labels beside domain; add one"):
        train(rows.select(["domain"]), tmp_path / "alone")
    with pytest.raises(DataError, match="several columns may hold the label"):
        train(three.rename_columns(["domain", "kind", "note"]), tmp_path / "a")
    with pytest.raises(DataError, match="did you mean 'category'"):
        train(rows, tmp_path / "b", columns={"catgory": "label"})
    with pytest.raises(DataError, match="no column of names"):
        train(rows.rename_columns(["x", "y"]), tmp_path / "c")
    with pytest.raises(ConfigError, match="plays two parts"):
        train(rows, tmp_path / "d", target="domain")
