"""Training on planted worlds: what is found, what is told, and that it comes out the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.workloads.matching.conftest import WORLD, evenings, train

from promise.data.columns import Columns
from promise.data.source import open_source
from promise.data.synthetic_people import Crowd, people_events
from promise.discovery.demo_matching import planted_recall
from promise.errors import ConfigError, DataError
from promise.features.pairs import UNARY
from promise.metrics.pointwise import OF_RANKINGS
from promise.pipeline.artifact import golden_difference, load_pipeline, save_pipeline
from promise.pipeline.order import Outcome
from promise.records.events import Events
from promise.records.history import History
from promise.state.database import Database
from promise.workloads.matching.judged import judge_later
from promise.workloads.matching.stages import ID


def asked(outcome: Outcome, n: int = 30) -> Columns:
    """Return a request for the first people."""
    ids = outcome.pipeline.retrieve.basis.snapshot.people.ids[:n]  # type: ignore[union-attr]
    return Columns({ID: np.array(ids.tolist(), dtype=object)})


@pytest.mark.slow
def test_planted_people_are_found_far_above_popularity(default: Outcome) -> None:
    found = planted_recall(default.pipeline, WORLD, np.arange(WORLD.people))
    assert found.times > 2
    baselines = default.details["baselines"]
    assert default.metrics["recall_at_20"] > baselines["popularity"]["recall_at_20"]["high"]
    assert default.metrics["recall_at_20"] > baselines["random"]["recall_at_20"]["high"]
    assert baselines["content"]["recall_at_20"]["n"] == baselines["random"]["recall_at_20"]["n"]


@pytest.mark.slow
def test_every_metric_comes_with_its_interval(default: Outcome) -> None:
    for metric in OF_RANKINGS:
        low, high = default.details["ci"][metric.name]
        assert low <= default.metrics[metric.name] <= high
    assert {"coverage", "exposure_gini", "match_rate_at_20"} <= set(default.metrics)


def test_stages_lose_recall_one_after_the_other(default: Outcome) -> None:
    stages = default.details["stages"]
    values = [stages[name]["recall"]["value"] for name in ("retrieve", "rank", "decide")]
    assert values[0] >= values[1] >= values[2] - 0.1
    assert stages["retrieve"]["k"] == 100


def test_off_policy_says_that_lists_would_earn_more_than_chance(default: Outcome) -> None:
    told = default.details["off_policy"]
    assert told["shown"] > 0
    assert told["snips"]["value"] > told["logged"]["value"]


@pytest.mark.slow
def test_the_ladder_tells_each_rung_and_why(default: Outcome, reference: Outcome) -> None:
    for outcome in (default, reference):
        ladder = outcome.details["ladder"]
        assert [one["rung"] for one in ladder] == [
            "heuristic", "collaborative", "logistic", "boosted",
        ]  # fmt: skip
        assert all(one["why"] for one in ladder)
    measured = {one["rung"]: one for one in default.details["ladder"]}
    assert measured["collaborative"]["climbed"] == (measured["collaborative"]["gain"]["low"] > 0)
    counted = {one["rung"]: one for one in reference.details["ladder"]}
    assert counted["logistic"]["climbed"]
    assert "1,000,000 people" in counted["boosted"]["why"]


@pytest.mark.slow
def test_the_first_design_reads_nine_features_and_takes_its_shares(reference: Outcome) -> None:
    told = reference.details["importance"]
    assert sorted(one["feature"] for one in told) == sorted(UNARY)
    assert all("coefficient" in one for one in told)
    plan = reference.details["chosen"]["plan"]
    assert (plan["size"], plan["collaborative"], plan["content"]) == (100, 0.5, 0.33)
    assert plan["rings"] == [{"years": 5.0, "same_place": True}]
    assert reference.details["chosen"]["source"] == "factorization"
    model = reference.pipeline.score.fitted.model  # type: ignore[union-attr]
    assert len(np.asarray(model["coef"]).reshape(-1)) == 9


def test_a_ranker_of_candidates_alone_orders_them_alike_for_everybody(reference: Outcome) -> None:
    score = reference.pipeline.score
    names = reference.pipeline.featurize.names  # type: ignore[union-attr]
    rng = np.random.default_rng(1)
    one = rng.random((20, len(names))).astype(np.float32)
    other = one.copy()
    of_both = [names.index(n) for n in ("affinity", "age_gap", "interest_overlap", "chooser_age")]
    other[:, of_both] = rng.random((20, len(of_both)))
    orders = [np.argsort(score.chances(matrix)) for matrix in (one, other)]  # type: ignore[attr-defined]
    assert orders[0].tolist() == orders[1].tolist()


def test_lists_are_of_eligible_people_not_yet_decided_on(default: Outcome) -> None:
    snapshot = default.pipeline.retrieve.basis.snapshot  # type: ignore[union-attr]
    request = asked(default)
    answers = default.pipeline.predict(request)["prediction"]
    for row, answer in enumerate(answers):
        codes = snapshot.roll.rows([one["id"] for one in answer])
        assert len(set(codes.tolist())) == len(codes) <= 20
        assert not set(codes.tolist()) & set(snapshot.seen.row(row)[0].tolist())
        assert (snapshot.people.gender[codes] != snapshot.people.gender[row]).all()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_lists(
    reference: Outcome, people_path: str, events: pa.Table, tmp_path: Path
) -> None:
    again = train(events, tmp_path, people=people_path, preset="reference")
    assert again.metrics == reference.metrics
    request = asked(reference)
    assert np.array_equal(again.pipeline.output(request), reference.pipeline.output(request))


def test_a_saved_version_answers_its_golden_requests_exactly(
    default: Outcome, reference: Outcome, tmp_path: Path
) -> None:
    for number, outcome in enumerate((default, reference)):
        folder = tmp_path / str(number)
        folder.mkdir()
        save_pipeline(outcome.pipeline, folder, outcome.contents)
        assert golden_difference(load_pipeline(folder), folder) == 0.0


def test_a_version_is_judged_by_later_events_only(default: Outcome, events: pa.Table) -> None:
    with pytest.raises(DataError, match="has no event of known people after"):
        judge_later(default.pipeline, open_source(events), {})
    world = Crowd(people=240, days=26, per_day=150, circles=4)
    later = judge_later(default.pipeline, open_source(people_events(world)), {})
    assert later.output.shape == (len(later.y), len(OF_RANKINGS))
    assert later.output[:, 0].mean() > 0.15


def test_settings_out_of_range_are_refused(people_path: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--set explored=40: expected a whole number"):
        train(evenings(), tmp_path, options={"explored": "40"})


@pytest.mark.slow
def test_whole_groups_are_sealed_and_both_sides_compared(tmp_path: Path) -> None:
    outcome = train(evenings(), tmp_path)
    assert outcome.split == "all decisions of 4 of 12 whole values of `wave`"
    chosen = outcome.details["chosen"]
    assert chosen["source"] is None
    assert chosen["rung"] in ("logistic", "boosted")
    assert outcome.metrics["yes_roc_auc"] > 0.75
    gain = outcome.details["decisions"]["gain_of_both_sides"]
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert outcome.metrics["match_roc_auc"] > outcome.metrics["match_roc_auc_one_sided"]
    said = " ".join(outcome.details["told"])
    assert "nobody says whom they seek" in said
    assert "`like`" in said  # stands after the decision


@pytest.mark.slow
def test_decided_pairs_are_judged_as_they_were_in_training(tmp_path: Path) -> None:
    outcome = train(evenings(), tmp_path / "first")
    again = judge_later(outcome.pipeline, open_source(evenings()), outcome.contents.lineage)
    assert "the sealed groups" in again.split
    for name in ("yes_roc_auc", "match_roc_auc", "match_roc_auc_one_sided"):
        assert again.metrics[name] == pytest.approx(outcome.metrics[name])
    assert again.output[:, 0].mean() == pytest.approx(outcome.metrics["recall_at_20"])
    fewer = evenings(n_groups=3, seed=11).drop_columns("like")
    other = judge_later(outcome.pipeline, open_source(fewer), outcome.contents.lineage)
    assert "all decisions" in other.split
    assert other.metrics["yes_roc_auc"] > 0.75
    with pytest.raises(DataError, match="does not tell who met whom in one group"):
        judge_later(
            outcome.pipeline, open_source(fewer.drop_columns("wave")), outcome.contents.lineage
        )


def test_decided_pairs_with_times_judge_a_version_of_events(default: Outcome) -> None:
    later = people_events(Crowd(people=240, days=26, per_day=150, circles=4)).to_pylist()
    rows = [one for one in later if one["type"] in ("like", "super_like", "message", "pass")]
    pairs = pa.table({
        "person": [one["person"] for one in rows],
        "other": [one["other"] for one in rows],
        "decision": [int(one["type"] != "pass") for one in rows],
        "at": pa.array([one["at"] for one in rows], pa.timestamp("us")),
    })  # fmt: skip
    found = judge_later(default.pipeline, open_source(pairs), default.contents.lineage)
    assert len(found.y) > 30
    with pytest.raises(DataError, match="does not tell when decisions were taken"):
        judge_later(
            default.pipeline, open_source(pairs.drop_columns("at")), default.contents.lineage
        )


def test_the_grouped_rule_is_for_pairs(people_path: str, events: pa.Table, tmp_path: Path) -> None:
    terms: dict[str, Any] = {"people": people_path, "split": "grouped:city"}
    with pytest.raises(ConfigError, match="events are cut by their time"):
        train(events, tmp_path, **terms)


@pytest.mark.slow
def test_a_version_trained_again_keeps_what_it_chose(
    default: Outcome, people_path: str, events: pa.Table, tmp_path: Path
) -> None:
    folder = tmp_path / "version"
    folder.mkdir()
    save_pipeline(default.pipeline, folder, default.contents)
    terms = {"people": people_path, "start": folder}
    again = train(events, tmp_path / "again", options={"most_shown": "9"}, **terms)
    chosen, before = again.details["chosen"], default.details["chosen"]
    same = ("preset", "source", "plan", "explored")
    assert [chosen[name] for name in same] == [before[name] for name in same]
    assert [one["source"] for one in again.details["sources"]] == [before["source"]]
    assert again.pipeline.decide.most_shown == 9
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"workload": "matching"', '"workload": "x"'))
    with pytest.raises(ConfigError, match="--from names a version of x"):
        train(events, tmp_path / "other", **terms)


def test_decided_pairs_and_a_log_of_events_are_not_mixed(tmp_path: Path) -> None:
    events = Events(Database("sqlite://"))
    like = {"event_id": "e", "entity": "ann", "other": "bob", "type": "like"}
    events.add("meet", [like])
    log = History(events.database, "meet")
    with pytest.raises(DataError, match=r"on the log alone \(promise train matching --name meet"):
        train(evenings(), tmp_path, log=log)
