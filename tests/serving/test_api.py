"""The API beside the lane: labels, events, models, explanations, health, refusals."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from promise.pipeline.finding import NOUNS
from promise.promises.spec import ModelFile, Promise
from promise.promises.verdict import Verdict
from promise.registry.revisions import Revisions
from promise.registry.verdicts import Verdicts
from promise.serving import api
from promise.serving.operations import OPERATIONS
from promise.state.database import Database
from promise.state.patience import patience_s

pytestmark = pytest.mark.anyio

ROW = {"age": 41.0, "income": 1200.5, "plan": "gold"}


def problem_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem document of a refusal."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["status"] == status
    assert {"type", "title", "detail"} <= found.keys()
    return found


async def test_a_label_sent_again_changes_nothing_and_another_value_is_a_revision(
    house: Any, client: Any
) -> None:
    house.deploy()
    worker = house.worker()
    async with client(worker) as http:
        id = (await http.post("/v1/models/churn/predict", json=ROW)).json()["predictions"][0]["id"]
        sent = {"prediction_id": id, "label": "yes", "event_at": "2026-01-02T03:04:05+01:00"}
        first = (await http.post("/v1/labels", json=sent)).json()
        again = (await http.post("/v1/labels", json={"id": id, "label": "yes"})).json()
        other = (await http.post("/v1/labels", json={"id": id, "label": "no"})).json()
    assert [first[k] for k in ("accepted", "unchanged", "revisions")] == [1, 0, 0]
    assert first["labels"][0]["event_at"] == "2026-01-02T02:04:05.000000+00:00"
    assert [again[k] for k in ("accepted", "unchanged", "revisions")] == [0, 1, 0]
    assert again["labels"] == first["labels"]
    assert [other[k] for k in ("accepted", "unchanged", "revisions")] == [0, 0, 1]
    assert other["labels"][0]["revision"] == 2
    assert [label.value for label in worker.labels.of(id)] == ["yes", "no"]


async def test_a_label_that_no_model_answers_is_refused_before_its_model_is_known(
    house: Any, client: Any
) -> None:
    house.deploy()
    worker = house.worker()
    async with client(worker) as http:
        id = (await http.post("/v1/models/churn/predict", json=ROW)).json()["predictions"][0]["id"]
        wrong = await http.post("/v1/labels", json={"id": id, "label": "yess"})
        nobody = {"id": id, "label": "yes", "model": "chrun"}
        unknown = await http.post("/v1/labels", json=nobody)
        kept = (await http.post("/v1/labels", json={"id": id, "label": "yes"})).json()
    told = "label 0: the label is 'yess', which is no class of the model; did you mean 'yes'?"
    assert problem_of(wrong, 422)["detail"] == told
    told = "label 0: there is no model 'chrun'; did you mean 'churn'?"
    assert problem_of(unknown, 422)["detail"] == told
    assert (kept["accepted"], kept["labels"][0]["model"]) == (1, "")


async def test_labels_come_in_batches_and_before_the_log_is_written(
    house: Any, client: Any
) -> None:
    worker = house.worker()
    several = {"labels": [{"prediction_id": f"m1.0-abc-{n}", "label": n % 2} for n in range(500)]}
    several["labels"].append({"prediction_id": "m1.0-abc-0", "label": 0})
    async with client(worker) as http:
        found = (await http.post("/v1/labels", json=several)).json()
    assert (found["accepted"], found["unchanged"], found["revisions"]) == (500, 1, 0)
    assert len(found["labels"]) == 501


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "the body is empty"),
        (b"{", 400, "it ends too early"),
        (b'{"id": "a\xff", "label": 1}', 400, "UTF-8"),
        (b'{"id": "m1.0-a-1", "label": NaN}', 400, "JSON has no NaN"),
        (b"[1]", 422, "the body is a list, expected an object"),
        (b'{"id": "m1.0-a-1"}', 422, "the field 'label' is missing"),
        (b'{"id": "m1.0-a-1", "lable": 1}', 422, "did you mean 'label'"),
        (b'{"labels": [{"id": "m1.0-a-1", "lable": 1}]}', 422, "did you mean 'label'"),
        (b'{"label": 1}', 422, "neither came"),
        (b'{"id": "m1.0-a-1", "prediction_id": "m1.0-a-1", "label": 1}', 422, "both came"),
        (
            b'{"id": "../../etc/passwd", "label": 1}',
            422,
            "expected the `id` that came with the prediction",
        ),
        (b'{"id": "a-b-c", "label": 1}', 422, "expected the `id` that came with the prediction"),
        (b'{"id": "m1.0-a-1", "label": null}', 422, "holds null"),
        (b'{"id": "m1.0-a-1", "label": {}}', 422, "holds an object"),
        (b'{"id": "m1.0-a-1", "label": 1, "event_at": "noon"}', 422, "expected a time"),
        (b'{"id": "m1.0-a-1", "label": 1, "event_at": "2026-01-01T00:00:00"}', 422, "its zone"),
        (b'{"id": "m1.0-a-1", "label": 1e999}', 422, "beyond what 64-bit floats hold"),
    ],
)
async def test_a_label_that_cannot_be_kept_is_refused_in_words(
    house: Any, client: Any, body: bytes, status: int, words: str
) -> None:
    worker = house.worker()
    async with client(worker) as http:
        response = await http.post("/v1/labels", content=body)
    assert words in problem_of(response, status if words else response.status_code)["detail"]
    assert response.status_code < 500
    assert worker.labels.since(0) == []


async def test_events_are_kept_once_by_their_id(house: Any, client: Any) -> None:
    house.deploy()
    worker = house.worker()
    event = {"event_id": "e1", "entity": 7, "type": "login", "payload": {"from": "web"}}
    path = "/v1/models/churn/events"
    async with client(worker) as http:
        first = (await http.post(path, json=event)).json()
        again = (
            await http.post(path, json={"events": [event, {**event, "event_id": "e2"}]})
        ).json()
        taken = await http.post(path, json={**event, "type": "logout"})
        unknown = await http.post("/v1/models/chrun/events", json=event)
    assert (first["accepted"], first["unchanged"]) == (1, 0)
    assert (again["accepted"], again["unchanged"]) == (1, 1)
    assert again["events"][0] == first["events"][0]
    assert "type differs" in problem_of(taken, 409)["detail"]
    assert "did you mean 'churn'" in problem_of(unknown, 404)["detail"]


async def test_a_model_tells_its_route_promises_and_request(house: Any, client: Any) -> None:
    version, second = house.deploy(), house.deploy(what="down")
    third = house.register()
    worker = house.worker()
    speed = Promise("speed", "latency_p99", at_most=12.0, on_break=("rollback",))
    fair = Promise("fair", "accuracy", at_least=0.8)
    Revisions(worker.database, worker.clock).declare("churn", ModelFile(promises=(speed, fair)))
    Verdicts(worker.database, worker.clock).record(
        "churn", second.number, "steady", [Verdict("speed", "latency_p99", "KEPT", 12.0, n=400)]
    )
    async with client(worker) as http:
        listed = (await http.get("/v1/models")).json()["models"]
        shown = (await http.get("/v1/models/churn")).json()
        one = (await http.get(f"/v1/models/churn/versions/{version.number}")).json()
        wrong = [
            await http.get("/v1/models/chrun"),
            await http.get("/v1/models/churn/versions/9"),
            await http.get("/v1/models/churn/versions/two"),
        ]
    assert [(m["name"], m["live"], m["versions"]) for m in listed] == [("churn", 2, [1, 2, 3])]
    assert [(v["version"], v["role"], v["loaded"]) for v in shown["versions"]] == [
        (1, "standby", True), (2, "live", True), (third.number, "registered", False),
    ]  # fmt: skip
    assert shown["revision"] == 1
    told = {p["promise"]: (p["status"], p["n"], p["bound"]) for p in shown["promises"]}
    assert told == {"speed": ("KEPT", 400, 12.0), "fair": ("UNKNOWN", 0, 0.8)}
    assert set(shown["request"]["required"]) == set(ROW)
    assert set(shown["request"]["properties"]) == {*ROW, "target"}  # the label is passed over
    assert one["name"] == "churn"
    assert one["request"]["required"] == shown["request"]["required"]
    details = [problem_of(response, 404)["detail"] for response in wrong]
    assert "did you mean 'churn'" in details[0]
    assert "it has 1, 2, 3" in details[1]


async def test_status_tells_what_was_live_when_and_why(house: Any, client: Any) -> None:
    house.deploy()
    between = datetime.now(UTC)
    house.deploy(what="down")
    worker = house.worker()
    async with client(worker) as http:
        now = (await http.get("/v1/status/churn")).json()
        then = (await http.get("/v1/status/churn", params={"at": between.isoformat()})).json()
        before = between - timedelta(days=1)
        never = (await http.get("/v1/status/churn", params={"at": before.isoformat()})).json()
        bad = [
            await http.get("/v1/status/churn", params={"at": "sometimes"}),
            await http.get("/v1/status/churn", params={"limit": "0"}),
        ]
        unknown = await http.get("/v1/status/chrun")
    assert now["in_force"]["route"]["live"] == 2
    assert [link["seq"] for link in now["transitions"]] == [2, 1]
    assert (then["in_force"]["route"]["live"], then["in_force"]["reason"]) == (1, "test")
    assert (never["in_force"], never["transitions"]) == (None, [])
    for response in bad:
        problem_of(response, 422)
    problem_of(unknown, 404)


async def test_an_explanation_adds_up_and_names_the_version(house: Any, client: Any) -> None:
    house.deploy()
    house.deploy(what="down")
    worker = house.worker()
    path = "/v1/models/churn/explain"
    async with client(worker) as http:
        live = (await http.post(path, json=ROW)).json()
        both = (await http.post(f"{path}?version=1", json={"rows": [ROW, ROW]})).json()
        wrong = await http.post(path, json={**ROW, "agee": 1})
        absent = await http.post(f"{path}?version=7", json=ROW)
    assert (live["model"], live["version"], both["version"]) == ("churn", 2, 1)
    assert set(live["explanations"][0]["contributions"]) == set(ROW)
    assert len(both["explanations"]) == 2
    assert next(iter(live["explanations"][0]["contributions"])) == "age"
    assert "did you mean 'age'" in problem_of(wrong, 422)["detail"]
    assert "not served" in problem_of(absent, 404)["detail"]


async def test_a_number_is_explained_or_refused_never_a_traceback(house: Any, client: Any) -> None:
    house.deploy(what="number")
    async with client(house.worker()) as http:
        response = await http.post("/v1/models/churn/explain", json=ROW)
    assert response.status_code in (200, 409)


async def test_health_tells_alive_from_ready_and_draining(house: Any, client: Any) -> None:
    house.deploy()
    worker = house.worker()
    async with client(worker) as http:
        assert (await http.get("/healthz")).json() == {"status": "alive"}
        ready = await http.get("/readyz")
        worker.draining = True
        leaving = await http.get("/readyz")
        alive = await http.get("/healthz")
    assert ready.status_code == 200
    assert ready.json()["models"]["churn"] == {
        "ready": True, "stage": "steady", "live": 1, "loaded": [1], "failed": {},
    }  # fmt: skip
    assert (leaving.status_code, leaving.json()["draining"]) == (503, True)
    assert alive.status_code == 200


async def test_a_wrong_path_or_method_is_a_problem_with_a_hint(house: Any, client: Any) -> None:
    async with client(house.worker()) as http:
        path = problem_of(await http.get("/v1/model"), 404)
        slash = problem_of(await http.get("/v1/models/"), 404)
        method = await http.delete("/v1/models")
    assert "did you mean '/v1/models'" in path["detail"]
    assert slash["instance"] == "/v1/models/"
    assert "it takes GET" in problem_of(method, 405)["detail"]
    assert method.headers["allow"] == "GET"


async def test_a_registered_model_that_is_not_live_says_how_to_deploy(
    house: Any, client: Any
) -> None:
    house.register()
    async with client(house.worker()) as http:
        response = await http.post("/v1/models/churn/explain", json=ROW)
    assert "promise deploy churn" in problem_of(response, 409)["detail"]


async def test_large_bodies_are_refused_on_every_route(house: Any, client: Any) -> None:
    house.deploy()
    worker = house.worker(body_mb=0.01)
    large = json.dumps({"label": "x" * 20_000}).encode()

    async def parts() -> Any:
        for start in range(0, len(large), 4096):
            yield large[start : start + 4096]

    posts = [op.path for op in OPERATIONS if op.method == "POST"]
    async with client(worker) as http:
        for path in posts:
            path = path.format(name="churn", version=1, noun="people", id="ann")
            problem_of(await http.post(path, content=large), 413)
            problem_of(await http.post(path, content=parts()), 413)


async def test_a_compressed_body_and_one_too_many_are_refused(house: Any, client: Any) -> None:
    worker = house.worker(queue=0)
    async with client(worker) as http:
        shed = await http.get("/v1/models")
        assert problem_of(shed, 429)
        assert shed.headers["retry-after"] == "1"
        assert (await http.get("/healthz")).status_code == 200
    worker = house.worker(slot=1)
    async with client(worker) as http:
        headers = {"content-encoding": "gzip"}
        problem_of(await http.post("/v1/labels", content=b"x", headers=headers), 415)


async def test_an_unforeseen_error_is_logged_and_told_without_its_words(
    house: Any, client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(given: Any) -> Any:
        raise ValueError("the secret detail")

    worker = house.worker()
    monkeypatch.setattr(worker.labels, "add", fail)
    with caplog.at_level(logging.ERROR):
        async with client(worker) as http:
            response = await http.post("/v1/labels", json={"id": "m1.0-a-1", "label": 1})
    found = problem_of(response, 500)
    assert "secret" not in response.text
    record = next(r for r in caplog.records if r.name == "promise.serving")
    assert found["instance"].endswith(record.__dict__["trace"])


async def test_a_database_that_is_away_is_a_503_and_probes_still_answer(
    house: Any, client: Any, tmp_path: Any
) -> None:
    house.deploy()
    worker = house.worker()
    worker.labels.database = replace(worker.database, url=f"sqlite:///{tmp_path}")
    async with client(worker) as http:
        away = await http.post("/v1/labels", json={"id": "m1.0-a-1", "label": 1})
        ready = await http.get("/readyz")
    assert problem_of(away, 503)
    assert away.headers["retry-after"] == "1"
    assert ready.status_code == 200


async def test_a_database_that_hangs_holds_up_nothing_else(
    house: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.deploy()
    worker = house.worker()
    released = threading.Event()
    monkeypatch.setattr(worker.labels, "add", lambda given: released.wait(20) and [])
    label = {"id": "m1.0-a-1", "label": 1}
    async with client(worker) as http:
        waiting = [asyncio.create_task(http.post("/v1/labels", json=label)) for _ in range(60)]
        await asyncio.sleep(0.05)
        told = [
            (await http.get("/readyz")).status_code,
            (await http.post("/v1/models/churn/explain", json=ROW)).status_code,
            (await http.post("/v1/models/churn/predict", json=ROW)).status_code,
            (await http.get("/metrics")).status_code,
        ]
        assert not any(task.done() for task in waiting)
        released.set()
        kept = await asyncio.gather(*waiting)
    assert told == [200] * 4
    assert {response.status_code for response in kept} == {200}


EVENT = {"event_id": "e1", "entity": 7, "type": "login"}
WRITES = [("/v1/labels", {"id": "m1.0-a-1", "label": "no"}), ("/v1/models/churn/events", EVENT)]


@pytest.mark.slow
@pytest.mark.parametrize(("path", "sent"), WRITES)
@pytest.mark.parametrize(
    ("headers", "bound_ms", "most_s"),
    [({"x-deadline-ms": "50"}, 10_000.0, 0.05), ({}, 1_000.0, 1.0)],
)
async def test_a_database_that_is_locked_is_waited_for_as_long_as_the_client_waits(
    house: Any,
    client: Any,
    path: str,
    sent: Any,
    headers: Any,
    bound_ms: float,
    most_s: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house.deploy()
    worker = house.worker(deadline_ms=bound_ms)
    other = Database(house.settings.database)
    waits: list[float] = []

    def watched(most_s: float) -> float:
        if threading.current_thread().name != "promise-follow":  # which waits for itself
            waits.append(patience_s(most_s))
        return patience_s(most_s)

    monkeypatch.setattr("promise.state.opening.patience_s", watched)
    async with client(worker) as http:
        assert (await http.post(path, json=sent)).status_code == 200  # the tables are there
        with other.transaction():
            waits.clear()
            refused = await http.post(path, json=sent, headers=headers)
            assert waits
            assert max(waits) <= most_s
        kept = await http.post(path, json=sent)
    other.close()
    assert "does not answer" in problem_of(refused, 503)["detail"]
    assert refused.headers["retry-after"] == "1"
    assert (kept.status_code, kept.json()["unchanged"]) == (200, 1)


async def test_a_request_waits_for_a_thread_no_longer_than_its_client_does(
    house: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = house.worker()
    released, begun = threading.Event(), threading.Semaphore(0)
    monkeypatch.setattr(
        worker.labels, "add", lambda _: begun.release() or (released.wait(20) and [])
    )
    monkeypatch.setattr(api, "_DATABASE_THREADS", 1)
    label, soon = {"id": "m1.0-a-1", "label": 1}, {"x-deadline-ms": "100"}
    async with client(worker) as http:
        first = asyncio.create_task(http.post("/v1/labels", json=label, headers=soon))
        await asyncio.to_thread(begun.acquire)
        late = await http.post("/v1/labels", json=label, headers=soon)
        released.set()
        done = await first  # begun in time, so it is not abandoned
        wrong = await http.post("/v1/labels", json=label, headers={"x-deadline-ms": "soon"})
    assert problem_of(late, 503)["title"] == "no time left"
    assert late.headers["retry-after"] == "1"
    assert done.status_code == 200
    assert "X-Deadline-Ms" in problem_of(wrong, 400)["detail"]


async def test_a_route_without_a_loaded_version_is_503_not_500(house: Any, client: Any) -> None:
    version = house.deploy()
    (version.folder / "weights" / "score").rename(version.folder / "gone")
    async with client(house.worker()) as http:
        response = await http.post("/v1/models/churn/explain", json=ROW)
        ready = (await http.get("/readyz")).json()
    assert "could not be loaded" in problem_of(response, 503)["detail"]
    told = ready["models"]["churn"]["failed"]["1"]
    assert "churn@1" in told
    assert not any(str(folder) in told + response.text for folder in version.folder.parents[:-1])


def test_every_operation_but_the_lane_has_a_route(house: Any) -> None:
    app = api.build_api(house.worker())
    routed = {
        (method, route.path.replace("{id:path}", "{id}"))  # type: ignore[attr-defined]
        for route in app.routes
        for method in route.methods  # type: ignore[attr-defined]
    }
    told = {
        (op.method, op.path.replace("{noun}", noun))
        for op in OPERATIONS
        for noun in NOUNS
        if op.id != "predict"
    }
    assert routed == told


async def test_a_list_of_labels_is_neither_empty_nor_endless(house: Any, client: Any) -> None:
    house.deploy()
    many = [{"prediction_id": "m.0-a-0", "label": "yes"}] * 10_001
    async with client(house.worker()) as http:
        none = await http.post("/v1/labels", json={"labels": []})
        endless = await http.post("/v1/labels", json={"labels": many})
    assert "send at least one" in problem_of(none, 422)["detail"]
    assert "at most 10,000" in problem_of(endless, 413)["detail"]


async def test_a_moment_is_asked_for_as_on_the_command_line(house: Any, client: Any) -> None:
    house.deploy()
    async with client(house.worker()) as http:
        now = await http.get("/v1/status/churn?at=now")
        before = await http.get("/v1/status/churn?at=yesterday")
    assert now.json()["in_force"]["route"]["live"] == 1
    assert before.json()["in_force"] is None
