"""Fraud over HTTP: one exchange for each event, whoever answers; what was served is proven."""

from __future__ import annotations

import json
import math
import shutil
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from tests.serving.guards import bodies, train

from promise.errors import ArtifactError, StateError
from promise.features.event import Event
from promise.features.keyed import SEEN
from promise.features.model_views import ModelViews
from promise.features.seen_log import read_seen, seen_folder
from promise.features.served import check_served
from promise.pipeline.bind import columns_of
from promise.pipeline.keyed_stage import keyed_stage
from promise.records.reading import read_all

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="session")
def guards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return version folders that decide on events."""
    home = tmp_path_factory.mktemp("guards")
    return {
        "guard": train(home / "guard"),
        "slower": train(home / "slower", delay="2d", reasons=False),
    }


@pytest.fixture
def guarded(house: Any, guards: dict[str, Path]) -> Any:
    """Return a house with a model that decides on events, live."""
    house.trained = {**house.trained, **guards}
    house.deploy("guard", "guard")
    return house


@pytest.mark.slow
async def test_a_transaction_is_decided_on(guarded: Any, client: Callable[..., Any]) -> None:
    """Features, score, decision and reasons come with one request."""
    worker = guarded.worker()
    async with client(worker) as http:
        answers = []
        for body in bodies(120):
            got = await http.post("/v1/models/guard/predict", json=body)
            assert got.status_code == 200, got.text
            answers.append(got.json()["predictions"][0])
    assert {one["prediction"] for one in answers} <= {"approve", "review", "decline"}
    asked = [one for one in answers if one["score"] >= 0.2]
    assert asked
    assert all(one["reasons"] for one in asked)
    assert all(not one["reasons"] for one in answers if one["score"] < 0.2)
    assert {"feature", "contribution", "words"} == set(asked[0]["reasons"][0])


@pytest.mark.slow
async def test_what_was_served_is_what_training_computes(
    guarded: Any, client: Callable[..., Any]
) -> None:
    """Events, retries, labels of all kinds, a restart: the log replayed gives the same digits."""
    sent, answered = bodies(200), []
    for slot, part in ((0, sent[:90]), (0, sent[90:])):  # the second is another process
        worker = guarded.worker(slot)
        async with client(worker) as http:
            for number, body in enumerate(part):
                got = await http.post("/v1/models/guard/predict", json=body)
                assert got.status_code == 200, got.text
                answered.append(got.json()["predictions"][0])
                if number % 7 == 0:  # a client that did not hear the answer
                    again = await http.post("/v1/models/guard/predict", json=body)
                    assert again.json()["predictions"][0]["score"] == answered[-1]["score"]
                if number % 5 == 0:
                    label = {"prediction_id": answered[-1]["id"], "label": number % 2}
                    known = {"known_at": f"{body['when'][:10]}T23:59:59Z"} if number % 2 else {}
                    got = await http.post("/v1/labels", json=label | known)
                    assert got.status_code == 200, got.text
                if number % 11 == 0:
                    event = {
                        "event_id": f"silent-{slot}-{number}-{len(answered)}",
                        "entity": body["card"],
                        "type": "transaction",
                        "payload": {"when": body["when"], "eur": 5.0, "shop": "s1"},
                    }
                    got = await http.post("/v1/models/guard/events", json=event)
                    assert got.status_code == 200, got.text
        await worker.answering.keyed.close()
    found = check_served(model_views(guarded), list(read_seen(guarded.settings, "guard")))
    assert found.holds, found.to_json()
    assert found.rows >= 200
    assert found.labels == 40
    assert not found.left_out
    assert found.events == 219


def model_views(house: Any, *numbers: int) -> ModelViews:
    """Return the views of some versions of the house's model."""
    stages = {}
    for number in numbers or (1,):
        stage = keyed_stage(house.registry.get(f"guard@{number}").folder)
        assert stage is not None
        stages[number] = stage.keyed
    return ModelViews("guard", stages)


