"""States built at once are the bytes that events one by one leave."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.features.declare import Count, Distinct, Last, Mean, NeighbourRate, Rate, Streak
from promise.features.history import History, Labels
from promise.features.online import Online
from promise.features.sets import FeatureSet
from promise.features.states import states
from promise.features.view import FeatureView

DAY = 86_400_000_000

VIEWS = FeatureSet(
    (
        FeatureView(
            "card",
            ("entity",),
            (Count("1d"), Mean("amount", "2d"), Distinct("other", "1d"), Streak("amount", below=5)),
            max_events=20,
        ),
        FeatureView(
            "shop",
            ("other",),
            (Rate("label", "3d", delay="1d"), NeighbourRate("entity", "3d", delay="1d")),
        ),
        FeatureView(
            "pair", ("entity", "other"), (Count("1d"), Last("amount", "1d")), lateness="1h"
        ),
    )
)


def history(n: int, seed: int, *, late: float = 0.1) -> History:
    """Return events with ties, late ones, duplicates, missing keys, and labels in any order."""
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, 12 * 24, n)) * (DAY // 24)
    moved = rng.random(n) < late
    at = np.where(moved, at - rng.integers(0, 3 * DAY, n), at)
    shops = [None if rng.random() < 0.1 else f"s{rng.integers(3)}" for _ in range(n)]
    table = pa.table(
        {
            "id": [f"e{k if rng.random() > 0.05 else max(0, k - 3)}" for k in range(n)],
            "t": at.astype(np.int64),
            "card": [f"c{k}" for k in rng.integers(0, 4, n)],
            "shop": pa.array(shops, pa.string()),
            "eur": np.where(rng.random(n) < 0.1, np.nan, rng.gamma(2.0, 4.0, n).round(4)),
        }
    )
    made = History.of(
        table, time="t", entities={"entity": "card", "other": "shop"}, id="id", amount="eur"
    )
    m = n // 2
    rows = rng.integers(0, n, m)
    labels = Labels(
        rows.astype(np.int64),
        (rng.random(m) < 0.3).astype(np.float64),
        (at[rows] + rng.integers(0, 4 * DAY, m)).astype(np.int64),
        np.sort(rng.integers(0, n + 1, m)).astype(np.int64),
    )
    return History(made.at, made.entities, made.numbers, made.texts, labels, made.ids)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 300))
def test_states_are_those_of_events_one_by_one(seed: int, n: int) -> None:
    """Same keys, same bytes: ties, late events, duplicates, bounds and labels included."""
    told = history(n, seed)
    online = Online(VIEWS)
    for _, record in told.records():
        online.take(record)
    assert dict(states(VIEWS, told)) == dict(online.snapshots())


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_and_one(n: int) -> None:
    told = history(n, 1)
    assert len(dict(states(VIEWS, told))) in (0, 2, 3)
