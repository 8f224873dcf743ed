"""Rows stream in and answers out, in order, in bounded memory, and errors end a stream in words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from promise.data.source import open_source
from promise.data.synthetic import name_table
from promise.pipeline.artifact import save_pipeline
from promise.pipeline.order import Order
from promise.serving import streaming
from promise.serving.lane import Lane
from promise.serving.server import build
from promise.serving.streaming import Backlog
from promise.workloads.domains.train import train_names

pytestmark = pytest.mark.anyio

ROW = {"age": 41.0, "income": 1200.5, "plan": "gold"}
PATH = "/v1/models/churn/predict"
NDJSON = {"content-type": "application/x-ndjson"}


def body_of(rows: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def told(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
async def test_lines_get_the_answers_of_rows(
    house: Any, client: Any, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "BLOCK_ROWS", 7)
    house.deploy()
    worker = house.worker()
    rows = [{**ROW, "age": float(age)} for age in range(20, 60)]
    async with client(worker) as http:
        whole = (await http.post(PATH, json={"rows": rows})).json()["predictions"]
        response = await http.post(PATH, content=body_of(rows) + b"\n\n", headers=NDJSON)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.headers["x-promise-version"] == "1"
    found = told(response.text)
    assert [one["probability"] for one in found] == [one["probability"] for one in whole]
    assert [line["id"] for line in lines(worker)[40:]] == [one["id"] for one in found]


async def test_lines_may_come_in_any_pieces(house: Any, client: Any) -> None:
    house.deploy()
    worker = house.worker()
    body = body_of([ROW] * 5)

    async def pieces() -> AsyncIterator[bytes]:
        for first in range(0, len(body), 11):
            yield body[first : first + 11]

    async with client(worker) as http:
        response = await http.post(PATH, content=pieces(), headers=NDJSON)
    assert len(told(response.text)) == 5


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 422, "the stream holds no row"),
        (b'{"age": 1', 422, "line 1:"),
        (body_of([ROW]) + b'\n{"agee": 1}', 422, "line 2:"),
        (body_of([{"rows": [ROW]}]), 422, "line 1: it is a batch"),
    ],
)
async def test_first_rows_are_refused_as_a_problem(
    house: Any, client: Any, body: bytes, status: int, words: str
) -> None:
    house.deploy()
    async with client(house.worker()) as http:
        response = await http.post(PATH, content=body, headers=NDJSON)
        absent = await http.post("/v1/models/chrun/predict", content=body, headers=NDJSON)
    assert (response.status_code, words in response.json()["detail"]) == (status, True)
    assert absent.status_code == 404


async def test_what_goes_wrong_later_ends_the_stream_in_words(
    house: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "BLOCK_ROWS", 2)
    house.deploy()
    async with client(house.worker()) as http:
        body = body_of([ROW] * 4) + b'\n{"agee": 1}\n' + body_of([ROW] * 4)
        found = told((await http.post(PATH, content=body, headers=NDJSON)).text)
    assert len(found) == 5
    assert "line 5: there is no field 'agee'" in found[-1]["error"]["detail"]
    assert found[-1]["error"]["status"] == 422


async def test_a_line_without_end_is_refused(house: Any, client: Any) -> None:
    house.deploy()
    async with client(house.worker(body_mb=0.001)) as http:
        response = await http.post(PATH, content=b"x" * 5000, headers=NDJSON)
        longer = await http.post(PATH, content=body_of([ROW] * 100), headers=NDJSON)
    assert response.status_code == 413
    assert len(told(longer.text)) == 100  # a stream may be larger than a body


async def test_long_rows_are_answered_fewer_at_a_time(
    house: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block takes no more memory than a body may, however long its lines are."""
    house.deploy()
    worker = house.worker(body_mb=0.001)
    blocks: list[int] = []
    answered = streaming.Stream._answered

    async def counted(self: Any, block: Any) -> Any:
        blocks.append(len(block[1]))
        return await answered(self, block)

    monkeypatch.setattr(streaming.Stream, "_answered", counted)
    body = body_of([{**ROW, "plan": "x" * 400}] * 20)

    async def pieces() -> AsyncIterator[bytes]:
        for first in range(0, len(body), 100):
            yield body[first : first + 100]

    async with client(worker) as http:
        found = told((await http.post(PATH, content=pieces(), headers=NDJSON)).text)
    assert len(found) == 20
    assert max(blocks) * 400 < 2 * worker.limits.body_bytes


