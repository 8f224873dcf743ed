"""The Prometheus page parses, merges worker slots, and comes without a database too."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from promise.promises.spec import ModelFile, Promise
from promise.promises.verdict import Verdict
from promise.registry.revisions import Revisions
from promise.registry.verdicts import Verdicts
from promise.serving.server import Publisher
from promise.serving.standing import SILENT_S, Standing, standings

pytestmark = pytest.mark.anyio

ROW = {"age": 41.0, "income": 1200.5, "plan": "gold"}


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample of a page by name and sorted labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def labelled(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


LIVE = {"model": "churn", "version": "1", "arm": "live"}


async def test_the_page_merges_slots_and_counts_exactly(house: Any, client: Any) -> None:
    house.deploy()
    speed = Promise("speed", "latency_p99", at_most=12.5)
    first = house.worker()
    Revisions(first.database, first.clock).declare("churn", ModelFile(promises=(speed,)))
    first, second = house.worker(slot=0), house.worker(slot=1)
    async with client(first) as http:
        for _ in range(3):
            await http.post("/v1/models/churn/predict", json=ROW)
    first.counters.save()
    async with client(second) as http:
        await http.post("/v1/models/churn/predict", json={"rows": [ROW, ROW]})
        response = await http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = samples(response.text)
    assert found["promise_requests_total", labelled(**LIVE)] == 4
    assert found["promise_rows_total", labelled(**LIVE)] == 5
    assert found["promise_errors_total", labelled(**LIVE)] == 0
    assert found["promise_over_target_total", labelled(**LIVE, target_ms="12.5")] == 0
    assert found["promise_request_seconds_bucket", labelled(**LIVE, le="+Inf")] == 4
    assert found["promise_request_seconds_count", labelled(**LIVE)] == 4
    assert found["promise_request_seconds_sum", labelled(**LIVE)] > 0
    assert found["promise_stage", labelled(model="churn", stage="steady")] == 1
    assert found["promise_stage", labelled(model="churn", stage="canary")] == 0
    assert found["promise_worker_pss_bytes", labelled(slot="1")] > 2**20
    assert found["promise_database_stale_seconds", labelled(slot="1")] == 0


async def test_one_page_shows_how_every_worker_stands(house: Any, client: Any) -> None:
    house.deploy()
    first, second = house.worker(slot=0), house.worker(slot=1)
    told = Standing.of(second)
    log = {"log_written": 7, "log_dropped": 3, "log_waiting": 2, "log_oldest_s": 0.5}
    replace(told, stale_s=4.0, log_worst_s=1.5, **log).write(first.settings.run)
    silent = replace(told, slot=2, told_s=told.told_s - SILENT_S)
    silent.write(first.settings.run)
    gone = replace(told, slot=3, told_s=told.told_s - 3600)
    gone.write(first.settings.run)
    replace(told, slot=4, told_s=told.told_s + 3600).write(first.settings.run)  # of another boot
    (first.settings.run / "standing-5.json").write_text("{")
    async with client(first) as http:
        found = samples((await http.get("/metrics")).text)
    slots = {dict(labels)["slot"] for name, labels in found if name == "promise_ready"}
    assert slots == {"0", "1", "2"}
    ready = [found["promise_ready", labelled(slot=slot)] for slot in ("0", "1", "2")]
    assert ready == [1, 1, 0]
    assert found["promise_log_written_total", labelled(slot="1")] == 7
    assert found["promise_log_dropped_total", labelled(slot="1")] == 3
    assert found["promise_log_waiting", labelled(slot="1")] == 2
    assert found["promise_log_oldest_seconds", labelled(slot="1")] == 0.5
    assert found["promise_log_worst_loss_window_seconds", labelled(slot="1")] == 1.5
    assert found["promise_database_stale_seconds", labelled(slot="1")] == 4
    assert found["promise_worker_pss_bytes", labelled(slot="1")] > 2**20


def test_a_worker_tells_how_it_stands_until_it_ends(house: Any, wait: Any) -> None:
    house.deploy()
    first, second = house.worker(slot=0), house.worker(slot=1)
    publisher = Publisher(second, every_s=0.01)
    publisher.start()
    wait(lambda: [one.slot for one in standings(first)] == [0, 1])
    second.draining = True
    wait(lambda: [one.ready for one in standings(first)] == [True, False])
    publisher.stop()
    assert [one.slot for one in standings(first)] == [0]


async def test_every_promised_name_is_there_before_anything_happened(
    house: Any, client: Any
) -> None:
    async with client(house.worker()) as http:
        text = (await http.get("/metrics")).text
    names = {family.name for family in text_string_to_metric_families(text)}
    wanted = {
        "promise_requests", "promise_errors", "promise_fallbacks", "promise_request_seconds",
        "promise_over_target", "promise_shed", "promise_log_written", "promise_log_dropped",
        "promise_log_waiting", "promise_log_worst_loss_window_seconds", "promise_stage",
        "promise_verdict", "promise_database_stale_seconds", "promise_worker_pss_bytes",
        "promise_texts_found", "promise_texts_computed", "promise_texts_seconds",
        "promise_texts_cache_bytes",
    }  # fmt: skip
    assert wanted <= names


async def test_verdicts_are_shown_and_outlive_the_database(
    house: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.deploy()
    worker = house.worker()
    promises = tuple(Promise(key, "latency_p99", at_most=1.0) for key in ("a", "b", "c"))
    Revisions(worker.database, worker.clock).declare("churn", ModelFile(promises=promises))
    Verdicts(worker.database, worker.clock).record(
        "churn", 1, "steady",
        [Verdict("a", "latency_p99", "KEPT", 1.0), Verdict("b", "latency_p99", "BROKEN", 1.0)],
    )  # fmt: skip

    def away(*given: Any) -> Any:
        raise OSError("no database")

    async with client(worker) as http:
        found = samples((await http.get("/metrics")).text)
        monkeypatch.setattr("promise.serving.metrics_page.VERDICTS_S", 0.0)
        monkeypatch.setattr(Verdicts, "current", away)
        later = await http.get("/metrics")
    told = [found["promise_verdict", labelled(model="churn", promise=key)] for key in "abc"]
    assert told == [1, -1, 0]
    assert later.status_code == 200
    assert samples(later.text)["promise_verdict", labelled(model="churn", promise="b")] == -1


async def test_a_database_that_hangs_does_not_take_the_page_with_it(
    house: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.deploy()
    released = threading.Event()
    monkeypatch.setattr("promise.serving.metrics_page._PATIENCE_S", 0.01)
    monkeypatch.setattr(Verdicts, "current", lambda *given: released.wait(20) and [])
    async with client(house.worker()) as http:
        found = await http.get("/metrics")
        released.set()
    assert found.status_code == 200
    assert "promise_stage{" in found.text


async def test_shed_requests_and_bad_ones_are_counted_by_model(house: Any, client: Any) -> None:
    house.deploy()
    worker = house.worker()
    worker.counters.count("shed")
    async with client(worker) as http:
        await http.post("/v1/models/churn/predict", json={"age": "x"})
        await http.post("/v1/models/churn/explain", json={"age": "x"})
        await http.post("/v1/models/chrun/events", content=b"{")
        await http.post("/v1/labels", content=b"{")
        found = samples((await http.get("/metrics")).text)
    assert found["promise_shed_total", ()] == 1
    assert found["promise_bad_requests_total", labelled(model="churn")] == 2
    assert found["promise_bad_requests_total", labelled(model="")] == 1
    assert not any("chrun" in dict(labels).values() for _, labels in found)
