"""Versions that read other fields share a model: each answers what fits it, unseen by users."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from promise.pipeline.artifact import load_pipeline
from promise.pipeline.bind import bind
from promise.registry.lifecycle import BUCKETS, Route

pytestmark = pytest.mark.anyio

ROW = {"age": 70.0, "income": 1200.5, "plan": "gold"}
WIDE = {**ROW, "region": "north"}
PATH = "/v1/models/churn/predict"
DETAIL = {"title", "status", "detail"}


def series(worker: Any, version: int, arm: str) -> tuple[int, int]:
    """Return requests and errors of one version in one role."""
    found = worker.counters.series("churn", version, arm, ())
    return found.requests, found.errors


def unfit(worker: Any, version: int) -> int:
    """Return how many requests did not fit a version."""
    found: int = worker.counters.totals.get(("unfit", f"churn@{version}"), 0)
    return found


def by_fields(logged: list[dict[str, Any]]) -> set[tuple[int, str, str]]:
    """Return (version, arm, fields) of logged lines."""
    return {(one["version"], one["arm"], " ".join(sorted(one["row"]))) for one in logged}


def canary(house: Any, what: str, share: int = BUCKETS) -> Any:
    """Deploy the usual version and give another one the share of the traffic."""
    house.deploy()
    house.register(what=what)
    house.commit(Route("churn", "canary", live=1, candidate=2, share=share, salt="s"), "deploy")
    return house.worker()


@pytest.mark.slow
async def test_a_shadow_with_an_added_column_answers_what_has_it(
    house: Any, client: Any, lines: Any
) -> None:
    house.deploy()
    house.register(what="wider")
    house.commit(Route("churn", "shadow", live=1, candidate=2, salt="s"), "deploy")
    worker = house.worker()
    async with client(worker) as http:
        answers = [(await http.post(PATH, json=row)).json() for row in (ROW, WIDE)]
        batch = {"rows": [WIDE, ROW]}
        assert (await http.post(PATH, json=batch)).status_code == 200
    await worker.answering.shadowing.settle()
    assert {answer["version"] for answer in answers} == {1}
    assert series(worker, 2, "shadow") == (1, 0)
    assert unfit(worker, 2) == 2
    logged = lines(worker)
    assert by_fields(logged) == {(1, "live", "age income plan"),
                                 (2, "shadow", "age income plan region")}  # fmt: skip
    shadow = next(line for line in logged if line["arm"] == "shadow")
    assert shadow["id"] == answers[1]["predictions"][0]["id"]
    assert shadow["answer"]["prediction"] == "no"


@pytest.mark.slow
async def test_a_canary_answers_what_fits_it_and_the_live_version_the_rest(
    house: Any, client: Any, lines: Any
) -> None:
    worker = canary(house, "wider")
    async with client(worker) as http:
        narrow = (await http.post(PATH, json=ROW)).json()
        wide = (await http.post(PATH, json=WIDE)).json()
        batch = (await http.post(PATH, json={"rows": [WIDE] * 3})).json()
        mixed = (await http.post(PATH, json={"rows": [WIDE, ROW]})).json()
        page = (await http.get("/metrics")).text
        typo = await http.post(PATH, json={**ROW, "regoin": "north"})
    assert [one["version"] for one in (narrow, wide, batch, mixed)] == [1, 2, 2, 1]
    assert not any("fallback" in one for one in (narrow, wide, batch, mixed))
    assert (series(worker, 2, "canary"), series(worker, 1, "live")) == ((2, 0), (2, 0))
    assert unfit(worker, 2) == 2
    assert 'promise_unfit_total{model="churn",version="2"} 2.0' in page
    assert "did you mean 'region'" in typo.json()["detail"]
    assert by_fields(lines(worker)) == {(1, "live", "age income plan"),
                                        (2, "canary", "age income plan region")}  # fmt: skip


async def test_a_column_that_the_candidate_dropped_is_not_passed_to_it(
    house: Any, client: Any, lines: Any
) -> None:
    worker = canary(house, "narrower")
    async with client(worker) as http:
        answer = (await http.post(PATH, json=ROW)).json()
        lacking = await http.post(PATH, json={"age": 70.0, "income": 1200.5})
    assert answer["version"] == 2
    assert unfit(worker, 2) == 0
    assert lacking.status_code == 422  # the live version needs it
    (line,) = lines(worker)
    assert line["row"] == {"age": 70.0, "income": 1200.5}


@pytest.mark.parametrize(("income", "version"), [(1200.5, 2), (None, 2)])
async def test_each_version_reads_its_own_types(
    house: Any, client: Any, income: Any, version: int
) -> None:
    worker = canary(house, "retyped")
    async with client(worker) as http:
        answer = (await http.post(PATH, json={**ROW, "income": income})).json()
        words = await http.post(PATH, json={**ROW, "income": "high"})
    assert answer["version"] == version
    folder = house.registry.get("churn@2").folder
    expected = bind(load_pipeline(folder)).one((70.0, income, "gold"))
    assert answer["predictions"][0]["prediction"] == expected["prediction"]
    assert answer["predictions"][0]["probability"] == expected["probability"]
    assert words.status_code == 422


async def test_a_value_that_the_candidate_cannot_read_is_the_live_versions(
    house: Any, client: Any
) -> None:
    house.deploy(what="retyped")
    house.register()
    house.commit(Route("churn", "canary", live=1, candidate=2, share=BUCKETS, salt="s"), "deploy")
    worker = house.worker()
    async with client(worker) as http:
        words = (await http.post(PATH, json={**ROW, "income": "high"})).json()
        number = (await http.post(PATH, json=ROW)).json()
    assert (words["version"], number["version"]) == (1, 2)
    assert unfit(worker, 2) == 1
    assert series(worker, 2, "canary") == (1, 0)


@pytest.mark.slow
@pytest.mark.parametrize("damaged", [False, True])
async def test_the_previous_version_answers_from_what_it_knows(
    house: Any, client: Any, lines: Any, damaged: bool
) -> None:
    house.deploy()
    second = house.deploy(what="wider")
    if damaged:  # it was never loaded: its manifest tells what requests hold
        file = max((second.folder / "weights").rglob("*.txt"), key=lambda p: p.stat().st_size)
        file.write_bytes(file.read_bytes()[:100])
    worker = house.worker()
    if not damaged:
        now = worker.runtime.snapshot
        endpoint = now.endpoints["churn"]
        gone = replace(endpoint, versions={1: endpoint.versions[1]}, failed={2: "gone"})
        worker.runtime._snapshot = replace(now, endpoints={"churn": gone})
    async with client(worker) as http:
        wide = await http.post(PATH, json=WIDE)
        narrow = await http.post(PATH, json=ROW)
    assert wide.status_code == 200, wide.text
    assert (wide.json()["version"], wide.json()["fallback"]) == (1, "previous")
    assert narrow.status_code == 422  # what the live version needs stays required
    (line,) = lines(worker)
    assert line["row"] == ROW


@pytest.mark.slow
async def test_a_previous_version_that_lacks_its_fields_leaves_it_to_the_heuristic(
    house: Any, client: Any, lines: Any
) -> None:
    house.deploy(what="wider")
    house.deploy()
    worker = house.worker()
    now = worker.runtime.snapshot
    endpoint = now.endpoints["churn"]
    gone = replace(endpoint, versions={1: endpoint.versions[1]}, failed={2: "gone"})
    worker.runtime._snapshot = replace(now, endpoints={"churn": gone})
    async with client(worker) as http:
        narrow = (await http.post(PATH, json=ROW)).json()
        wide = (await http.post(PATH, json=WIDE)).json()
    assert (narrow["fallback"], wide["fallback"]) == ("heuristic", "previous")
    assert unfit(worker, 1) == 1
    assert by_fields(lines(worker)) == {(2, "fallback", "age income plan"),
                                        (1, "fallback", "age income plan region")}  # fmt: skip


async def test_an_experiment_with_an_added_column(house: Any, client: Any) -> None:
    house.deploy()
    house.register(what="wider")
    shares = {1: BUCKETS // 2, 2: BUCKETS // 2}
    house.commit(Route("churn", "steady", live=1, experiment=shares, salt="s"), "experiment")
    worker = house.worker()
    async with client(worker) as http:
        for i in range(40):
            headers = {"x-entity": f"customer {i}"}
            assert (await http.post(PATH, json=WIDE, headers=headers)).status_code == 200
            assert (await http.post(PATH, json=ROW, headers=headers)).json()["version"] == 1
    dealt = series(worker, 2, "experiment")[0]
    assert 5 < dealt < 35
    assert unfit(worker, 2) == dealt
    assert series(worker, 1, "live") == (80 - dealt, 0)


async def test_openapi_explain_and_tensors_know_what_may_be_absent(house: Any, client: Any) -> None:
    worker = canary(house, "wider")

    def tensors(row: dict[str, Any]) -> dict[str, Any]:
        kinds = {name: "BYTES" if isinstance(v, str) else "FP64" for name, v in row.items()}
        return {
            "inputs": [
                {"name": n, "shape": [1], "datatype": kinds[n], "data": [row[n]]} for n in row
            ]
        }

    async with client(worker) as http:
        document = (await http.get("/openapi.json")).json()
        about = (await http.get("/v1/models/churn")).json()
        explained = await http.post("/v1/models/churn/explain", json=WIDE)
        second = await http.post("/v1/models/churn/explain?version=2", json=WIDE)
        lacking = await http.post("/v1/models/churn/explain?version=2", json=ROW)
        answers = [await http.post("/v2/models/churn/infer", json=tensors(r)) for r in (ROW, WIDE)]
        pinned = await http.post("/v2/models/churn/versions/2/infer", json=tensors(WIDE))
        refused = await http.post("/v2/models/churn/versions/2/infer", json=tensors(ROW))
    row = document["components"]["schemas"]["churn.Row"]
    assert row == about["request"]
    assert (row["required"], "region" in row["properties"]) == (["age", "income", "plan"], True)
    for sent in (ROW, WIDE):
        jsonschema.validate(sent, row)
    assert set(explained.json()["explanations"][0]["contributions"]) == set(ROW)
    assert set(second.json()["explanations"][0]["contributions"]) == set(WIDE)
    assert lacking.status_code == 422
    assert [one.json()["model_version"] for one in answers] == ["1", "2"]
    assert pinned.json()["model_version"] == "2"
    assert (refused.status_code, "region" in refused.json()["detail"]) == (422, True)


@pytest.mark.slow
async def test_when_the_candidate_is_live_its_column_is_required(
    house: Any, client: Any, wait: Any
) -> None:
    worker = canary(house, "wider")
    house.commit(Route("churn", "steady", live=2, standby=1), "promote")
    wait(lambda: worker.runtime.snapshot.endpoints["churn"].route.live == 2)
    async with client(worker) as http:
        assert (await http.post(PATH, json=WIDE)).json()["version"] == 2
        lacking = await http.post(PATH, json=ROW)
    assert (lacking.status_code, "region" in lacking.json()["detail"]) == (422, True)
    assert lacking.json().keys() >= DETAIL
