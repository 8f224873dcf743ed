"""Collecting: drift counts, joined labels and memory, exact under kills, restarts and machines."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from tests.monitoring.house import House

from promise.data.answer import Number
from promise.errors import DataError
from promise.metrics.drift import SCORE
from promise.monitoring.collect import Collector
from promise.monitoring.drift import summed_counts
from promise.monitoring.index import BLOCK_ROWS
from promise.promises.judge import judge_drift
from promise.promises.spec import ModelFile, Promise
from promise.records.following import Following
from promise.records.machine import home_slot, machine_id
from promise.records.owners import Owners
from promise.records.predictions import PredictionLog
from promise.registry.lifecycle import Lifecycle, Route
from promise.registry.revisions import Revisions
from promise.rollout.outcomes import outcomes_of
from promise.state.files import write_json


@pytest.mark.slow
def test_lines_are_counted_once_in_the_frozen_bins(house: House) -> None:
    house.register()
    log = house.log()
    for _ in range(3):
        house.answer(log, 400)
        house.clock.advance(1800)
    log.close()
    first = house.collect()
    assert (first.lines, first.unreadable, first.more) == (1200, 0, False)
    assert house.collect().lines == 0
    assert house.counted() == {"age": 1200, "city": 1200, "sex": 1200, SCORE: 1200}
    begun = {o.payload["begun"][:16] for o in house.evidence.observed("churn", 1, "psi")}
    assert begun == {"2026-01-01T00:00", "2026-01-01T01:00"}
    reference = json.loads((house.registry.find("churn@1").folder / "reference.json").read_text())
    promise = Promise("drift", "psi", at_most=0.1)
    counts = summed_counts(house.evidence.observed("churn", 1, "psi"))
    assert counts.keys() == reference.keys() == {"age", "city", "sex", SCORE}
    assert judge_drift(promise, reference, counts).status != "BROKEN"
    later = house.log("1")
    house.answer(later, 3000, shift=15)
    later.close()
    house.collect()
    counts = summed_counts(house.evidence.observed("churn", 1, "psi"))
    judged = {name: judge_drift(replace(promise, of=name), reference, counts) for name in counts}
    assert [name for name, found in judged.items() if found.status == "BROKEN"] == ["age"]
    assert judged["age"].n == 4200


@pytest.mark.slow
def test_labels_join_their_answers_and_the_newest_value_counts_once(house: House) -> None:
    house.register()
    log = house.log()
    ids = house.answer(log, 300)
    log.close()
    house.label(ids[:100], "yes")
    found = house.collect()
    assert (found.joined, found.labels) == (100, 100)
    house.label(ids[100:300], "no")
    house.label(ids[:10], "no", source="human")
    house.label(ids[:10], "no", source="human")
    assert house.collect().joined == 210
    assert len(house.evidence.observed("churn", 1, "outcome")) == 2
    assert house.outcomes() == [0.0] * 10 + [1.0] * 90 + [0.0] * 200
    seen = house.evidence.observed("churn", 1, "outcome")
    assert [o.payload["ids"] for o in seen] == [BLOCK_ROWS, 300 - BLOCK_ROWS]
    assert seen[0].payload["group"] == {"sex": [*"fm"] * (BLOCK_ROWS // 2)}
    assert np.asarray(seen[0].payload["output"]).shape == (BLOCK_ROWS, 2)


@pytest.mark.slow
def test_a_label_may_come_before_its_line_and_joins_the_shadow_too(house: House) -> None:
    house.register()
    house.register()
    log = house.log()
    ids = house.answer(log, 5)
    house.label(ids, True)  # a truth value is no class of "no", "yes"
    house.label(ids, "yes")
    assert house.collect().waiting == 5
    log.close()
    assert house.collect().joined == 5
    shadow = house.log("1")
    line = {
        "id": ids[0], "model": "churn", "version": 2, "arm": "shadow", "ms": 1.0, "source": "model",
        "at": house.clock.now().timestamp(), "row": {"age": 1, "city": "lyon", "sex": None},
        "answer": {"prediction": "no", "probability": {"no": 0.75, "yes": 0.25}},
    }  # fmt: skip
    shadow.append("churn", json.dumps(line).encode())
    shadow.close()
    assert house.collect().joined == 1
    assert house.outcomes() == [1.0] * 5
    (seen,) = house.evidence.observed("churn", 2, "outcome")
    assert seen.payload == {
        "y": [1.0],
        "output": [[0.75, 0.25]],
        "at": [house.clock.now().timestamp()],
        "arm": ["shadow"],
        "group": {"sex": [None]},
        "ids": 1,
    }


def test_unknown_classes_are_counted_told_and_taken_back(embedded: House) -> None:
    embedded.register()
    log = embedded.log()
    ids = embedded.answer(log, 3)
    log.close()
    embedded.label(ids[:2], "maybe")
    embedded.label(ids[2:], "yes")
    found = embedded.collect()
    assert dict(found.unknown_labels) == {("churn", "maybe"): 2}
    assert embedded.outcomes() == [1.0]
    embedded.label(ids[2:], "perhaps")
    embedded.label(ids[:1], " no ")
    embedded.collect()
    assert embedded.outcomes() == [0.0]
    collector = Collector(embedded.settings, embedded.clock)
    assert collector.unknown_labels() == {("churn", "maybe"): 2, ("churn", "perhaps"): 1}
    collector.close()


def test_numbers_are_joined_as_numbers_and_declared_groups_are_kept(embedded: House) -> None:
    embedded.register(answer=Number())
    promise = Promise("fair", "accuracy_difference", at_most=0.1, of="city")
    Revisions(embedded.database, embedded.clock).declare("churn", ModelFile(promises=(promise,)))
    log = embedded.log()
    ids = embedded.answer(log, 4, answer={"prediction": 2.5})
    log.close()
    embedded.label(ids[:1], 3)
    embedded.label(ids[1:2], "4.5")
    embedded.label(ids[2:3], "much")
    embedded.collect()
    (seen,) = embedded.evidence.observed("churn", 1, "outcome")
    assert seen.payload["y"] == [3.0, 4.5]
    assert seen.payload["output"] == [[2.5], [2.5]]
    assert set(seen.payload["group"]) == {"city", "sex"}
    assert embedded.counted()[SCORE] == 4


@pytest.mark.slow
def test_two_homes_on_one_host_are_two_machines(house: House) -> None:
    """They share the database and the log, and neither takes the other's away."""
    house.register()
    homes = [replace(house.settings, home=house.settings.home / name) for name in ("a", "b")]
    for home in homes:
        log = PredictionLog(house.settings.records, home_slot(home, "0"), clock=house.clock)
        house.label(house.answer(log, 50), "yes")
        log.close()
    for _ in range(2):
        for home in homes:
            collector = Collector(home, house.clock)
            collector.registry = house.registry
            collector.collect()
            collector.close()
    seen = house.evidence.observed("churn", 1, "outcome")
    assert sum(len(one.payload["y"]) for one in seen) == 100
    assert len({one.key.partition(":")[0] for one in seen}) == 2


