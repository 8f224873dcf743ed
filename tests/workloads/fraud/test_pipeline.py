"""From a file of events to a version that decides, and back from its folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from promise.data.columns import Columns
from promise.data.source import open_source
from promise.data.synthetic_events import World, fraud_events
from promise.errors import ConfigError, DataError
from promise.features.keyed import SEEN, Keyed
from promise.metrics.ranked import recall_at_fpr
from promise.pipeline.artifact import (
    golden_difference,
    load_pipeline,
    read_manifest,
    recipe_of,
    save_pipeline,
)
from promise.pipeline.decision import Cheapest, DecisionPolicy
from promise.pipeline.order import Order, Outcome, workload_named
from promise.registry.registry import Registry
from promise.training.evaluate import evaluate
from promise.training.predict import predict_file
from promise.training.train import train_version
from promise.workloads.fraud import streaming
from promise.workloads.fraud.contents import GATE
from promise.workloads.fraud.pipeline import train_fraud
from promise.workloads.fraud.views import VERSION


def train(data: Any, order: Order, **changed: Any) -> Outcome:
    return train_fraud(open_source(data), replace(order, **changed), lambda _: None)


def test_the_workload_is_installed() -> None:
    kind = workload_named("fraud")
    assert kind.presets == ("default", "reference")
    assert "label_delay" in kind.options


def test_frauds_are_found_far_above_the_baseline(outcome: Outcome) -> None:
    metrics = outcome.metrics
    assert metrics["average_precision"] > 10 * metrics["average_precision_baseline"]
    assert metrics["positive_calibration_error"] < 0.04
    assert metrics["saved"] > 0.3 * metrics["cost_without_model"]
    assert metrics["approved"] + metrics["reviewed"] + metrics["declined"] == pytest.approx(1.0)


def test_what_was_taken_for_what_is_told(outcome: Outcome) -> None:
    assert outcome.details["columns"]["device"] == "device"
    assert "`card` was taken for the entity (by its name)" in outcome.details["told"]
    assert outcome.details["blocks"]["gap_s"] == 7 * 86400
    assert outcome.split.startswith("the latest 20 % of rows by `when`")


def test_a_saved_version_answers_alike_and_names_its_views(
    outcome: Outcome, tmp_path: Path
) -> None:
    save_pipeline(outcome.pipeline, tmp_path, outcome.contents)
    loaded = load_pipeline(tmp_path)
    assert golden_difference(loaded, tmp_path) == 0.0
    manifest = read_manifest(tmp_path)
    assert manifest["views"]["entity"] == VERSION
    assert manifest["lineage"]["roles"]["entity"] == "card"
    assert loaded.task == outcome.pipeline.task
    assert recipe_of(tmp_path)["columns"]["other"] == "shop"
    assert GATE in (tmp_path / "card.md").read_text()


def test_drift_bins_are_kept_of_amounts_features_and_the_score(outcome: Outcome) -> None:
    reference, keyed = outcome.contents.reference, outcome.pipeline.featurize
    assert isinstance(keyed, Keyed)
    assert set(keyed.features.columns) <= set(reference)
    assert reference["amount"]["kind"] == "number"
    assert "card" not in reference


@pytest.mark.slow
def test_training_streamed_judges_the_same_rows_alike(
    outcome: Outcome, events: pa.Table, order: Order, tmp_path: Path
) -> None:
    streamed = train(events, order, full=True, work=tmp_path)
    assert streamed.split == outcome.split
    assert streamed.rows == outcome.rows
    mine, theirs = streamed.contents.evaluation, outcome.contents.evaluation
    assert mine is not None
    assert theirs is not None
    assert (mine["row"] == theirs["row"]).all()
    assert (mine["y"] == theirs["y"]).all()
    # the learners draw otherwise from chunks, so that scores are near and not equal
    assert np.corrcoef(mine["output_1"], theirs["output_1"])[0, 1] > 0.9
    assert streamed.metrics["average_precision"] == pytest.approx(
        outcome.metrics["average_precision"], abs=0.1
    )


@pytest.mark.slow
def test_a_streamed_training_of_some_rows_says_of_how_many(
    events: pa.Table, order: Order, tmp_path: Path
) -> None:
    found = train(events, order, full=True, work=tmp_path, options={"train_rows": "2000"})
    notes = found.details["scorer"]
    assert notes["learned_rows"] == 2000
    assert notes["train_rows"] == found.details["blocks"]["train_rows"] > 2000
    assert f"others of {notes['train_rows']:,} training rows" in notes["sampled"]


@pytest.mark.slow
def test_what_memory_does_not_hold_is_streamed(
    events: pa.Table, order: Order, tmp_path: Path
) -> None:
    told: list[str] = []
    small = replace(order, memory_mb=300.0, work=tmp_path)
    outcome = train_fraud(open_source(events), small, told.append)
    assert outcome.details["blocks"]["streamed"]
    assert "writing columns" in told


@pytest.mark.slow
def test_device_and_ring_frauds_are_found_by_the_optional_roles_alone(
    order: Order, tmp_path: Path
) -> None:
    world = World(days=80, per_day=300, cards=500, shops=80)
    planted = fraud_events(world, planted=True)["planted"]
    data = fraud_events(world)
    hidden = pc.is_in(planted, pa.array(["device", "ring"])).to_numpy()

    def recall(**columns: str) -> float:
        found = train(data, order, columns=columns, work=tmp_path).contents.evaluation
        assert found is not None
        among = hidden[found["row"]] | (found["y"] == 0)
        return recall_at_fpr(found["y"][among], found["output_1"][among], 0.01)

    blind = recall(device="ignore", ip="ignore", user_agent="ignore")
    assert recall() > 0.6
    assert blind < 0.3


@pytest.mark.slow
def test_evaluate_judges_the_sealed_rows_and_predict_writes_every_decision(
    events: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMISE_HOME", str(tmp_path))
    trained = train_version("fraud", events, name="guard", threads=1)
    version, pipeline = trained.version, trained.outcome.pipeline
    judged = evaluate(pipeline, version, open_source(events))
    assert judged.rows == len(trained.outcome.contents.evaluation["row"])  # type: ignore[index]
    assert judged.score == pytest.approx(trained.outcome.metrics["average_precision"])
    assert judged.metrics["recall_at_fpr_0.01"] == trained.outcome.metrics["recall_at_fpr_0.01"]
    assert judged.metrics["saved"] == pytest.approx(trained.outcome.metrics["saved"])
    out = tmp_path / "out.csv"
    assert predict_file(pipeline, open_source(events), out).rows == events.num_rows
    assert out.read_text().splitlines()[0].startswith('"prediction","score","propensity"')
    again = train_version("fraud", events, name="guard", start="guard@1", threads=1)
    assert again.outcome.contents.recipe["columns"] == trained.outcome.contents.recipe["columns"]
    assert Registry.open().find("guard@2").lineage["parents"] == ["guard@1"]


def test_rows_of_a_file_out_of_order_see_what_happened_before_them(
    outcome: Outcome, events: pa.Table
) -> None:
    keyed = outcome.pipeline.featurize
    assert isinstance(keyed, Keyed)
    from promise.pipeline.request import request_from_table

    rows = request_from_table(events.slice(0, 500), outcome.pipeline.task.request)
    labels = Columns({"label": events["fraud"].to_numpy()[:500].astype(np.float64)})
    straight = keyed.replay_by_time(rows, labels)[SEEN]
    order = np.random.default_rng(1).permutation(500)
    mixed = keyed.replay_by_time(rows.take(order), labels.take(order))[SEEN]
    assert np.array_equal(mixed, straight[order], equal_nan=True)


@pytest.mark.slow
def test_the_policy_weighs_costs_and_keeps_to_the_capacity(events: pa.Table, order: Order) -> None:
    options = {"review_per_day": "2", "cost_review": "1", "explore": "0.1", "explore_most": "50"}
    found = train(events, order, options=options)
    policy = found.pipeline.decide
    assert isinstance(policy, DecisionPolicy)
    assert isinstance(policy.rule, Cheapest)
    assert policy.rule.costs.review == 1.0
    assert policy.rule.price > 0
    assert found.metrics["reviews_per_day"] < 4
    assert policy.exploration is not None
    assert policy.exploration.key == "event_id"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"resume": True}, "--resume"),
        ({"split": "random"}, "say temporal:COLUMN"),
        ({"options": {"label_delay": "40d"}}, "too short for a training block"),
        ({"columns": {"event_id": "ignore"}, "options": {"explore": ".1"}}, "--column id=NAME"),
    ],
)
def test_orders_that_cannot_be_meant_are_refused(
    changed: dict[str, Any], words: str, events: pa.Table, order: Order
) -> None:
    with pytest.raises((ConfigError, DataError), match=words):
        train(events, order, **changed)


@pytest.mark.slow
def test_the_reference_preset_trains_as_the_first_design_says(
    events: pa.Table, order: Order
) -> None:
    pytest.importorskip("torch", reason="the deep extra is not installed")
    found = train(events, order, preset="reference", options={"train_rows": "1500", "smote": "0.3"})
    members = found.details["scorer"]["members"]
    assert [m["kind"] for m in members] == ["xgboost", "tabnet"]
    assert [m["weight"] for m in members] == [0.6, 0.4]
    assert found.details["scorer"]["scale"] == "probability"
    assert "every fraud" in found.details["scorer"]["sampled"]
    assert found.metrics["average_precision"] > 5 * found.metrics["average_precision_baseline"]


@pytest.mark.slow
def test_labels_that_tell_when_they_were_known_are_judged_alike_again(
    events: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMISE_HOME", str(tmp_path))
    known = events["when"].to_numpy() + np.timedelta64(3, "D")
    known[::7] = np.datetime64("NaT")
    told = events.append_column("reported_at", pa.array(known))
    trained = train_version("fraud", told, name="guard", threads=1)
    assert trained.outcome.details["columns"]["known_at"] == "reported_at"
    judged = evaluate(trained.outcome.pipeline, trained.version, open_source(told))
    assert judged.score == trained.outcome.metrics["average_precision"]


@pytest.mark.slow
def test_a_part_of_a_long_block_gives_the_capacity_of_its_share(
    events: pa.Table, order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "JUDGED_ROWS", 600)
    options = {"review_per_day": "4", "cost_review": "0.2"}
    found = train(events, order, full=True, work=tmp_path, options=options)
    evaluation = found.contents.evaluation
    assert evaluation is not None
    assert len(evaluation["row"]) == 600
    share = 600 / found.details["blocks"]["holdout_rows"]
    assert found.metrics["reviews_per_day"] < 2.5 * 4 * share
    assert any("of the holdout block 600 of" in line for line in found.details["told"])
