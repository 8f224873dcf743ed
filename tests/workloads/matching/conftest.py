"""Small worlds with planted tastes, trained once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from promise.data.source import open_source
from promise.data.synthetic_people import Crowd, people_events, people_table
from promise.pipeline.order import Order, Outcome
from promise.workloads.matching.train import train_people

WORLD = Crowd(people=240, days=20, per_day=150, circles=4)


def train(data: Any, work: Path, **terms: Any) -> Outcome:
    """Train without registering."""
    work.mkdir(parents=True, exist_ok=True)
    return train_people(open_source(data), Order("meet", work, **terms), lambda _: None)


def evenings(n_groups: int = 12, each: int = 8, seed: int = 7) -> pa.Table:
    """Return decided pairs: who likes chess is liked by those who like it, whatever the evening."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[Any]] = {k: [] for k in ("iid", "gender", "wave", "pid", "chess", "dec")}
    for group in range(n_groups):
        ids = np.arange(2 * each) + 100 * group
        chess = rng.integers(0, 10, 2 * each)
        for a in range(2 * each):
            for b in range(2 * each):
                if (a < each) == (b < each):
                    continue
                liking = 1 / (1 + np.exp(-(0.9 * (chess[b] - 5) + 0.5 * (chess[a] > 5))))
                told = (ids[a], int(a < each), group, ids[b], chess[a], int(rng.random() < liking))
                for key, value in zip(rows, told, strict=True):
                    rows[key].append(value)
    return pa.table({**rows, "like": rows["dec"]})


@pytest.fixture(scope="session")
def people_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return where the profiles of the world lie."""
    path = tmp_path_factory.mktemp("people") / "people.parquet"
    pq.write_table(people_table(WORLD), path)
    return str(path)


@pytest.fixture(scope="session")
def events() -> pa.Table:
    """Return what the people of the world did."""
    return people_events(WORLD)


@pytest.fixture(scope="session")
def default(
    people_path: str, events: pa.Table, tmp_path_factory: pytest.TempPathFactory
) -> Outcome:
    """Return what training the default preset gave."""
    return train(events, tmp_path_factory.mktemp("default"), people=people_path)


@pytest.fixture(scope="session")
def reference(
    people_path: str, events: pa.Table, tmp_path_factory: pytest.TempPathFactory
) -> Outcome:
    """Return what training the first design gave."""
    work = tmp_path_factory.mktemp("reference")
    return train(events, work, people=people_path, preset="reference")
