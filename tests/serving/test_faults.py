"""Faults around the lane: a problem document or a fallback, never a traceback."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.clock import SystemClock
from promise.pipeline.bind import Bound
from promise.records.buckets import bucket_start
from promise.records.predictions import PredictionLog
from promise.records.publishing import CountsPublisher
from promise.records.reading import read_all
from promise.serving.lane import Lane
from promise.serving.server import Publisher
from promise.serving.worker import Worker

pytestmark = pytest.mark.anyio

ROW = {"age": 41.0, "income": 1200.5, "plan": "gold"}
PATH = "/v1/models/churn/predict"


async def nothing(*_: Any) -> Any:
    raise AssertionError("nobody else is asked")


async def post(worker: Worker, content: bytes, **headers: str) -> httpx.Response:
    """Send one request to the lane alone."""
    transport = httpx.ASGITransport(app=Lane(worker, nothing))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        return await http.post(PATH, content=content, headers=headers)


def is_told(response: httpx.Response) -> bool:
    """Say whether a refusal is a whole problem document without a traceback."""
    told = response.json()
    about = response.headers["content-type"] == "application/problem+json"
    whole = told["status"] == response.status_code and told["title"] and told["detail"]
    return bool(about and whole and "Traceback" not in response.text)


@pytest.mark.slow
async def test_a_million_rows_are_refused_before_they_are_read(house: Any) -> None:
    house.deploy()
    worker = house.worker(body_mb=64)
    row = b'{"age":1,"income":2,"plan":"a"}'
    response = await post(worker, b'{"rows":[' + b",".join([row] * 1_000_000) + b"]}")
    assert response.status_code == 413
    assert is_told(response)
    assert "10,000" in response.json()["detail"] or "10000" in response.json()["detail"]


async def test_ten_megabytes_are_refused(house: Any) -> None:
    house.deploy()
    response = await post(house.worker(), b" " * 10_000_000)
    assert response.status_code == 413
    assert is_told(response)


@pytest.mark.parametrize("pause_s", [0.02, 60.0])
async def test_a_body_that_never_ends_is_refused_in_time(house: Any, pause_s: float) -> None:
    house.deploy()
    worker = house.worker(read_s=0.05)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(pause_s)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": PATH, "method": "POST", "headers": []}
    await Lane(worker, nothing)(scope, receive, send)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert worker.counters.totals["slow_clients", ""] == 1


async def test_a_slow_body_among_quick_ones_is_cut_off_alone(house: Any) -> None:
    house.deploy()
    worker = house.worker(read_s=0.1)
    body = json.dumps(ROW).encode()

    async def slowly() -> Any:
        await asyncio.sleep(60)
        yield body

    slow = asyncio.create_task(post(worker, slowly()))  # type: ignore[arg-type]
    while not slow.done():
        assert (await post(worker, body)).status_code == 200
        await asyncio.sleep(0.005)
    assert (await slow).status_code == 408


async def test_a_server_that_ends_is_not_taken_for_a_slow_client(house: Any) -> None:
    house.deploy()
    worker = house.worker()

    async def receive() -> Any:
        await asyncio.sleep(60)

    waiting = asyncio.create_task(worker.arrivals.body(receive))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_client_that_leaves_is_no_error(house: Any) -> None:
    house.deploy()
    worker = house.worker()

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "path": PATH, "method": "POST", "headers": []}
    await Lane(worker, nothing)(scope, receive, nothing)
    assert worker.counters.totals["disconnected", ""] == 1


@pytest.fixture(scope="module")
def served(make_house: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Yield one worker for many requests."""
    house = make_house(tmp_path_factory.mktemp("home"))
    house.deploy()
    yield house.worker(rows=50)
    house.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
ROWS = st.fixed_dictionaries(
    {"age": JSON, "income": st.floats() | st.integers() | JSON, "plan": st.text(max_size=5) | JSON}
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=60)
    | (JSON | ROWS | ROWS.map(lambda row: {"rows": [row, row]})).map(
        lambda value: json.dumps(value).encode("utf-8", "surrogatepass")
    ),
    st.sampled_from(["", "0", "-1", "1e9", "nan", "0.0001", "5000"]),
)
def test_whatever_is_sent_gets_an_answer_or_a_whole_problem(
    served: Worker, content: bytes, deadline: str
) -> None:
    headers = {"x-deadline-ms": deadline} if deadline else {}
    response = asyncio.run(post(served, content, **headers))
    assert response.status_code in (200, 400, 413, 422), response.text
    assert response.status_code == 200 or is_told(response)


async def test_the_database_locked_or_away_changes_nothing_for_users(house: Any, wait: Any) -> None:
    house.deploy()
    worker = house.worker()
    publisher = Publisher(worker, every_s=0.02)
    worker.evidence.database.wait_s = 0.05
    engine = sa.create_engine(house.settings.database)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        publisher.start()
        for _ in range(5):
            assert (await post(worker, json.dumps(ROW).encode())).status_code == 200
        connection.exec_driver_sql("ROLLBACK")
    engine.dispose()
    file = Path(house.settings.database.removeprefix("sqlite:///"))
    aside = file.with_suffix(".aside")
    file.rename(aside)
    for _ in range(5):
        assert (await post(worker, json.dumps(ROW).encode())).status_code == 200
    unknown = await post_to(worker, "/v1/models/nobody/predict")
    assert unknown.status_code == 404
    aside.replace(file)
    publisher.stop()
    worker.counters.save()
    assert worker.counters.series("churn", 1, "live", ()).requests == 10


async def post_to(worker: Worker, path: str) -> httpx.Response:
    """Send one request to another path."""
    transport = httpx.ASGITransport(app=Lane(worker, nothing))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        return await http.post(path, json=ROW)


