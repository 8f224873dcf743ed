"""The review queue over HTTP: what waits is listed, and a label takes it off."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from promise.data.answer import Class, Decision
from promise.records.machine import machine_id
from promise.records.segments import SegmentName
from promise.registry.lifecycle import Route
from promise.serving.endpoints import Endpoint
from promise.serving.review import _action

pytestmark = pytest.mark.anyio
PATH = "/v1/models/churn/review"


def log(worker: Any, *sure: float) -> list[str]:
    """Write answers that ask for a person into the model's log; return their ids."""
    folder = worker.settings.records / "churn"
    folder.mkdir(parents=True, exist_ok=True)
    ids = [f"m1.0-abc-{n}" for n in range(len(sure))]
    with (folder / str(SegmentName("m1.0", 1))).open("w", encoding="utf-8") as file:
        for at, (id, share) in enumerate(zip(ids, sure, strict=True)):
            answer = {"prediction": "yes", "probability": {"no": 1 - share, "yes": share}}
            told = {
                "id": id, "model": "churn", "version": 1, "arm": "live", "at": 100.0 + at,
                "row": {"age": at}, "answer": {**answer, "review": True},
            }  # fmt: skip
            file.write(json.dumps(told, separators=(",", ":")) + "\n")
    return ids


async def test_what_waits_is_listed_until_it_has_a_label(house: Any, client: Any) -> None:
    house.deploy()
    worker = house.worker()
    ids = log(worker, 0.7, 0.5, 0.6)
    async with client(worker) as http:
        first = (await http.get(PATH)).json()
        unsure = (await http.get(PATH, params={"order": "uncertain", "limit": 2})).json()
        sent = {"prediction_id": ids[1], "label": "no", "source": "desk"}
        assert (await http.post("/v1/labels", json=sent)).status_code == 200
        after = [(await http.get(PATH)).json() for _ in range(2)]
    assert (first["model"], first["waiting"], first["complete"]) == ("churn", 3, True)
    assert first["machines"] == sorted([machine_id(worker.settings), "m1"])
    assert [entry["id"] for entry in first["entries"]] == ids
    assert first["entries"][0]["row"] == {"age": 0}
    assert first["entries"][0]["answer"]["review"] is True
    assert [entry["certainty"] for entry in unsure["entries"]] == [0.5, 0.6]
    assert [entry["id"] for entry in after[0]["entries"]] == [ids[0], ids[2]]
    assert after[0] == after[1]


async def test_nothing_waits_before_anything_was_answered(house: Any, client: Any) -> None:
    house.register()
    worker = house.worker()
    async with client(worker) as http:
        found = (await http.get(PATH)).json()
    assert found == {
        "model": "churn", "waiting": 0, "complete": True,
        "machines": [machine_id(worker.settings)], "entries": [],
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (f"{PATH}?limit=0", 422, "expected 1 to 100"),
        (f"{PATH}?limit=x", 422, "expected 1 to 100"),
        (f"{PATH}?limit=000000100555", 422, "expected 1 to 100"),
        (f"{PATH}?order=newest", 422, "oldest"),
        ("/v1/models/nobody/review", 404, "nobody"),
    ],
)
async def test_what_cannot_be_asked_is_refused_in_words(
    house: Any, client: Any, path: str, status: int, words: str
) -> None:
    house.deploy()
    async with client(house.worker()) as http:
        response = await http.get(path)
    assert response.status_code == status
    assert words in response.json()["detail"]


@pytest.mark.parametrize(
    ("answer", "action"), [(Decision(), "review"), (Class(("review", "news")), None)]
)
def test_only_a_model_that_decides_sends_to_review_by_its_prediction(
    answer: Any, action: str | None
) -> None:
    loaded: Any = SimpleNamespace(pipeline=SimpleNamespace(task=SimpleNamespace(answer=answer)))
    endpoint = Endpoint("desk", Route("desk"), {1: loaded})
    call: Any = SimpleNamespace(snapshot=SimpleNamespace(endpoints={"desk": endpoint}))
    assert _action(call, "desk") == action
