"""A prediction over the lane: answered, routed, logged, counted, refused in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promise.errors import DataError
from promise.pipeline.artifact import load_pipeline
from promise.pipeline.bind import bind
from promise.registry.keys import Keys
from promise.registry.lifecycle import BUCKETS, Route
from promise.serving.endpoints import Snapshot
from promise.serving.lane import Lane
from promise.serving.worker import Worker
from promise.state.database import Database

pytestmark = pytest.mark.anyio

ROW = {"age": 41.0, "income": 1200.5, "plan": "gold"}
PATH = "/v1/models/churn/predict"


class Broken:
    """A compiled version that fails."""

    fast = True

    def one(self, values: Any, seen: Any = None) -> Any:
        raise RuntimeError("boom")

    def many(self, rows: Any, seen: Any = None) -> Any:
        raise RuntimeError("boom")


class NotFinite(Broken):
    """A compiled version whose answer is no number."""

    def one(self, values: Any, seen: Any = None) -> Any:
        return {"prediction": float("nan")}


def break_version(worker: Worker, number: int, bound: Any = None, name: str = "churn") -> None:
    """Let a loaded version fail from now on."""
    now = worker.runtime.snapshot
    endpoint = now.endpoints[name]
    loaded = replace(endpoint.versions[number], bound=bound or Broken())
    broken = replace(endpoint, versions={**endpoint.versions, number: loaded})
    worker.runtime._snapshot = Snapshot(now.epoch, {**now.endpoints, name: broken}, now.keys)


async def test_one_row(house: Any, client: Any, lines: Any) -> None:
    version = house.deploy()
    worker = house.worker()
    async with client(worker) as http:
        response = await http.post(PATH, json=ROW, headers={"X-Entity": "customer 7"})
    assert response.status_code == 200
    body = response.json()
    assert (body["model"], body["version"]) == ("churn", 1)
    expected = bind(load_pipeline(version.folder)).one((41.0, 1200.5, "gold"))
    (given,) = body["predictions"]
    assert {k: v for k, v in given.items() if k != "id"} == expected
    assert response.headers["x-promise-version"] == "1"
    assert response.headers["x-promise-arm"] == "live"
    (line,) = lines(worker)
    assert line.pop("ms") > 0
    assert line.pop("at") > 1.7e9
    assert line == {
        "id": given["id"], "model": "churn", "version": 1, "arm": "live", "entity": "customer 7",
        "row": ROW, "answer": expected, "source": "model",
    }  # fmt: skip
    series = worker.counters.series("churn", 1, "live", ())
    assert (series.requests, series.rows, series.errors) == (1, 1, 0)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 7, 300])
async def test_a_batch_answers_each_row_as_alone(
    house: Any, client: Any, lines: Any, n: int
) -> None:
    house.deploy()
    worker = house.worker()
    rows = [{**ROW, "age": 20.0 + i / 7} for i in range(n)]
    async with client(worker) as http:
        whole = (await http.post(PATH, json={"rows": rows})).json()["predictions"]
        for i in (0, n // 2, n - 1):
            (alone,) = (await http.post(PATH, json=rows[i])).json()["predictions"]
            assert {**alone, "id": 0} == {**whole[i], "id": 0}
    assert len({answer["id"] for answer in whole}) == n
    logged = {line["id"]: line for line in lines(worker)}
    assert [logged[answer["id"]]["row"] for answer in whole] == rows
    series = worker.counters.series("churn", 1, "live", ())
    assert (series.requests, series.rows) == (4, n + 3)


@pytest.mark.slow
async def test_a_row_of_the_training_table_is_answered_without_its_label(
    house: Any, client: Any, lines: Any
) -> None:
    house.deploy()
    worker = house.worker()
    async with client(worker) as http:
        alone = (await http.post(PATH, json=ROW)).json()["predictions"][0]
        table = await http.post(PATH, json={"target": "yes", **ROW})
        batch = await http.post(PATH, json={"rows": [{**ROW, "target": None}]})
        other = await http.post(PATH, json={**ROW, "targett": "yes"})
        document = (await http.get("/openapi.json")).json()
    for answer in (table, batch):
        assert answer.json()["predictions"][0]["probability"] == alone["probability"]
    assert other.status_code == 422
    assert [line["row"] for line in lines(worker)] == [ROW] * 3
    shown = document["components"]["schemas"]["churn.Row"]
    assert "passed over" in shown["properties"]["target"]["description"]
    assert "target" not in shown["required"]


async def test_a_number_and_odd_but_right_values(house: Any, client: Any) -> None:
    house.deploy("size", "number")
    worker = house.worker()
    async with client(worker) as http:
        for row in ({**ROW, "age": None}, {**ROW, "plan": "never seen"}, {**ROW, "age": 10**30}):
            response = await http.post("/v1/models/size/predict", json=row)
            assert response.status_code == 200, response.text
            assert isinstance(response.json()["predictions"][0]["prediction"], float)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "status", "told"),
    [
        (b"", 400, ""),
        (b"{", 400, ""),
        (b"[1, 2]", 400, ""),
        (b"\xff\xfe{}", 400, ""),
        (b'{"age": NaN, "income": 1, "plan": "gold"}', 400, "NaN"),
        (b'{"age": "old", "income": 1, "plan": "gold"}', 422, "age"),
        (b'{"age": 1, "income": 1}', 422, "plan"),
        (b'{"age": 1, "income": 1, "plan": "gold", "agee": 2}', 422, "'age'"),
        (b'{"rows": [{"age": 1, "income": 1, "plan": "x"}, {}]}', 422, "row"),
        (b'{"rows": 3}', 422, "rows"),
    ],
)
async def test_what_cannot_be_read_is_refused_in_words(
    house: Any, client: Any, content: bytes, status: int, told: str
) -> None:
    house.deploy()
    worker = house.worker()
    async with client(worker) as http:
        response = await http.post(PATH, content=content)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code in {status, 422 if status == 400 and told else status}, (
        response.text
    )
    assert told in response.json()["detail"]
    assert worker.counters.series("churn", 1, "live", ()).errors == 0
    assert worker.counters.totals["bad_requests", "churn"] == 1


async def test_who_is_not_there_is_told_with_the_way_on(house: Any, client: Any) -> None:
    house.deploy()
    house.register("idle")
    worker = house.worker()
    async with client(worker) as http:
        unknown = await http.post("/v1/models/chrun/predict", json=ROW)
        idle = await http.post("/v1/models/idle/predict", json=ROW)
        wrong = await http.get(PATH)
        encoded = await http.post(PATH, json=ROW, headers={"content-encoding": "gzip"})
        deadline = await http.post(PATH, json=ROW, headers={"x-deadline-ms": "soon"})
    assert (unknown.status_code, idle.status_code) == (404, 409)
    assert "did you mean 'churn'" in unknown.json()["detail"]
    assert "promise deploy idle" in idle.json()["detail"]
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert (encoded.status_code, deadline.status_code) == (415, 400)


async def test_too_much_is_refused(house: Any, client: Any) -> None:
    house.deploy()
    worker = house.worker(body_mb=0.01, rows=5)
    async with client(worker) as http:
        large = await http.post(PATH, content=b" " * 20_000)
        parts = await http.post(PATH, content=_parts(20))
        many = await http.post(PATH, json={"rows": [ROW] * 6})
    assert [r.status_code for r in (large, parts, many)] == [413, 413, 413]


async def _parts(n: int) -> Any:
    for _ in range(n):
        yield b" " * 1000


async def test_a_full_queue_sheds_with_429(house: Any, client: Any) -> None:
    house.deploy()
    worker = house.worker(queue=2)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    lane = Lane(worker, _nobody, waiting=lambda: 3)
    await lane({"type": "http", "path": PATH, "method": "POST", "headers": []}, _nobody, send)
    assert sent[0]["status"] == 429
    assert (b"retry-after", b"1") in sent[0]["headers"]
    assert worker.counters.totals["shed", ""] == 1


async def _nobody(*_: Any) -> Any:
    raise AssertionError("nobody asks")


async def test_a_canary_gets_its_share_and_entities_stick(house: Any, client: Any) -> None:
    house.deploy()
    house.register(what="down")
    house.commit(Route("churn", "canary", live=1, candidate=2, share=5000, salt="s"), "deploy")
    worker = house.worker()
    seen: dict[str, set[str]] = {}
    async with client(worker) as http:
        for i in range(60):
            entity = f"customer {i % 20}"
            response = await http.post(PATH, json=ROW, headers={"x-entity": entity})
            seen.setdefault(entity, set()).add(response.headers["x-promise-version"])
        anonymous = {
            (await http.post(PATH, json=ROW)).headers["x-promise-version"] for _ in range(5)
        }
    assert all(len(versions) == 1 for versions in seen.values())
    assert {v for versions in seen.values() for v in versions} == {"1", "2"}
    assert len(anonymous) == 1  # the same request goes the same way
    live, canary = (
        worker.counters.series("churn", v, a, ()) for v, a in ((1, "live"), (2, "canary"))
    )
    assert live.requests + canary.requests == 65
    assert canary.requests > 0


async def test_a_shadow_answers_unseen_under_the_same_id(
    house: Any, client: Any, lines: Any
) -> None:
    house.deploy()
    house.register(what="down")
    house.commit(Route("churn", "shadow", live=1, candidate=2, salt="s"), "deploy")
    worker = house.worker()
    async with client(worker) as http:
        answered = (await http.post(PATH, json={**ROW, "age": 70.0})).json()
    await worker.answering.shadowing.settle()
    assert (answered["version"], answered["predictions"][0]["prediction"]) == (1, "yes")
    user, shadow = sorted(lines(worker), key=lambda line: line["version"])
    assert shadow["id"] == user["id"]
    assert (shadow["arm"], shadow["version"]) == ("shadow", 2)
    assert shadow["answer"]["prediction"] == "no"
    assert shadow["row"] == user["row"]
    assert worker.counters.series("churn", 2, "shadow", ()).requests == 1


async def test_a_failing_shadow_is_counted_and_never_seen(house: Any, client: Any) -> None:
    house.deploy()
    house.register(what="down")
    house.commit(Route("churn", "shadow", live=1, candidate=2, salt="s"), "deploy")
    worker = house.worker()
    now = worker.runtime.snapshot.endpoints["churn"]
    broken = replace(now.versions[2].pipeline, score=None)
    loaded = replace(now.versions[2], pipeline=broken, fingerprint="broken")
    worker.runtime._snapshot = Snapshot(
        worker.runtime.snapshot.epoch,
        {"churn": replace(now, versions={**now.versions, 2: loaded})},
        {},
    )
    async with client(worker) as http:
        assert (await http.post(PATH, json=ROW)).status_code == 200
    await worker.answering.shadowing.settle()
    assert worker.counters.series("churn", 2, "shadow", ()).errors == 1


@pytest.mark.slow
@pytest.mark.parametrize("batch", [False, True])
async def test_a_failing_version_is_replaced_by_the_previous_one(
    house: Any, client: Any, lines: Any, batch: bool
) -> None:
    house.deploy()
    house.deploy(what="down")  # version 1 stands by
    worker = house.worker()
    break_version(worker, 2)
    async with client(worker) as http:
        response = await http.post(PATH, json={"rows": [ROW] * 3} if batch else ROW)
    body = response.json()
    assert response.status_code == 200
    assert (body["version"], body["fallback"]) == (1, "previous")
    assert response.headers["x-promise-fallback"] == "previous"
    failed = worker.counters.series("churn", 2, "live", ())
    assert (failed.requests, failed.errors, failed.fallbacks) == (1, 1, 1)
    assert worker.counters.series("churn", 1, "fallback", ()).requests == 1
    assert {(line["arm"], line["source"]) for line in lines(worker)} == {("fallback", "previous")}


@pytest.mark.slow
@pytest.mark.parametrize("bound", [Broken(), NotFinite()])
async def test_without_a_previous_one_the_heuristic_answers(
    house: Any, client: Any, lines: Any, bound: Any
) -> None:
    version = house.deploy()
    worker = house.worker()
    break_version(worker, 1, bound)
    async with client(worker) as http:
        body = (await http.post(PATH, json=ROW)).json()
    shares = load_pipeline(version.folder).task.heuristic
    assert body["fallback"] == "heuristic"
    assert list(body["predictions"][0]["probability"].values()) == pytest.approx(list(shares))
    (line,) = lines(worker)
    assert (line["arm"], line["source"]) == ("fallback", "heuristic")


async def test_a_failing_canary_falls_back_to_live_and_its_breaker_opens(
    house: Any, client: Any
) -> None:
    house.deploy()
    house.register(what="down")
    house.commit(Route("churn", "canary", live=1, candidate=2, share=BUCKETS, salt="s"), "deploy")
    worker = house.worker()
    break_version(worker, 2)
    async with client(worker) as http:
        bodies = [(await http.post(PATH, json=ROW)).json() for _ in range(8)]
    assert all(body["fallback"] == "previous" and body["version"] == 1 for body in bodies)
    canary = worker.counters.series("churn", 2, "canary", ())
    assert (canary.requests, canary.errors) == (8, 8)  # evidence against the canary alone
    assert worker.counters.series("churn", 1, "live", ()).requests == 0
    desk = worker.answering.desk("churn")
    assert desk is not None
    assert desk.post(2, "canary").breaker.state == "open"


@pytest.mark.parametrize("n", [1, 400])
async def test_a_passed_deadline_is_answered_by_the_heuristic(
    house: Any, client: Any, n: int
) -> None:
    house.deploy()
    worker = house.worker()
    async with client(worker) as http:
        response = await http.post(PATH, json={"rows": [ROW] * n}, headers={"x-deadline-ms": "0"})
    assert response.status_code == 200
    assert response.json()["fallback"] == "heuristic"
    assert len(response.json()["predictions"]) == n


@pytest.mark.slow
@pytest.mark.parametrize(("n", "deadline_ms"), [(1, "0"), (400, "0"), (9000, "1")])
async def test_a_clients_own_hurry_is_no_error_of_the_version(
    house: Any, client: Any, n: int, deadline_ms: str
) -> None:
    house.deploy()
    worker = house.worker()
    async with client(worker) as http:
        for _ in range(6):
            answer = await http.post(
                PATH, json={"rows": [ROW] * n}, headers={"x-deadline-ms": deadline_ms}
            )
            assert answer.json()["fallback"] == "heuristic"
        once = await http.post(PATH, json=ROW, headers={"x-deadline-ms": deadline_ms})
    series = worker.counters.series("churn", 1, "live", ())
    answered = int("fallback" not in once.json())
    assert (series.requests, series.errors, series.fallbacks) == (answered, 0, 0)
    assert worker.counters.totals["late", "churn"] == 7 - answered
    assert worker.answering.desk("churn").live.breaker.state == "closed"


async def test_the_servers_own_deadline_is_an_error_of_the_version(house: Any, client: Any) -> None:
    house.deploy()
    worker = house.worker(deadline_ms=1.0)
    async with client(worker) as http:
        answer = await http.post(PATH, json={"rows": [ROW] * 9000})
    assert answer.json()["fallback"] == "heuristic"
    series = worker.counters.series("churn", 1, "live", ())
    assert (series.requests, series.errors, series.fallbacks) == (1, 1, 1)
    assert ("late", "churn") not in worker.counters.totals


async def test_without_any_answer_the_problem_says_why(house: Any, client: Any) -> None:
    house.deploy()
    worker = house.worker()
    break_version(worker, 1)
    now = worker.runtime.snapshot
    endpoint = now.endpoints["churn"]
    loaded = replace(endpoint.versions[1], heuristic=None)
    bare = replace(endpoint, versions={1: loaded}, heuristic=None)
    worker.runtime._snapshot = Snapshot(now.epoch, {"churn": bare}, {})
    async with client(worker) as http:
        broken = await http.post(PATH, json=ROW)
        late = await http.post(PATH, json=ROW, headers={"x-deadline-ms": "0"})
    assert (broken.status_code, late.status_code) == (503, 504)


async def test_keys_are_asked_for_outside_loopback(house: Any, client: Any) -> None:
    house.deploy()
    keys = Keys(Database(house.settings.database), house.clock)
    _, secret = keys.create("app", ("predict",))
    _, labels_only = keys.create("labels", ("label",))
    worker = house.worker()
    worker.open_access = False
    async with client(worker) as http:
        codes = [
            (await http.post(PATH, json=ROW, headers=headers)).status_code
            for headers in (
                {},
                {"authorization": "Bearer pk_wrong"},
                {"authorization": f"Bearer {labels_only}"},
                {"authorization": f"Bearer {secret}"},
                {"x-api-key": secret},
            )
        ]
    assert codes == [401, 401, 403, 200, 200]


async def test_a_draining_worker_tells_connections_to_close(house: Any, client: Any) -> None:
    house.deploy()
    worker = house.worker()
    worker.draining = True
    async with client(worker) as http:
        assert (await http.post(PATH, json=ROW)).headers["connection"] == "close"
        assert (await http.post(PATH, content=b"{")).headers["connection"] == "close"
        assert (await http.get("/readyz")).status_code == 503


class Picky(Broken):
    """A compiled version that refuses rows without a plan, as some models do."""

    def one(self, values: Any, seen: Any = None) -> Any:
        if values[2] is None:
            raise DataError("the model takes no missing value in 'plan'.")
        return {"prediction": "yes", "probability": {"no": 0.0, "yes": 1.0}}

    def many(self, rows: Any, seen: Any = None) -> Any:
        return [self.one(row) for row in rows]


async def test_a_row_that_the_model_refuses_is_told_with_the_reason(
    house: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.deploy()
    house.deploy(what="down")
    worker = house.worker()
    break_version(worker, 2, Picky())
    monkeypatch.setattr("promise.serving.threads.bind", lambda _: Picky())
    bad = {**ROW, "plan": None}
    async with client(worker) as http:
        one = [await http.post(PATH, json=bad) for _ in range(10)]
        batch = await http.post(PATH, json={"rows": [ROW, ROW, bad, ROW]})
        long = await http.post(PATH, json={"rows": [*[ROW] * 2500, bad]})
        good = (await http.post(PATH, json=ROW)).json()
    assert {response.status_code for response in (*one, batch, long)} == {422}
    assert one[0].json()["detail"] == "the model takes no missing value in 'plan'."
    assert batch.json()["detail"] == "row 2: the model takes no missing value in 'plan'."
    assert long.json()["detail"] == "row 2500: the model takes no missing value in 'plan'."
    assert (good["version"], "fallback" in good) == (2, False)
    series = worker.counters.series("churn", 2, "live", ())
    assert (series.requests, series.errors) == (1, 0)
    assert worker.counters.totals["bad_requests", "churn"] == 12
    assert worker.answering.desk("churn").live.breaker.state == "closed"


async def test_what_a_canary_refuses_and_the_live_version_answers_is_the_canarys_error(
    house: Any, client: Any
) -> None:
    house.deploy()
    house.register(what="down")
    house.commit(Route("churn", "canary", live=1, candidate=2, share=BUCKETS, salt="s"), "deploy")
    worker = house.worker()
    break_version(worker, 2, Picky())
    async with client(worker) as http:
        body = (await http.post(PATH, json={**ROW, "plan": None})).json()
        break_version(worker, 1, Picky())
        both = await http.post(PATH, json={**ROW, "plan": None})
    assert (body["version"], body["fallback"]) == (1, "previous")
    assert (both.status_code, "'plan'" in both.json()["detail"]) == (422, True)
    canary = worker.counters.series("churn", 2, "canary", ())
    assert (canary.requests, canary.errors) == (1, 1)  # where both refuse, the row is at fault
    assert worker.answering.desk("churn").post(2, "canary").breaker.state == "closed"
