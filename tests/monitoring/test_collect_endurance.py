"""Collecting stays exact beside others, after kills, losses and forgetting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from tests.monitoring.house import House

from promise.monitoring.collect import Collector, Kept
from promise.monitoring.index import BLOCK_ROWS
from promise.records.machine import home_slot
from promise.records.predictions import PredictionLog
from promise.state.database import Database


@pytest.mark.slow
def test_two_collectors_of_one_machine_do_not_count_twice(embedded: House) -> None:
    embedded.register()
    log = PredictionLog(
        embedded.settings.records,
        home_slot(embedded.settings, "0"),
        flush_s=0.005,
        clock=embedded.clock,
    )
    done = threading.Event()

    def collect_on() -> None:
        collector = Collector(embedded.settings, embedded.clock)
        while not done.is_set():
            collector.collect()
        collector.close()

    embedded.collect()
    threads = [threading.Thread(target=collect_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    ids: list[str] = []
    for _ in range(5):
        ids += (new := embedded.answer(log, 100))
        embedded.label(new, "yes")
    log.close()
    done.set()
    for thread in threads:
        thread.join()
    embedded.collect()
    assert embedded.counted()["age"] == 500
    assert embedded.outcomes() == [1.0] * 500


@pytest.mark.slow
def test_a_lost_index_is_made_again_and_doubles_nothing(house: House) -> None:
    house.register()
    log = house.log()
    ids = house.answer(log, 600)
    log.close()
    house.label(ids, "yes")
    house.collect()
    for path in house.settings.run.glob("join.db*"):
        path.unlink()
    house.clock.advance(60)
    house.collect()
    assert len(house.outcomes()) == 600
    assert house.counted()["age"] == 600


def test_what_is_old_is_forgotten_hour_by_hour(embedded: House) -> None:
    embedded.register()
    log = embedded.log()
    ids = embedded.answer(log, BLOCK_ROWS + 10)
    log.close()
    embedded.label(ids, "yes")
    kept = Kept(join_days=1, log_days=1e9)
    embedded.collect(kept=kept)
    embedded.clock.advance(3 * 86_400)
    embedded.collect(kept=kept)
    index = Database(f"sqlite:///{embedded.settings.run / 'join.db'}")
    with index.reading() as connection:

        def count(table: str) -> int:
            return int(connection.execute(sa.text(f"SELECT COUNT(*) FROM {table}")).scalar_one())

        assert (count("answers"), count("came"), count("drift")) == (0, 0, 0)
        assert count("outcomes") == 10  # of the block that is not full
    index.close()
    embedded.label(ids[-1:], "no")
    embedded.collect(kept=kept)
    assert len(embedded.outcomes()) == BLOCK_ROWS + 10


KILLED = """
import os, sys
from promise.clock import SystemClock
from promise.monitoring import collect, reading
from promise.monitoring.collect import Collector
from promise.settings import Settings
reading._CHUNK_BYTES, collect._LABELS_AT_ONCE = 20_000, 50
collector = Collector(Settings.load(), SystemClock())
while True:
    collector.collect()
    print("pass", flush=True)
"""


def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@pytest.mark.slow
def test_a_collector_killed_again_and_again_loses_and_doubles_nothing(embedded: House) -> None:
    embedded.clock.start = datetime.now(UTC)
    embedded.register()
    env = {
        **os.environ,
        "PROMISE_HOME": str(embedded.settings.home),
        "PROMISE_DATABASE": embedded.database.url,
    }
    log = PredictionLog(embedded.settings.records, home_slot(embedded.settings, "0"), flush_s=0.01)
    rng, ids = np.random.default_rng(7), []
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED], env=env, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3):
            ids += (new := embedded.answer(log, 250))
            embedded.label(new, "yes")
        assert process.stdout is not None
        process.stdout.readline()
        embedded.label(ids[::3], "no" if rng.random() < 0.5 else "yes")
        time.sleep(float(rng.uniform(0, 0.05)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    log.close()
    embedded.label(ids[::3], "no")
    embedded.collect()
    assert embedded.counted()["age"] == len(ids)
    outcomes = embedded.outcomes()
    assert (len(outcomes), sum(outcomes)) == (len(ids), len(ids) - len(ids[::3]))
