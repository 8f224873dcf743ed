"""The features one can declare, and the name that each gets.

All of them see the events *before* t only: those that came in earlier and happened in [t − w, t).
Events of the same microsecond do not see each other. Numbers are kept in steps of 0.0001, as
whole numbers, so that sums are exact in any order.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from promise.errors import ConfigError
from promise.features.windows import DAY_US, HOUR_US, duration_us

LABEL = "label"


class _Feature(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """What every declared feature is: a value that serialises with its kind."""


class Count(_Feature, frozen=True):
    """Number of events in the window; 0 for a new entity."""

    window: str

    def __post_init__(self) -> None:
        _positive(self.window)


class Sum(_Feature, frozen=True):
    """Sum of a number over the window; 0 where nothing is."""

    field: str
    window: str

    def __post_init__(self) -> None:
        _positive(self.window)
        _no_label(self.field, "Sum")


class Mean(_Feature, frozen=True):
    """Mean of a number over the window's events that have it; missing where none has."""

    field: str
    window: str

    def __post_init__(self) -> None:
        _positive(self.window)
        _no_label(self.field, "Mean")


class Rate(_Feature, frozen=True):
    """Share of positives, (positives + prior × smoothing) / (known + smoothing).

    The window is [t − delay − w, t − delay). For `label` only labels that came in before and have
    `known_at` ≤ t are seen; for other fields a number above 0 is a positive.

    Parameters
    ----------
    delay
        How long labels need. A label has to have one: without, its window could include the
        current row.
    prior, smoothing
        The rate that an unknown entity has, and how many events it weighs. With smoothing 0 the
        rate of an unknown entity is missing.
    unlabelled
        `"left_out"` counts known labels only; `"negative"` takes events of the window whose label
        is not known for negatives (where only positives are ever reported).

    Raises
    ------
    ConfigError
        When a label has no delay, or a number is out of its range.

    Examples
    --------
    >>> Rate("label", "30d")
    Traceback (most recent call last):
    ...
    promise.errors.ConfigError: Rate('label', '30d') could include the current row: give the time \
that labels need, like delay='7d'
    """

    field: str
    window: str
    delay: str = "0s"
    prior: float = 0.0
    smoothing: float = 0.0
    unlabelled: Literal["left_out", "negative"] = "left_out"

    def __post_init__(self) -> None:
        _positive(self.window)
        if self.field == LABEL and duration_us(self.delay) == 0:
            raise ConfigError(
                f"Rate('label', {self.window!r}) could include the current row: give the time "
                "that labels need, like delay='7d'"
            )
        _smoothed(self.prior, self.smoothing)


class Distinct(_Feature, frozen=True):
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
        _positive(self.window)
        _no_label(self.field, "Distinct")
        _capped(self.cap)


class Recency(_Feature, frozen=True):
    """Seconds since the newest event of the window; missing where none is."""

    window: str = "30d"

    def __post_init__(self) -> None:
        _positive(self.window)


class Streak(_Feature, frozen=True):
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
        _positive(self.window)
        _no_label(self.field, "Streak")
        if self.above is None and self.below is None:
            raise ConfigError(
                f"Streak({self.field!r}) needs a condition: give above=, below= or both"
            )


class Last(_Feature, frozen=True):
    """A number of the window's newest event; missing where none is or it had none."""

    field: str
    window: str = "30d"

    def __post_init__(self) -> None:
        _positive(self.window)
        _no_label(self.field, "Last")


class NeighbourRate(_Feature, frozen=True):
    """Share of this node's counterparts that turned out positive here, smoothed like `Rate`.

    Each counterpart counts once, however many events it had: one that fell to fraud on this
    device makes one positive neighbour. The window is [t − delay − w, t − delay).

    Parameters
    ----------
    field
        The role of the counterparts, like `entity` for a device.
    cap
        Bounded fan-out: only the window's newest `cap` known labels are looked at.
    """

    field: str
    window: str
    delay: str
    prior: float = 0.0
    smoothing: float = 0.0
    cap: int = 256

    def __post_init__(self) -> None:
        _positive(self.window)
        _capped(self.cap)
        if duration_us(self.delay) == 0:
            raise ConfigError(
                f"NeighbourRate({self.field!r}) could include the current row: give the time "
                "that labels need, like delay='7d'"
            )
        _smoothed(self.prior, self.smoothing)