async def test_a_client_that_leaves_stops_the_work(house: Any) -> None:
    house.deploy()
    worker = house.worker()
    lane: Lane = build(worker)
    sent: list[Any] = []
    messages = [
        {"type": "http.request", "body": body_of([ROW]), "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": PATH, "method": "POST",
             "headers": [(b"content-type", b"application/x-ndjson")]}  # fmt: skip
    await lane(scope, receive, send)
    assert not sent
    assert worker.counters.series("churn", 1, "live", ()).rows == 0


async def test_a_client_that_never_reads_gives_its_place_back(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it has sent everything, or waits to send more."""
    monkeypatch.setattr(streaming, "STALL_S", 0.05)
    monkeypatch.setattr(streaming, "BLOCK_ROWS", 1)
    house.deploy()
    worker = house.worker()
    lane: Lane = build(worker)
    scope = {"type": "http", "path": PATH, "method": "POST",
             "headers": [(b"content-type", b"application/x-ndjson")]}  # fmt: skip

    async def never(message: Any) -> None:
        await asyncio.Event().wait()

    for most_waiting in (streaming.MOST_WAITING, 10):
        monkeypatch.setattr(streaming, "MOST_WAITING", most_waiting)
        messages = [{"type": "http.request", "body": body_of([ROW] * 3)}]

        async def receive(messages: list[Any] = messages) -> Any:
            return messages.pop(0)

        await asyncio.wait_for(lane(scope, receive, never), 20)
    assert worker.counters.totals["disconnected", ""] == 2
    assert lane.waiting() == 0


async def test_answers_wait_on_disk_and_no_more_than_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "MOST_WAITING", 10)
    backlog = Backlog()
    backlog.put(b"0123456789ab")
    waiting = asyncio.create_task(backlog.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await backlog.take() == b"0123456789ab"
    await waiting
    backlog.put(b"c")
    backlog.close()
    assert [await backlog.take(), await backlog.take()] == [b"c", b""]
    backlog.discard()


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a trained model of domains."""
    rows = name_table(600, n_classes=3)
    work, folder = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("apps")
    outcome = train_names(open_source(rows), Order("apps", work), lambda _: None)
    save_pipeline(outcome.pipeline, folder, outcome.contents)
    return folder


@pytest.mark.slow
async def test_the_first_route_of_domains_still_answers(
    house: Any, client: Any, apps: Path
) -> None:
    house.trained = {**house.trained, "apps": apps}
    house.deploy("churn")
    body = {"domain": "WWW.Example.com."}
    async with client(house.worker()) as http:
        none = await http.post("/predict", json=body)
    house.deploy("apps", "apps")
    async with client(house.worker(slot=1)) as http:
        full = (await http.post("/v1/models/apps/predict", json=body)).json()["predictions"][0]
        found = (await http.post("/predict", json=body)).json()
        other = await http.post("/predict?model=churn", json=body)
        wrong = await http.post("/predict", json={"domian": "x"})
    house.deploy("more", "apps")
    async with client(house.worker(slot=2)) as http:
        several = await http.post("/predict", json=body)
        named = await http.post("/predict?model=more", json=body)
        near = await http.post("/predict?model=mroe", json=body)
    assert none.status_code == 404
    assert set(found) == {"domain", "predicted_app", "confidence", "inference_time_ms"}
    assert (found["domain"], found["predicted_app"]) == (body["domain"], full["prediction"])
    assert found["confidence"] == full["confidence"]
    assert found["inference_time_ms"] >= 0.0
    assert {"path", "rule", "alternatives"} <= set(full)
    assert (other.status_code, wrong.status_code) == (409, 422)
    assert (several.status_code, "?model=apps|more" in several.text) == (409, True)
    assert (named.status_code, near.status_code) == (200, 404)
    assert "did you mean 'more'" in near.text