@pytest.mark.slow
async def test_an_explanation_writes_nothing(guarded: Any, client: Callable[..., Any]) -> None:
    """Contributions sum to the log-odds of the score, before and after the event was answered."""
    worker = guarded.worker()
    sent = bodies(60)
    async with client(worker) as http:
        for body in sent[:50]:
            await http.post("/v1/models/guard/predict", json=body)
        odds = []
        for body in sent[50:]:
            before = (await http.post("/v1/models/guard/explain", json=body)).json()
            got = (await http.post("/v1/models/guard/predict", json=body)).json()
            after = (await http.post("/v1/models/guard/explain", json=body)).json()
            assert before == after
            told = before["explanations"][0]
            odds.append(told["base"] + sum(told["contributions"].values()))
            score = got["predictions"][0]["score"]
            assert odds[-1] == pytest.approx(math.log(score / (1 - score)), abs=1e-4)
            assert told["of_class"] == "1"
            assert told["explained"] == 1.0


@pytest.mark.slow
async def test_two_versions_answer_from_one_exchange(
    guarded: Any, client: Callable[..., Any]
) -> None:
    """A shadow with other views counts nothing twice, and what it read is right as well."""
    second = guarded.register("guard", "slower")
    route = guarded.lifecycle.route("guard")
    guarded.commit(replace(route, stage="shadow", candidate=second.number))
    worker = guarded.worker()
    sent = bodies(80)
    async with client(worker) as http:
        for body in sent:
            got = await http.post("/v1/models/guard/predict", json=body)
            assert got.status_code == 200, got.text
        await worker.answering.shadowing.settle()
    await worker.answering.keyed.close()
    views = model_views(guarded, 1, 2)
    found = check_served(views, list(read_seen(guarded.settings, "guard")))
    assert found.holds, found.to_json()
    assert {number: one.n_rows for number, one in found.versions.items()} == {1: 80, 2: 80}
    assert found.events == 80
    shared = set(model_views(guarded, 1).keys(_event(sent[0])))
    assert len(set(views.keys(_event(sent[0]))) - shared) == 2  # labels wait longer there


@pytest.mark.slow
async def test_a_canary_shares_the_state(guarded: Any, client: Callable[..., Any]) -> None:
    """Half of the customers are answered by another version; every event counts for both."""
    second = guarded.register("guard", "slower")
    route = guarded.lifecycle.route("guard")
    guarded.commit(replace(route, stage="canary", candidate=second.number, share=5000))
    worker = guarded.worker()
    patient = {"x-deadline-ms": "60000"}  # a busy machine must not make an answer a fallback
    async with client(worker) as http:
        versions = set()
        for body in bodies(80):
            got = await http.post("/v1/models/guard/predict", json=body, headers=patient)
            versions.add(got.json()["version"])
    assert versions == {1, 2}
    await worker.answering.keyed.close()
    found = check_served(model_views(guarded, 1, 2), list(read_seen(guarded.settings, "guard")))
    assert found.holds, found.to_json()
    assert found.rows == 80


@pytest.mark.slow
async def test_rows_without_events_are_answered_beside_a_keyed_version(
    guarded: Any, client: Callable[..., Any]
) -> None:
    """The version before reads events, the live one plain rows: those are no events of anybody."""
    guarded.deploy("guard", "up")
    worker = guarded.worker()
    async with client(worker) as http:
        row = {"age": 41.0, "income": 1200.5, "plan": "gold"}
        got = await http.post("/v1/models/guard/predict", json=row)
    assert got.status_code == 200, got.text
    assert (got.json()["version"], "fallback" in got.json()) == (2, False)
    await worker.answering.keyed.close()
    assert not list(read_seen(guarded.settings, "guard"))