async def test_a_full_disk_drops_lines_and_says_so(house: Any, wait: Any, tmp_path: Path) -> None:
    house.deploy()
    worker = house.worker()
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "churn").symlink_to("/dev/full")  # no folder can be made and nothing written there
    worker.log.close()
    worker.log = PredictionLog(folder, "0", flush_s=0.02, limit=3)
    for _ in range(10):
        assert (await post(worker, json.dumps(ROW).encode())).status_code == 200
    wait(lambda: worker.log.stats().failures > 0)
    assert worker.log.stats().dropped > 0
    assert worker.log.stats().written == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield the folder of a file system of 256 KiB; only root may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_log_on_a_disk_that_fills_up_goes_on_when_there_is_space(
    house: Any, wait: Any, small_disk: Path
) -> None:
    house.deploy()
    worker = house.worker()
    worker.log.close()
    worker.log = PredictionLog(small_disk, "0", flush_s=0.01, limit=200)
    filler = small_disk / "filler"
    filler.write_bytes(b" " * 200_000)
    answered, batch = 0, json.dumps({"rows": [ROW] * 100}).encode()
    while not worker.log.stats().dropped:
        assert (await post(worker, batch)).status_code == 200
        answered += 100
        await asyncio.sleep(0.01)
    full = worker.log.stats()
    assert full.failures > 0
    assert "No space left" in full.error
    assert full.written > 0  # what fitted is there
    filler.unlink()
    wait(lambda: worker.log.stats().waiting == 0)
    assert worker.log.stats().error == ""
    assert (await post(worker, json.dumps(ROW).encode())).status_code == 200
    wait(lambda: worker.log.stats().waiting == 0)
    stats = worker.log.stats()
    assert stats.written + stats.dropped == answered + 1
    kept = list(read_all(small_disk, "churn"))
    assert len(kept) == stats.written  # no line was torn by the disk's end
    worker.log.close()


async def test_a_model_whose_files_are_cut_off_answers_by_its_last_resort(house: Any) -> None:
    version = house.deploy()
    for file in (version.folder / "weights").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:50])
    worker = house.worker()
    response = await post(worker, json.dumps(ROW).encode())
    assert response.status_code == 200
    assert response.json()["fallback"] == "heuristic"
    assert sum(response.json()["predictions"][0]["probability"].values()) == pytest.approx(1.0)
    bad = await post(worker, b'{"age": 1}')
    assert bad.status_code == 422
    assert worker.counters.series("churn", 1, "live", ()).errors == 1


class Jumping(SystemClock):
    """A wall clock that somebody moves."""

    moved = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.moved


@pytest.mark.slow
@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_that_is_moved_by_an_hour_changes_nothing(
    house: Any, lines: Any, hours: int
) -> None:
    house.deploy()
    house.clock = Jumping()
    worker = house.worker()
    publisher = CountsPublisher(worker.counters, worker.evidence, worker.clock)
    began = worker.clock.now()
    answers = []
    for moved in (0, hours, 0, hours, hours):
        house.clock.moved = timedelta(hours=moved)
        answers.append(await post(worker, json.dumps(ROW).encode(), **{"x-deadline-ms": "5000"}))
        publisher.tick()
    assert all("fallback" not in answer.json() for answer in answers)
    logged = lines(worker)
    ids = [answer.json()["predictions"][0]["id"] for answer in answers]
    assert [line["id"] for line in logged] == ids  # in one segment, in their order
    assert ids == sorted(ids)
    at = [line["at"] for line in logged]
    assert at == sorted(at)
    assert at[-1] - at[0] < 60
    assert all(0 <= line["ms"] < 5000 for line in logged)
    while bucket_start(worker.clock.now()) == bucket_start(began):
        await asyncio.sleep(0.05)
    publisher.tick()
    buckets = worker.evidence.counts("churn", 1, "live", since=began - timedelta(seconds=60))
    assert sum(bucket.requests for bucket in buckets) == len(answers)
    assert all(abs((bucket.start - began).total_seconds()) < 60 for bucket in buckets)


async def test_an_error_of_our_own_is_told_by_its_trace_alone(
    house: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house.deploy()
    worker = house.worker()

    def stumble() -> str:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(worker.log, "new_id", stumble)
    response = await post(worker, json.dumps(ROW).encode())
    assert response.status_code == 500
    assert is_told(response)
    assert "secret" not in response.text
    assert response.json()["instance"].rpartition(":")[2] in caplog.text


async def test_a_slow_model_does_not_hold_up_the_loop_and_is_cut_at_its_deadline(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.deploy()
    worker = house.worker()
    now = worker.runtime.snapshot
    endpoint = now.endpoints["churn"]
    slow = replace(endpoint.versions[1], one_ms=50.0)
    worker.runtime._snapshot = replace(
        now, endpoints={"churn": replace(endpoint, versions={1: slow})}
    )
    real, go_on = Bound.one, threading.Event()

    def one(self: Any, values: Any, seen: Any = None) -> Any:
        go_on.wait(60)
        return real(self, values)

    monkeypatch.setattr(Bound, "one", one)
    late = asyncio.create_task(post(worker, json.dumps(ROW).encode(), **{"x-deadline-ms": "50"}))
    # the model answers only once the loop says so: had it held the loop up, neither would end
    assert (await late).json()["fallback"] == "heuristic"
    assert not go_on.is_set()
    go_on.set()
    assert "fallback" not in (await post(worker, json.dumps(ROW).encode())).json()
    assert np.isfinite(worker.counters.series("churn", 1, "live", ()).seconds)
