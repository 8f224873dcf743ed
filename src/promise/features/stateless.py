"""Features of the current event alone, and the one definition of each for rows and columns."""

from __future__ import annotations

import math

from promise.features.declared import Declared, refuse_label
from promise.features.windows import DAY_US, HOUR_US


class Value(Declared, frozen=True):
    """A number of the current event, as it came."""

    field: str

    def __post_init__(self) -> None:
        refuse_label(self.field, "Value")


class Log(Declared, frozen=True):
    """sign(x) × log(1 + |x|) of a number of the current event."""

    field: str

    def __post_init__(self) -> None:
        refuse_label(self.field, "Log")


class Hour(Declared, frozen=True):
    """Hour of the day, 0 to 23; `offset_hours` east of UTC."""

    offset_hours: int = 0


class Weekday(Declared, frozen=True):
    """Day of the week, 0 for Monday to 6 for Sunday; `offset_hours` east of UTC."""

    offset_hours: int = 0


class IsNight(Declared, frozen=True):
    """1 from hour `start` on and before hour `end`, over midnight if start > end; else 0."""

    start: int = 0
    end: int = 7
    offset_hours: int = 0


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