@pytest.mark.slow
async def test_batches_are_events_one_after_the_other(
    guarded: Any, client: Callable[..., Any]
) -> None:
    """A batch gives the answers that its rows get one by one."""
    sent = bodies(300)
    worker = guarded.worker()
    async with client(worker) as http:
        got = await http.post("/v1/models/guard/predict", json={"rows": sent})
        assert got.status_code == 200, got.text
        whole = [one["score"] for one in got.json()["predictions"]]
    await worker.answering.keyed.close()
    found = check_served(model_views(guarded), list(read_seen(guarded.settings, "guard")))
    assert found.holds
    assert found.rows == 300
    keyed = keyed_stage(guarded.registry.get("guard@1").folder)
    assert keyed is not None
    rows = [tuple(body[name] for name in keyed.task.request.names) for body in sent]
    columns = columns_of(rows, keyed.task.request)
    seen = keyed.keyed.replay(columns)[SEEN]
    bound = worker.runtime.snapshot.endpoints["guard"].versions[1].bound
    assert whole == [bound.one(row, one)["score"] for row, one in zip(rows, seen, strict=True)]


BAD = [
    ({"when": "2999-01-01T00:00:00"}, "in the future"),
    ({"eur": 1e15}, "beyond ±1e11"),
    ({"card": "x" * 2000}, "bytes long"),
]


@pytest.mark.parametrize(("change", "words"), BAD)
async def test_what_cannot_be_an_event_is_told(
    guarded: Any, client: Callable[..., Any], change: dict[str, Any], words: str
) -> None:
    """A clear refusal, and nothing is written."""
    worker = guarded.worker()
    async with client(worker) as http:
        got = await http.post("/v1/models/guard/predict", json=bodies(1)[0] | change)
        assert got.status_code == 422, got.text
        assert words in got.json()["detail"]
        rows = [*bodies(3)[:2], bodies(3)[2] | change]
        got = await http.post("/v1/models/guard/predict", json={"rows": rows})
        assert got.status_code == 422
        assert words in got.json()["detail"]
    store = worker.answering.keyed.opened(0.0).store
    assert not list(store.export())


async def test_odd_events_are_answered(guarded: Any, client: Callable[..., Any]) -> None:
    """Unknown entities, no amount, a negative one, no time, no id: all are decided on."""
    worker = guarded.worker()
    body = bodies(1)[0]
    odd = [
        {"card": "nobody", "shop": "nowhere"}, {"eur": None}, {"eur": -20.0}, {"when": None},
        {"tx": None}, {"card": None, "shop": None},
    ]  # fmt: skip
    async with client(worker) as http:
        for number, change in enumerate(odd):
            sent = body | {"tx": f"odd-{number}"} | change
            got = await http.post("/v1/models/guard/predict", json=sent)
            assert got.status_code == 200, got.text
            assert "fallback" not in got.json()
    await worker.answering.keyed.close()
    found = check_served(model_views(guarded), list(read_seen(guarded.settings, "guard")))
    assert found.holds, found.to_json()
    assert found.rows == len(odd)


@pytest.mark.slow
async def test_a_store_that_is_away_leaves_the_decision_to_a_person(
    guarded: Any, client: Callable[..., Any], wait: Callable[..., None]
) -> None:
    """Flagged, in time, no version's error; the event is caught up with when the store is back."""
    worker = guarded.worker()
    keyed = worker.answering.keyed
    sent = bodies(6)
    async with client(worker) as http:
        await http.post("/v1/models/guard/predict", json=sent[0])
        there, lane = keyed._opened, Away(keyed._opened.lane)
        keyed._opened = replace(there, lane=lane)
        for body in sent[1:5]:
            got = await http.post("/v1/models/guard/predict", json=body)
            assert got.status_code == 200
            assert got.json()["fallback"] == "heuristic"
            assert got.json()["predictions"][0]["prediction"] == "review"
        assert keyed.n_waiting == 4
        series = worker.counters.series("guard", 1, "live", ())
        assert (series.errors, series.fallbacks) == (0, 4)
        lane.gone = False
        while keyed.n_waiting:
            await anyio.sleep(0.02)
        got = await http.post("/v1/models/guard/predict", json=sent[5])
        assert "fallback" not in got.json()
    assert worker.counters.totals["events_late", "guard"] == 4
    await keyed.close()
    found = check_served(model_views(guarded), list(read_seen(guarded.settings, "guard")))
    assert found.holds, found.to_json()
    assert (found.events, found.rows) == (6, 2)