@pytest.mark.slow
def test_each_machine_collects_its_own(house: House) -> None:
    house.register()
    logs = [PredictionLog(house.settings.records, f"{m}.0", clock=house.clock) for m in "ab"]
    ids = [house.answer(log, 50) for log in logs]
    for log in logs:
        log.close()
    house.label(ids[0] + ids[1], "yes")
    run = {m: replace(house.settings, home=house.settings.home / m) for m in "ab"}
    for machine, settings in run.items():
        collector = Collector(settings, house.clock, machine=machine)
        collector.registry = house.registry
        found = collector.collect()
        assert (found.lines, found.joined, found.elsewhere) == (50, 50, 50)
        collector.close()
    assert len(house.outcomes()) == 100
    assert house.counted()["age"] == 100


@pytest.mark.slow
def test_a_label_is_taken_at_once_anywhere_and_its_owner_is_noted_later(house: House) -> None:
    """Two machines share the database; only the first one answered, and only it can know."""
    house.register()
    log = house.log()
    ids = house.answer(log, 4)
    elsewhere = replace(house.labels, owners=Owners(house.settings.home / "other"))
    (early,) = elsewhere.add([{"prediction_id": ids[0], "label": "yes"}])
    assert (early.model, early.unchanged) == ("", False)
    elsewhere.add([{"prediction_id": ids[1], "label": "no", "model": "price"}])
    assert house.collect().waiting == 2, "its lines are not written yet"
    log.close()
    assert house.collect().joined == 2
    assert [label.model for each in ids[:2] for label in house.labels.of(each)] == ["churn"] * 2
    elsewhere.add([{"prediction_id": ids[2], "label": "no", "source": "clerk"}])
    elsewhere.add([{"prediction_id": ids[2], "label": "yes", "model": "churn"}])
    elsewhere.add([{"prediction_id": ids[3], "label": "no", "model": "price"}])
    found = house.collect()
    assert (found.joined, found.misnamed) == (2, 1)
    assert {label.model for each in ids for label in house.labels.of(each)} == {"churn"}
    assert sorted(house.outcomes()) == [0.0, 0.0, 1.0, 1.0]
    with pytest.raises(DataError, match="is of the model 'churn', not of 'price'"):
        elsewhere.add([{"prediction_id": ids[0], "label": "no", "model": "price"}])
    assert elsewhere.add([{"prediction_id": ids[0], "label": "yes"}])[0].unchanged


