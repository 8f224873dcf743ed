"""The written-out reads of a kernel are those of its readers, bit for bit."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

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
from promise.features.event import Event, Label
from promise.features.kernel import Kernel
from promise.features.view import FeatureView

HOUR = 3_600_000_000

FEATURES = (
    Value("amount"), Log("items"), Hour(3), Weekday(), IsNight(22, 6, 1),
    Count("1h"), Count("1d"), Sum("amount", "1d"), Mean("amount", "2d"), Mean("items", "1d"),
    Max("amount", "1d"), Max("items", "1h"), PositiveStreak("2d", "1h"),
    Distinct("other", "1d"), Recency("1d"), Last("amount", "2d"),
    Last("items", "1h"), Streak("amount", below=30.0), Streak("amount", above=5.0, window="1d"),
    Rate("items", "1d"), Rate("label", "1d", "1h", 0.1, 5.0), Rate("label", "2d", "1d"),
    NeighbourRate("other", "2d", "1h", 0.1, 3.0), Ratio(Count("1h"), Count("1d")),
    Ratio(Value("amount"), Mean("amount", "2d")),
    Ratio(Rate("label", "1d", "1h", 0.1, 5.0), Rate("label", "2d", "1d")),
)  # fmt: skip
OTHERS = (
    Rate("items", "1d", prior=0.5, smoothing=2.0), Rate("label", "1d", "2h", unlabelled="negative"),
    NeighbourRate("other", "2d", "1h", cap=2), Distinct("other", "2d", cap=3),
    Max("amount", "2d", cap=3), PositiveStreak("1d", "2h"), )  # fmt: skip


def kernel_of(**bounds: Any) -> Kernel:
    """Return a kernel of every kind of feature."""
    entity = ("entity",)
    views = (
        FeatureView("v", entity, FEATURES, **bounds),
        FeatureView("w", entity, OTHERS, **bounds),
    )
    return Kernel(views)


def stream(seed: int, *, late: bool) -> list[Event | Label]:
    """Return events of one entity and their labels, with ties, gaps and missing values."""
    rng, found, waiting, at = random.Random(seed), [], [], 0
    for number in range(150):
        at += rng.choice([0, 0, 1, HOUR // 3, HOUR, 9 * HOUR])
        back = rng.choice([0, 0, 0, HOUR, 30 * HOUR]) if late else 0
        fields: dict[str, Any] = {"items": rng.choice([None, -1.0, 0.0, 2.0])}
        amount = rng.choice([None, 0.0, round(rng.expovariate(0.05), 2)])
        roles = {"entity": "ann"} | rng.choice([{}, {"other": f"s{rng.randrange(5)}"}])
        event = Event(f"e{number}", at - back, roles, amount, fields)
        found.append(event)
        waiting.append(Label(event.id, rng.choice([0.0, 1.0]), at + rng.choice([HOUR, HOUR, 1])))
        if rng.random() < 0.5:
            place = rng.randrange(len(waiting)) if late else 0
            found.append(waiting.pop(place))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True], ids=["in order", "late"])
@pytest.mark.parametrize("bounds", [{}, {"max_events": 20}], ids=["all", "bounded"])
def test_written_reads_are_the_readers(bounds: dict[str, Any], late: bool) -> None:
    kernel = kernel_of(**bounds)
    for seed in range(4):
        state = kernel.blank()
        for record in stream(seed, late=late):
            if isinstance(record, Event):
                asked = [record, Event("x", record.at - 5 * HOUR, record.entities, 7.0)]
                for event in asked:
                    found = np.array(kernel.values(state, event))
                    plain = np.array(kernel.values_by_readers(state, event))
                    np.testing.assert_array_equal(found, plain)
            kernel.apply(state, record)


def test_an_unknown_entity_is_read_from_the_blank_state() -> None:
    kernel = kernel_of()
    event = Event("e", 7 * HOUR, {"entity": "ann"}, 3.0)
    np.testing.assert_array_equal(
        kernel.values(kernel.nothing, event), kernel.values_by_readers(kernel.nothing, event)
    )


def test_a_name_from_a_folder_is_quoted_and_never_run() -> None:
    spoken = "x'); raise SystemExit('run') #\n"
    text = FeatureView("v", ("entity",), (Value(spoken), Log(spoken))).to_json()
    kernel = Kernel((FeatureView.from_json(text),))
    event = Event("e", HOUR, {"entity": "ann"}, 3.0, {spoken: 4.0})
    assert kernel.values(kernel.nothing, event)[0] == 4.0
