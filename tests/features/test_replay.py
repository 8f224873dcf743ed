"""The vectorised replay gives the bits that serving gives, whatever came in and however late."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promise.errors import DataError
from promise.features.declare import (
    Count,
    Distinct,
    Hour,
    IsNight,
    Last,
    Log,
    Max,
    Mean,
    NeighbourRate,
    PositiveStreak,
    Rate,
    Ratio,
    Recency,
    Streak,
    Sum,
    Value,
    Weekday,
)
from promise.features.event import Event
from promise.features.history import Coded, History, Labels
from promise.features.online import Online
from promise.features.replay import replay
from promise.features.sets import FeatureSet
from promise.features.view import FeatureView

SECOND = 1_000_000

WINDOWS = (
    Count("5s"), Count("20s"), Sum("amount", "5s"), Mean("amount", "20s"), Mean("score", "9s"),
    Max("amount", "20s"), Max("score", "9s", cap=2), Max("amount", "5s"),
    Distinct("other", "20s"), Distinct("device", "20s", cap=2), Recency("9s"), Last("amount", "9s"),
    Streak("amount", below=5.0, window="20s"), Streak("amount", above=1.0, below=9.0, window="5s"),
    Ratio(Count("5s"), Count("20s")), Ratio(Value("amount"), Mean("amount", "20s")),
    Rate("score", "20s", delay="2s", prior=0.1, smoothing=3.0), Rate("score", "5s"),
)  # fmt: skip
LABELS = (
    Rate("label", "10s", delay="3s", prior=0.01, smoothing=2.0),
    Rate("label", "4s", delay="1s", unlabelled="negative"),
    Rate("label", "20s", delay="3s"),
    NeighbourRate("entity", "10s", delay="3s", prior=0.2, smoothing=1.0),
    NeighbourRate("entity", "20s", delay="2s", cap=2),
    PositiveStreak("10s", delay="3s"),
    PositiveStreak("20s", delay="1s"),
)
STATELESS = (Value("amount"), Log("amount"), Hour(), Weekday(3), IsNight(22, 6, -5))


def features(most: int = 4096, lateness: str = "3s") -> FeatureSet:
    """Return every feature over several kinds of entities."""
    bounds: dict[str, Any] = {"max_events": most, "lateness": lateness}
    return FeatureSet((
        FeatureView("customer", ("entity",), (*WINDOWS, *LABELS[:3]), **bounds),
        FeatureView("place", ("other",), (*LABELS, Count("9s")), **bounds),
        FeatureView("pair", ("entity", "other"), (Count("20s"), LABELS[0]), **bounds),
        FeatureView("device", ("device",), (Distinct("entity", "20s"), *LABELS), **bounds),
        FeatureView("now", (), STATELESS),
    ))  # fmt: skip


def coded(values: list[str | None]) -> Coded:
    """Return a column of texts."""
    return Coded.of(pa.chunked_array([pa.array(values, pa.string())]))


amounts = st.one_of(
    st.none(), st.sampled_from([0.0, 1.0, 4.99, 5.0]), st.floats(-1e11, 1e11, allow_nan=False)
)


@st.composite
def histories(draw: st.DrawFn, *, in_order: bool, late_labels: bool) -> History:
    """Draw events of few entities on few times, so that ties, duplicates and late ones are many."""
    n = draw(st.integers(1, 40))
    column = {"min_size": n, "max_size": n}
    at = draw(st.lists(st.integers(-20, 40), **column))
    sub = draw(st.lists(st.sampled_from([0, 0, 1]), **column))
    keys = draw(st.lists(st.sampled_from(["a", "a", "b", "c", None]), **column))
    others = draw(st.lists(st.sampled_from(["x", "x", "y", None]), **column))
    devices = draw(st.lists(st.sampled_from(["p", "q", "r", None]), **column))
    ids = draw(st.lists(st.integers(0, 3 * n), **column))
    amount = [np.nan if v is None else v for v in draw(st.lists(amounts, **column))]
    score = draw(st.lists(st.sampled_from([np.nan, 0.0, -1.0, 0.3, 2.0]), **column))
    times = np.array(at, np.int64) * SECOND + np.array(sub)
    times = np.sort(times) if in_order else times
    rows = draw(st.lists(st.integers(0, n - 1), max_size=n, unique=not late_labels))
    rows = np.array(sorted(rows) if not late_labels else rows, np.int64)
    m = {"min_size": len(rows), "max_size": len(rows)}
    delay = draw(st.lists(st.integers(0, 12), **m)) if late_labels else [3] * len(rows)
    behind = draw(st.lists(st.integers(0, 9), **m)) if late_labels else [1] * len(rows)
    labels = Labels(
        rows,
        np.array(draw(st.lists(st.sampled_from([0.0, 1.0]), **m)), np.float64),
        times[rows] + np.array(delay, np.int64) * SECOND,
        np.minimum(rows + np.array(behind, np.int64), n),
    )
    return History(
        times,
        {"entity": coded(keys), "other": coded(others), "device": coded(devices)},
        {"amount": np.array(amount), "score": np.array(score)},
        labels=labels,
        ids=coded([str(v) for v in ids]),
    )


def online(chosen: FeatureSet, history: History, restart_at: int | None = None) -> np.ndarray:
    """Return what serving gives, event by event."""
    twin = Online(chosen)
    rows = np.full((len(history), len(chosen.columns)), np.inf)
    for row, record in history.records():
        if row == restart_at:
            twin.restart()
        vector = twin.take(record)
        if vector is not None:
            rows[row] = vector
    return rows


def same_bits(history: History, chosen: FeatureSet, restart_at: int | None = None) -> None:
    """Compare both paths bit for bit."""
    fast, slow = replay(chosen, history), online(chosen, history, restart_at)
    equal = (fast == slow) | (np.isnan(fast) & np.isnan(slow))
    bad = [(int(r), chosen.columns[c], fast[r, c], slow[r, c]) for r, c in np.argwhere(~equal)]
    assert not bad, bad[:5]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(histories(in_order=True, late_labels=False))
def test_events_in_order_with_ties_and_duplicates(history: History) -> None:
    same_bits(history, features())


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(histories(in_order=True, late_labels=True), st.integers(0, 40))
def test_labels_that_come_late_repeat_or_change(history: History, restart_at: int) -> None:
    same_bits(history, features(), restart_at)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(histories(in_order=False, late_labels=True), st.integers(0, 40))
def test_late_events_and_a_restart_in_the_middle(history: History, restart_at: int) -> None:
    same_bits(history, features(), restart_at)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.booleans().flatmap(lambda order: histories(in_order=order, late_labels=True)),
    st.integers(1, 6),
    st.sampled_from(["0s", "2s"]),
    st.integers(0, 40),
)
def test_the_bounds_of_memory(history: History, most: int, late: str, restart_at: int) -> None:
    same_bits(history, features(most, late), restart_at)


@pytest.mark.slow
def test_many_events_of_few_entities_clean_up_on_the_way() -> None:
    random = np.random.default_rng(7)
    n = 3000
    at = np.sort(random.integers(0, 900 * SECOND, n))
    at[random.random(n) < 0.02] -= 2 * SECOND
    keys = [f"k{v}" for v in random.integers(0, 5, n)]
    others = [f"o{v}" for v in random.integers(0, 9, n)]
    rows = np.flatnonzero(random.random(n) < 0.8)
    labels = Labels(
        rows, random.integers(0, 2, len(rows)).astype(float), at[rows] + 2 * SECOND, rows + 1
    )
    history = History(
        at,
        {"entity": coded(keys), "other": coded(others), "device": coded(others)},
        {"amount": np.round(random.gamma(1, 9, n), 2), "score": random.random(n)},
        labels=labels,
    )
    same_bits(history, features(), 1500)
    same_bits(history, features(most=50), 1500)


def test_a_label_that_is_known_later_than_its_window_is_not_seen_before() -> None:
    table = pa.table({
        "t": [0, 8 * SECOND, 12 * SECOND], "card": ["a"] * 3, "y": [1.0, None, None],
        "known": [10 * SECOND] * 3,
    })  # fmt: skip
    history = History.of(table, time="t", entities={"entity": "card"}, label="y", known_at="known")
    chosen = FeatureSet((FeatureView("c", ("entity",), (Rate("label", "20s", delay="3s"),)),))
    np.testing.assert_array_equal(replay(chosen, history)[:, 0], [np.nan, np.nan, 1.0])


def test_an_empty_history() -> None:
    table = pa.table({"t": pa.array([], pa.int64()), "card": pa.array([], pa.string())})
    history = History.of(table, time="t", entities={"entity": "card"})
    chosen = FeatureSet((FeatureView("c", ("entity",), (Count("1d"),)),))
    assert replay(chosen, history).shape == (0, 1)


def test_a_field_that_the_history_lacks_is_named() -> None:
    table = pa.table({"t": [0], "card": ["a"], "eur": [1.0]})
    history = History.of(table, time="t", entities={"entity": "card"}, numbers=("eur",))
    chosen = FeatureSet((FeatureView("c", ("entity",), (Sum("eurs", "1d"),)),))
    with pytest.raises(DataError, match="did you mean 'eur'"):
        replay(chosen, history)
    with pytest.raises(DataError, match="no column 'tt'"):
        History.of(table, time="tt", entities={})
    with pytest.raises(DataError, match="beyond ±1e11"):
        History.of(pa.table({"t": [0], "x": [np.inf]}), time="t", entities={}, amount="x")
    with pytest.raises(DataError, match="have no time"):
        History.of(pa.table({"t": pa.array([None], pa.int64())}), time="t", entities={})


def test_timestamps_and_events_of_a_table() -> None:
    moment = np.array(["2018-04-01T00:00:31"], "datetime64[ns]")
    table = pa.table({"t": moment, "card": [596], "eur": [57.16], "kind": ["chip"], "n": [7]})
    history = History.of(
        table, time="t", entities={"entity": "card"}, id="n", amount="eur", texts=("kind",)
    )
    assert history.event(0) == Event(
        "7", 1_522_540_831_000_000, {"entity": "596"}, 57.16, {"kind": "chip"}
    )