@pytest.mark.slow
def test_reading_on_gives_what_reading_all_gives(house: House) -> None:
    """Labels come late, twice, changed and taken back, while answers go on."""
    house.register()
    rng, log = np.random.default_rng(11), house.log()
    following = Following(house.database, "churn", 1, "outcome")
    ids: list[str] = []
    for _ in range(12):
        log.close()
        log = house.log()
        ids += house.answer(log, int(rng.integers(1, 200)))
        house.clock.advance(float(rng.integers(0, 50)))
        chosen = [str(i) for i in rng.choice(ids, min(len(ids), 150), replace=False)]
        for value, share in (("yes", 0.5), ("no", 0.5), ("maybe", 0.1)):
            some = [i for i in chosen if rng.random() < share]
            house.label(some, value, source=str(rng.choice(["api", "human"])))
        house.collect()
        since = None if rng.random() < 0.5 else house.clock.now()
        on, whole = following.read(since), house.evidence.observed("churn", 1, "outcome", since)
        assert on == whole
        first, second = outcomes_of(on, "sex"), outcomes_of(whole, "sex")
        assert (first and first.digest) == (second and second.digest)
    log.close()
    assert len(house.outcomes()) > BLOCK_ROWS


def test_what_cannot_be_read_is_left_out_and_counted(embedded: House) -> None:
    embedded.register()
    log = embedded.log()
    embedded.answer(log, 10)
    log.append("churn", b"not json")
    log.append("churn", b'{"id": "x", "version": "1"}')
    embedded.answer(log, 2, row={"age": 1, "village": "x", "sex": "f"})
    embedded.answer(log, 3, version=9)
    embedded.answer(log, 4, source="heuristic", arm="fallback")
    log.append("elsewhere", b'{"id": "x", "version": 1, "at": 0, "row": {}}')
    log.close()
    found = embedded.collect()
    assert (found.lines, found.unreadable) == (22, 8)
    counted = embedded.counted()
    assert (counted["age"], counted[SCORE]) == (14, 10)


def test_a_long_backlog_is_read_in_parts(embedded: House) -> None:
    embedded.register()
    log = embedded.log()
    embedded.answer(log, 300, row={"age": 1, "city": "x" * 40_000, "sex": "f"})
    log.close()
    first = embedded.collect(limit_mb=2.0)
    assert first.more
    assert 0 < first.lines < 300
    while embedded.collect(limit_mb=2.0).more:
        pass
    assert embedded.counted()["age"] == 300


@pytest.mark.slow
def test_rows_tell_their_arm_and_time_and_drift_is_cut_where_a_stage_began(house: House) -> None:
    for _ in range(2):
        house.register()
    lifecycle = Lifecycle(house.database, house.clock)
    first = lifecycle.commit(
        None, "promote", Route("churn", "steady", live=1, since=house.clock.now()), reason="first"
    )
    house.clock.advance(600)
    log = house.log()
    ids = house.answer(log, 3, version=2, arm="shadow")
    house.collect()
    house.clock.advance(600)
    began = house.clock.now()
    route = Route("churn", "canary", live=1, candidate=2, share=1000, since=began)
    lifecycle.commit(first, "advance", route, reason="to the canary")
    ids += house.answer(log, 4, version=2, arm="canary")
    log.close()
    house.clock.advance(60)
    house.label(ids, "yes")
    house.collect()
    (block,) = house.evidence.observed("churn", 2, "outcome")
    assert block.payload["arm"] == ["shadow"] * 3 + ["canary"] * 4
    assert [at >= began.timestamp() for at in block.payload["at"]] == [False] * 3 + [True] * 4
    counted = house.evidence.observed("churn", 2, "psi")
    assert summed_counts(counted)["age"]["missing"] == 0
    rows = [sum(summed_counts(counted, since)["age"]["bins"]) for since in (None, began)]
    assert rows == [7, 4]


def test_memory_of_the_workers_is_observed_for_every_loaded_version(embedded: House) -> None:
    embedded.register()
    lifecycle = Lifecycle(embedded.database, embedded.clock)
    lifecycle.commit(None, "promote", Route("churn", "steady", live=1), reason="first")
    collector = Collector(embedded.settings, embedded.clock)
    collector.collect()
    assert embedded.evidence.observed("churn", 1, "memory") == []
    write_json(embedded.settings.run / "workers.json", {"pids": [os.getpid(), 2**30]})
    for _ in range(3):
        embedded.clock.advance(30)
        collector.collect()
    collector.close()
    seen = embedded.evidence.observed("churn", 1, "memory")
    assert len(seen) == 2  # minutes
    assert seen[0].payload["pss_mb"] > 10
    assert seen[0].payload["machine"] == machine_id(embedded.settings)