class Value(_Feature, frozen=True):
    """A number of the current event, as it came."""

    field: str

    def __post_init__(self) -> None:
        _no_label(self.field, "Value")


class Log(_Feature, frozen=True):
    """sign(x) × log(1 + |x|) of a number of the current event."""

    field: str

    def __post_init__(self) -> None:
        _no_label(self.field, "Log")


class Hour(_Feature, frozen=True):
    """Hour of the day, 0 to 23; `offset_hours` east of UTC."""

    offset_hours: int = 0


class Weekday(_Feature, frozen=True):
    """Day of the week, 0 for Monday to 6 for Sunday; `offset_hours` east of UTC."""

    offset_hours: int = 0


class IsNight(_Feature, frozen=True):
    """1 from hour `start` on and before hour `end`, over midnight if start > end; else 0."""

    start: int = 0
    end: int = 7
    offset_hours: int = 0


Plain = (
    Count | Sum | Mean | Rate | Distinct | Recency | Streak | Last | NeighbourRate
    | Value | Log | Hour | Weekday | IsNight
)  # fmt: skip
"""Features that are no function of others."""


class Ratio(_Feature, frozen=True):
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
    return duration_us(feature.delay) if isinstance(feature, Rate | NeighbourRate) else 0


def needs_labels(feature: Plain) -> bool:
    """Whether the feature reads labels."""
    return isinstance(feature, NeighbourRate) or (
        isinstance(feature, Rate) and feature.field == LABEL
    )


def is_night(hour: int, feature: IsNight) -> bool:
    """Whether the hour is within the declared night.

    Examples
    --------
    >>> [is_night(hour, IsNight(22, 6)) for hour in (21, 22, 5, 6)]
    [False, True, True, False]
    """
    if feature.start <= feature.end:
        return feature.start <= hour < feature.end
    return hour >= feature.start or hour < feature.end


def hour_of(at_us: int, offset_hours: int) -> int:
    """Return the hour of the day."""
    return (at_us // HOUR_US + offset_hours) % 24


def weekday_of(at_us: int, offset_hours: int) -> int:
    """Return the day of the week, 0 for Monday; 1 January 1970 was a Thursday.

    Examples
    --------
    >>> weekday_of(0, 0), weekday_of(0, -1)
    (3, 2)
    """
    return ((at_us + offset_hours * HOUR_US) // DAY_US + 3) % 7


def signed_log(value: float) -> float:
    """Return sign(x) × log(1 + |x|); the one definition for rows and for columns."""
    return math.copysign(math.log1p(abs(value)), value)


def holds(feature: Streak, value: float) -> bool:
    """Whether a number keeps the streak up."""
    above = feature.above is None or value > feature.above
    return above and (feature.below is None or value < feature.below)


_NAMES = {"NeighbourRate": "neighbour_rate", "IsNight": "is_night"}


def _bounds(feature: Streak) -> tuple[tuple[str, float | None], ...]:
    return (("above", feature.above), ("below", feature.below))


def _positive(window: str) -> None:
    if duration_us(window) == 0:
        raise ConfigError(f"a window of {window!r} holds nothing: give one longer than 0")


def _no_label(field: str, kind: str) -> None:
    if field == LABEL:
        raise ConfigError(
            f"{kind} of {LABEL!r} would leak what is known only later: use "
            "Rate('label', window, delay=…), which waits for labels"
        )


def _capped(cap: int) -> None:
    if not 1 <= cap <= 4096:
        raise ConfigError(f"cap is {cap}; expected 1 to 4096")


def _smoothed(prior: float, smoothing: float) -> None:
    if not 0 <= prior <= 1 or not 0 <= smoothing < math.inf:
        raise ConfigError(
            f"prior is {prior} and smoothing {smoothing}; expected a share of 0 to 1 and a "
            "number of events from 0 up"
        )
