"""The online kernel: known answers, ties, late events, labels, bounds and its bytes."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest

from promise.errors import ArtifactError
from promise.features.declare import (
    Count,
    Distinct,
    Feature,
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
from promise.features.event import Event, Label
from promise.features.kernel import Kernel
from promise.features.online import Online
from promise.features.ring import Ring
from promise.features.sets import FeatureSet
from promise.features.view import FeatureView

S = 1_000_000


def kernel(*features: Feature, **bounds: object) -> Kernel:
    """Return the kernel of one view over `entity`."""
    return Kernel((FeatureView("v", ("entity",), features, **bounds),))  # type: ignore[arg-type]


def event(name: str, at_s: float, amount: float | None = 1.0, **fields: float | str) -> Event:
    """Return an event of one entity; texts named `other` are a role."""
    roles = {"entity": "ann"} | {k: str(v) for k, v in fields.items() if k == "other"}
    return Event(name, round(at_s * S), roles, amount)


def fed(chosen: Kernel, *events: Event) -> Ring:
    """Return the state after these events."""
    state = chosen.blank()
    for one in events:
        state = chosen.update(state, one)
    return state


def test_windows_are_half_open_and_read_before_update() -> None:
    chosen = kernel(Count("10s"), Sum("amount", "10s"), Mean("amount", "10s"), Recency("10s"))
    state = fed(chosen, event("a", 0, 2.0), event("b", 4, None), event("c", 10, 3.5))
    # at 10: `a` is exactly 10 s old and inside, `c` of the same moment is not
    assert chosen.read(state, event("x", 10)).tolist() == [2, 2.0, 2.0, 6.0]
    # at 10.000001: `a` is outside
    assert chosen.read(state, event("x", 10.000001)).tolist() == [2, 3.5, 3.5, 1e-6]
    np.testing.assert_array_equal(chosen.read(state, event("x", 99)), [0, 0, nan, nan])


def test_sums_of_cents_are_exact() -> None:
    chosen = kernel(Sum("amount", "1d"))
    state = fed(chosen, *(event(str(n), n, 0.1) for n in range(1000)))
    assert chosen.read(state, event("x", 1000)).tolist() == [100.0]


def test_last_streak_distinct_and_ratios() -> None:
    chosen = kernel(
        Last("amount", "9s"), Streak("amount", below=2.0, window="9s"), Distinct("other", "9s"),
        Distinct("other", "0m9s", cap=1), Ratio(Value("amount"), Mean("amount", "9s")),
        Ratio(Count("2s"), Count("9s")),
    )  # fmt: skip
    state = fed(
        chosen, event("a", 0, 5.0, other="x"), event("b", 1, 1.0, other="y"),
        event("c", 2, 1.5, other="x"), event("d", 3, 0.5),
    )  # fmt: skip
    assert chosen.read(state, event("x", 4, 4.0)).tolist() == [0.5, 3, 2, 0, 2.0, 0.5]
    np.testing.assert_array_equal(chosen.read(state, event("x", 60)), [nan, 0, 0, 0, nan, nan])


def test_labels_count_once_known_and_after_their_delay() -> None:
    rate = Rate("label", "10s", delay="5s", prior=0.5, smoothing=2.0)
    chosen = kernel(rate, Rate("label", "0m10s", delay="5s", unlabelled="negative"))
    state = fed(chosen, event("a", 0), event("b", 1), event("c", 2))
    chosen.learn(state, Label("a", 1.0, 5 * S))
    chosen.learn(state, Label("b", 0.0, 9 * S))
    chosen.learn(state, Label("unknown", 1.0, 5 * S))
    np.testing.assert_array_equal(chosen.read(state, event("x", 5)), [0.5, nan])
    assert chosen.read(state, event("x", 6.5)).tolist() == [2 / 3, 0.5]
    assert chosen.read(state, event("x", 9)).tolist() == [0.5, 1 / 3]
    chosen.learn(state, Label("b", 1.0, 9 * S))  # corrected
    assert chosen.read(state, event("x", 9)).tolist() == [0.75, 2 / 3]


def test_the_largest_of_a_window() -> None:
    largest = Max("amount", "9s")
    chosen = kernel(largest, Max("amount", "0m9s", cap=2), Ratio(Value("amount"), largest))
    state = fed(chosen, event("a", 0, 8.0), event("b", 1, -2.0), event("c", 2, None))
    assert chosen.read(state, event("x", 9, 4.0)).tolist() == [8.0, -2.0, 0.5]
    # at 9.5 `a` is outside, and at 60 nothing is left
    assert chosen.read(state, event("x", 9.5, 4.0)).tolist() == [-2.0, -2.0, -2.0]
    np.testing.assert_array_equal(chosen.read(state, event("x", 60)), [nan, nan, nan])


def test_known_frauds_in_a_row() -> None:
    chosen = kernel(PositiveStreak("10s", delay="5s"))
    state = fed(chosen, *(event(str(n), n) for n in range(5)))
    for n, value in enumerate((1.0, 0.0, 1.0, 1.0)):
        chosen.learn(state, Label(str(n), value, (n + 5) * S))
    # at 6.5 the events 0 and 1 are old enough; at 9 also 2 and 3, whose label is known by 8
    assert [chosen.read(state, event("x", at)).tolist() for at in (5.5, 6.5, 7.5, 9)] == [
        [1.0], [0.0], [1.0], [2.0],
    ]  # fmt: skip
    # at 17.5 the window begins behind event 2
    assert chosen.read(state, event("x", 17.5)).tolist() == [1.0]
    chosen.learn(state, Label("2", 0.0, 7 * S))  # corrected
    assert chosen.read(state, event("x", 9)).tolist() == [1.0]


def test_neighbours_count_once_each() -> None:
    chosen = kernel(NeighbourRate("other", "20s", delay="1s"))
    state = fed(chosen, *(event(str(n), n, other="xyyy"[n]) for n in range(4)))
    for n, value in enumerate((0.0, 1.0, 1.0, 0.0)):
        chosen.learn(state, Label(str(n), value, 5 * S))
    assert chosen.read(state, event("q", 6)).tolist() == [0.5]


def test_the_event_alone() -> None:
    chosen = Kernel((
        FeatureView("now", (), (Value("amount"), Log("amount"), Hour(), Weekday(), IsNight(22, 6))),
    ))  # fmt: skip
    read = chosen.read(chosen.blank(), Event("e", 23 * 3600 * S, {}, -np.e + 1))
    np.testing.assert_allclose(read, [1 - np.e, -1.0, 23, 3, 1], rtol=1e-15)


def test_a_late_event_counts_at_its_time_and_a_duplicate_not_at_all() -> None:
    chosen = kernel(Count("3s"), Last("amount", "9s"))
    state = fed(chosen, event("a", 0, 1.0), event("c", 8, 3.0))
    chosen.update(state, event("b", 4, 2.0))
    chosen.update(state, event("b", 4, 2.0))
    assert chosen.read(state, event("x", 5)).tolist() == [1, 2.0]
    assert chosen.read(state, event("x", 9)).tolist() == [1, 3.0]


def test_memory_is_bounded() -> None:
    chosen = kernel(Count("1d"), lateness="0s", max_events=100)
    state = fed(chosen, *(event(str(n), n) for n in range(5000)))
    assert chosen.read(state, event("x", 5000)).tolist() == [100]
    assert len(state.at) < 200
    assert len(chosen.load(chosen.dump(state)).at) == 100
    short = kernel(Count("10s"), lateness="0s")
    assert len(fed(short, *(event(str(n), n) for n in range(5000))).at) < 100


def test_bytes_of_other_declarations_or_damaged_ones_are_refused() -> None:
    one, other = kernel(Count("1d")), kernel(Count("2d"))
    blob = one.dump(fed(one, event("a", 0)))
    assert one.dump(one.load(blob)) == blob
    with pytest.raises(ArtifactError, match="a declaration changed"):
        other.load(blob)
    with pytest.raises(ArtifactError, match="damaged"):
        one.load(blob[:-3])


def test_a_snapshot_and_its_tail_are_the_state() -> None:
    chosen = kernel(Count("1d"), Rate("label", "1d", delay="1s"))
    before = fed(chosen, event("a", 0))
    tail = [event("b", 1).packed(), Label("a", 1.0, 2 * S).packed()]
    state = chosen.restore(chosen.dump(before), tail)
    assert chosen.read(state, event("x", 3)).tolist() == [2, 1.0]
    assert chosen.read(chosen.restore(None, []), event("x", 3))[0] == 0


def test_an_event_without_the_role_has_no_features_of_it() -> None:
    view = FeatureView("device", ("device",), (Count("1d"),))
    online = Online(FeatureSet((view, FeatureView("now", (), (Hour(),)))))
    assert np.isnan(online.see(event("a", 0))).tolist() == [True, False]
    assert dict(online.snapshots()) == {}
