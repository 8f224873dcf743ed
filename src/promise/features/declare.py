"""The features one can declare, and the name that each gets.

All of them see the events *before* t only: those that came in earlier and happened in [t − w, t).
Events of the same microsecond do not see each other. Numbers are kept in steps of 0.0001, as
whole numbers, so that sums are exact in any order.
"""

from __future__ import annotations

from promise.errors import ConfigError
from promise.features.declared import (
    LABEL,
    Declared,
    refuse_cap,
    refuse_empty,
    refuse_label,
)
from promise.features.of_labels import NeighbourRate, OfLabels, PositiveStreak, Rate
from promise.features.stateless import Hour, IsNight, Log, Value, Weekday
from promise.features.windows import duration_us

__all__ = [
    "LABEL", "STATELESS", "Count", "Distinct", "Feature", "Hour", "IsNight", "Last", "Log", "Max",
    "Mean", "NeighbourRate", "OfLabels", "Plain", "PositiveStreak", "Rate", "Ratio", "Recency",
    "Streak", "Sum", "Value", "Weekday",
]  # fmt: skip


class Count(Declared, frozen=True):
    """Number of events in the window; 0 for a new entity."""

    window: str

    def __post_init__(self) -> None:
        refuse_empty(self.window)


class Sum(Declared, frozen=True):
    """Sum of a number over the window; 0 where nothing is."""

    field: str
    window: str

    def __post_init__(self) -> None:
        refuse_empty(self.window)
        refuse_label(self.field, "Sum")


class Mean(Declared, frozen=True):
    """Mean of a number over the window's events that have it; missing where none has."""

    field: str
    window: str

    def __post_init__(self) -> None:
        refuse_empty(self.window)
        refuse_label(self.field, "Mean")


class Max(Declared, frozen=True):
    """Largest number of the window's events that have it; missing where none has.

    Parameters
    ----------
    cap
        Exact while the window holds at most so many events; in a fuller window only its newest
        `cap` events are looked at, so that a hot entity costs no more than this.
    """

    field: str
    window: str
    cap: int = 256

    def __post_init__(self) -> None:
        refuse_empty(self.window)
        refuse_label(self.field, "Max")
        refuse_cap(self.cap)


class Distinct(Declared, frozen=True):
    """Number of different keys or texts in the window, without missing ones.

    Parameters
    ----------
    cap
        Exact while the window holds at most so many events; in a fuller window only its newest
        `cap` events are looked at, so that a hot entity costs no more than this.
    """

    field: str
    window: str
    cap: int = 256

    def __post_init__(self) -> None:
        refuse_empty(self.window)
        refuse_label(self.field, "Distinct")
        refuse_cap(self.cap)


class Recency(Declared, frozen=True):
    """Seconds since the newest event of the window; missing where none is."""

    window: str = "30d"

    def __post_init__(self) -> None:
        refuse_empty(self.window)


class Streak(Declared, frozen=True):
    """How many of the window's newest events fulfil a condition without a break.

    Parameters
    ----------
    above, below
        The number has to be > above, or < below, or both; a missing number breaks the streak.
    """

    field: str
    above: float | None = None
    below: float | None = None
    window: str = "30d"

    def __post_init__(self) -> None:
        refuse_empty(self.window)
        refuse_label(self.field, "Streak")
        if self.above is None and self.below is None:
            raise ConfigError(
                f"Streak({self.field!r}) needs a condition: give above=, below= or both"
            )


class Last(Declared, frozen=True):
    """A number of the window's newest event; missing where none is or it had none."""

    field: str
    window: str = "30d"

    def __post_init__(self) -> None:
        refuse_empty(self.window)
        refuse_label(self.field, "Last")


Plain = (
    Count | Sum | Mean | Max | Rate | Distinct | Recency | Streak | Last | NeighbourRate
    | PositiveStreak | Value | Log | Hour | Weekday | IsNight
)  # fmt: skip
"""Features that are no function of others."""


class Ratio(Declared, frozen=True):
    """One feature over another of the same entity; missing where the lower one is 0 or missing.

    Examples
    --------
    >>> name_of(Ratio(Count("1d"), Count("30d")))
    'count_1d_over_count_30d'
    """

    top: Plain
    bottom: Plain


Feature = Plain | Ratio
STATELESS = (Value, Log, Hour, Weekday, IsNight)
"""Features of the current event alone."""


def name_of(feature: Feature) -> str:
    """Return the column's name within its view.

    Examples
    --------
    >>> name_of(Sum("amount", "1d")), name_of(Rate("label", "30d", delay="7d"))
    ('sum_amount_1d', 'rate_label_30d')
    """
    if isinstance(feature, Ratio):
        return f"{name_of(feature.top)}_over_{name_of(feature.bottom)}"
    kind = _NAMES.get(type(feature).__name__, type(feature).__name__.lower())
    parts = [kind, getattr(feature, "field", ""), getattr(feature, "window", "")]
    if isinstance(feature, Streak):
        bounds = ((f"{w}_{v:g}" if v is not None else "") for w, v in _bounds(feature))
        parts[2:2] = bounds
    return "_".join(part for part in parts if part)


def reach_us(feature: Feature) -> int:
    """Return how far back the feature looks, label delay included; 0: at the current event only."""
    if isinstance(feature, Ratio):
        return max(reach_us(feature.top), reach_us(feature.bottom))
    if isinstance(feature, STATELESS):
        return 0
    return duration_us(feature.window) + delay_us(feature)


def delay_us(feature: Plain) -> int:
    """Return by how much the feature's window ends before t."""
    return duration_us(feature.delay) if isinstance(feature, Rate | OfLabels) else 0


def needs_labels(feature: Plain) -> bool:
    """Whether the feature reads labels."""
    return isinstance(feature, OfLabels) or (isinstance(feature, Rate) and feature.field == LABEL)


def holds(feature: Streak, value: float) -> bool:
    """Whether a number keeps the streak up."""
    above = feature.above is None or value > feature.above
    return above and (feature.below is None or value < feature.below)


_NAMES = {
    "IsNight": "is_night",
    "NeighbourRate": "neighbour_rate",
    "PositiveStreak": "positive_streak",
}


def _bounds(feature: Streak) -> tuple[tuple[str, float | None], ...]:
    return (("above", feature.above), ("below", feature.below))
