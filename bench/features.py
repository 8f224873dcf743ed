"""Feature views on the handbook's 1.75 million transactions: replay, online, and their equality.

Offline: events per second of the vectorised replay. Online: CPU microseconds for one event in
this process, read and update of all its entities, garbage collector paused. Equality: every bit of
every feature of all events. The peer is the same replay event by event, as serving runs it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from promise.features.declare import (
    Count,
    Distinct,
    Feature,
    Hour,
    IsNight,
    Last,
    Log,
    Mean,
    Rate,
    Ratio,
    Recency,
    Streak,
    Sum,
    Value,
    Weekday,
)
from promise.features.graph import node_view
from promise.features.history import History
from promise.features.online import Online
from promise.features.replay import replay
from promise.features.sets import FeatureSet
from promise.features.view import FeatureView


def windows(*lengths: str) -> tuple[Feature, ...]:
    """Return number, sum and mean of amounts over each window."""
    kinds = ((Count(w), Sum("amount", w), Mean("amount", w)) for w in lengths)
    return tuple(feature for three in kinds for feature in three)


def handbook_features() -> FeatureSet:
    """Return 40 features of customers, terminals, pairs and the transaction itself."""
    now = (Value("amount"), Log("amount"), Hour(), Weekday(), IsNight())
    customer = (
        *windows("1d", "7d", "30d"),
        Distinct("other", "30d"),
        Recency("30d"),
        Last("amount"),
        Streak("amount", below=10.0),
        Ratio(Value("amount"), Mean("amount", "30d")),
    )
    rates = (Rate("label", w, "7d", 0.008, 20.0) for w in ("1d", "7d", "30d"))
    terminal = (*windows("1d", "7d"), *rates, Ratio(Count("1d"), Count("7d")))
    node = node_view("node", "other", "entity", windows=("7d", "30d"), label_delay="7d")
    return FeatureSet((
        FeatureView("now", (), now),
        FeatureView("customer", ("entity",), customer),
        FeatureView("terminal", ("other",), terminal),
        node,
        FeatureView("pair", ("entity", "other"), (Count("30d"),)),
    ))  # fmt: skip


def handbook() -> pa.Table:
    """Return the handbook's transactions in the order in which they happened."""
    folder = Path(os.environ.get("PROMISE_DATA", "../shared/data")).resolve()
    path = folder / "fraud" / "handbook_transactions.parquet"
    if not path.exists():
        raise SystemExit(f"no {path}; set PROMISE_DATA to the folder that has fraud/")
    return pq.read_table(path)


def history_of(table: pa.Table) -> History:
    """Read the transactions by their roles; frauds become known after seven days."""
    roles = {"entity": "CUSTOMER_ID", "other": "TERMINAL_ID"}
    return History.of(
        table,
        time="TX_DATETIME",
        entities=roles,
        amount="TX_AMOUNT",
        label="TX_FRAUD",
        label_delay="7d",
    )


def main(arguments: list[str]) -> None:
    """Print the numbers as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench features", description=__doc__)
    parser.add_argument("--rows", type=int, default=None, help="only the first so many")
    parser.add_argument("--repeats", type=int, default=3, help="replays; the fastest counts")
    chosen = parser.parse_args(arguments)
    table = handbook().slice(0, chosen.rows)
    began = time.perf_counter()
    history = history_of(table)
    read_s = time.perf_counter() - began
    features = handbook_features()
    replays_s = []
    for _ in range(chosen.repeats):
        began = time.perf_counter()
        matrix = replay(features, history)
        replays_s.append(time.perf_counter() - began)
    print(f"replay: {len(history) / min(replays_s):,.0f} events/s", flush=True)
    spent_us, differing = online(features, history, matrix)
    told = {
        "events": len(history),
        "features": len(features.columns),
        "read_s": round(read_s, 2),
        "replay_s": round(min(replays_s), 2),
        "replay_events_per_s": round(len(history) / min(replays_s)),
        "online_cpu_us": {
            "mean": round(float(spent_us.mean()), 1),
            "p50": round(float(np.percentile(spent_us, 50)), 1),
            "p99": round(float(np.percentile(spent_us, 99)), 1),
        },
        "replay_over_online": round(float(spent_us.sum()) / 1e6 / min(replays_s), 1),
        "differing_values": differing,
    }
    print(json.dumps(told, indent=1))


def online(features: FeatureSet, history: History, matrix: np.ndarray) -> tuple[np.ndarray, int]:
    """Return each event's CPU microseconds online, and how many values differ from the replay's."""
    twin = Online(features)
    spent_us = np.zeros(len(history))
    differing = 0
    gc.disable()  # what is kept here for the comparison would be gone through again and again
    for row, record in history.records():
        began = time.thread_time_ns()
        vector = twin.take(record)
        ended = time.thread_time_ns()
        if vector is not None:
            spent_us[row] = (ended - began) / 1e3
            expected = matrix[row]
            same = (vector == expected) | (np.isnan(vector) & np.isnan(expected))
            differing += int((~same).sum())
    gc.enable()
    return spent_us, differing


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