@pytest.mark.slow
async def test_a_retry_that_overtakes_its_event_leaves_both_answers_known(
    guarded: Any, client: Callable[..., Any]
) -> None:
    """The first request waits for the store, the second reaches it: a label of either counts."""
    worker = guarded.worker()
    keyed, (opening, body) = worker.answering.keyed, bodies(2)
    async with client(worker) as http:
        await http.post("/v1/models/guard/predict", json=opening)
        there, lane = keyed._opened, Away(keyed._opened.lane)
        keyed._opened = replace(there, lane=lane)
        first = (await http.post("/v1/models/guard/predict", json=body)).json()
        lane.gone = False
        again = (await http.post("/v1/models/guard/predict", json=body)).json()
        assert (first["fallback"], "fallback" in again) == ("heuristic", False)
        while keyed.n_waiting:
            await anyio.sleep(0.02)
        for answer in (first, again):
            label = {"prediction_id": answer["predictions"][0]["id"], "label": 1}
            await http.post("/v1/labels", json={**label, "model": "guard"})
    assert not worker.counters.totals.get(("labels_unmatched", "guard"), 0)
    await keyed.close()


@pytest.mark.slow
@pytest.mark.parametrize("readable", [True, False])
async def test_labels_and_events_reach_the_store_without_a_loaded_version(
    guarded: Any, client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, readable: bool
) -> None:
    """What servers miss while no version is loaded would be missing from the states for good."""
    first = guarded.worker()
    body, other = bodies(2)
    async with client(first) as http:
        answer = (await http.post("/v1/models/guard/predict", json=body)).json()["predictions"][0]
    await first.answering.keyed.close()
    folder = guarded.registry.get("guard@1").folder
    if readable:  # nothing is wrong with the files, and yet it cannot be loaded here
        failing = ArtifactError("the golden rows are answered differently")
        monkeypatch.setattr("promise.serving.shelf.load_version", raising(failing))
    else:
        (folder / "weights").rename(folder / "gone")
    worker = guarded.worker(1)
    assert not worker.runtime.snapshot.endpoints["guard"].versions
    event = {
        "event_id": other["tx"], "entity": other["card"], "type": "paid",
        "payload": {"when": other["when"], "eur": other["eur"], "shop": other["shop"]},
    }  # fmt: skip
    async with client(worker) as http:
        label = {"prediction_id": answer["id"], "label": 1, "model": "guard"}
        assert (await http.post("/v1/labels", json=label)).status_code == 200
        assert (await http.post("/v1/models/guard/events", json=event)).status_code == 200
    await worker.answering.keyed.close()
    kinds = [line.kind for line in read_seen(guarded.settings, "guard")]
    unmatched = worker.counters.totals.get(("labels_unmatched", "guard"), 0)
    assert (kinds.count("label"), kinds.count("event"), unmatched) == (
        (1, 2, 0) if readable else (0, 1, 1)
    )


def raising(error: Exception) -> Callable[..., Any]:
    """Return a function that fails."""

    def fail(*_: Any) -> Any:
        raise error

    return fail


class Away:
    """A lane to a store that does not answer."""

    reach = "machine"

    def __init__(self, lane: Any) -> None:
        self._lane, self.gone = lane, True

    async def exchange(self, *given: Any) -> Any:
        if self.gone:
            raise StateError("the store does not answer")
        return await self._lane.exchange(*given)

    async def close(self) -> None:
        await self._lane.close()


def _event(body: dict[str, Any]) -> Event:
    return Event(body["tx"], 0, {"entity": body["card"], "other": body["shop"]})


@pytest.mark.slow
async def test_exact_contributions_follow_the_answer(
    guarded: Any, client: Callable[..., Any], wait: Callable[..., None]
) -> None:
    """Of every score that somebody will ask about, under the answer's id; the backlog is shown."""
    worker = guarded.worker()
    async with client(worker) as http:
        answers = {}
        for body in bodies(100):
            one = (await http.post("/v1/models/guard/predict", json=body)).json()["predictions"][0]
            answers[one["id"]] = one["score"]
        owed = {id for id, score in answers.items() if score >= 0.2}
        exact = worker.answering.keyed.exact
        while exact.waiting:
            await anyio.sleep(0.02)
        page = (await http.get("/metrics")).text
        assert 'promise_reasons_waiting{slot="0"} 0' in page
        assert 'promise_events_waiting{slot="0"} 0' in page
    await worker.answering.keyed.close()
    lines = [
        line
        for line in read_all(seen_folder(guarded.settings), "guard")
        if line["kind"] == "reasons"
    ]
    assert owed
    assert owed <= {line["id"] for line in lines}
    for line in lines:
        parts = np.frombuffer(b64decode(line["contributions"]), dtype="<f4").astype(float)
        assert line["base"] + parts.sum() == pytest.approx(line["odds"], abs=1e-3)
        assert line["explained"] == 1.0


async def test_a_decision_is_told_by_the_open_inference_protocol(
    guarded: Any, client: Callable[..., Any]
) -> None:
    """Actions are text, the score beside them; the exchange is the lane's."""
    worker = guarded.worker()
    sent = bodies(3)
    async with client(worker) as http:
        told = (await http.get("/v2/models/guard")).json()
        assert [(one["name"], one["datatype"]) for one in told["outputs"]] == [
            ("prediction", "BYTES"), ("score", "FP64"), ("prediction_id", "BYTES")
        ]  # fmt: skip
        inputs = [
            {"name": name, "shape": [3], "datatype": "FP64" if name == "eur" else "BYTES",
             "data": [body[name] for body in sent]}
            for name in sent[0]
        ]  # fmt: skip
        got = await http.post("/v2/models/guard/infer", json={"inputs": inputs})
        assert got.status_code == 200, got.text
        outputs = {one["name"]: one["data"] for one in got.json()["outputs"]}
        lane = await http.post("/v1/models/guard/predict", json={"rows": sent})
    assert outputs["score"] == [one["score"] for one in lane.json()["predictions"]]
    assert set(outputs["prediction"]) <= {"approve", "review", "decline"}


async def test_labels_and_events_say_what_is_wrong(
    guarded: Any, client: Callable[..., Any]
) -> None:
    """A label of no event is kept and counted; an event from the future is refused."""
    worker = guarded.worker()
    body = bodies(1)[0]
    async with client(worker) as http:
        id = (await http.post("/v1/models/guard/predict", json=body)).json()["predictions"][0]["id"]
        for value, code in ((True, 200), ("1", 200), (0.0, 200), ("maybe", 422)):
            label = {"prediction_id": id, "label": value, "model": "guard"}
            got = await http.post("/v1/labels", json=label)
            assert got.status_code == code, got.text
        stranger = {"prediction_id": f"{id[:-1]}z", "label": 1, "model": "guard"}
        got = await http.post("/v1/labels", json=stranger)
        assert got.status_code == 200
        assert worker.counters.totals["labels_unmatched", "guard"] == 1
        event = {"event_id": "e1", "entity": "c1", "type": "transaction", "at": "2999-01-01T00:00Z"}
        got = await http.post("/v1/models/guard/events", json=event)
        assert got.status_code == 422
        assert "future" in got.json()["detail"]
        odd = event | {"at": None, "payload": {"eur": {"value": 3}}}
        got = await http.post("/v1/models/guard/events", json=odd)
        assert got.status_code == 422
        assert "'eur'" in got.json()["detail"]


def test_a_version_whose_views_are_others_is_refused(guards: dict[str, Path]) -> None:
    """The manifest says which views it was trained on."""
    folder = guards["slower"]
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["views"]["entity"] = 99
    other = folder.parent / "tampered"
    shutil.copytree(folder, other)
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="trained on 99"):
        keyed_stage(other)
