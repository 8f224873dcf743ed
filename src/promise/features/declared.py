"""What every declared feature is, and what none may ask for."""

from __future__ import annotations

import math

import msgspec

from promise.errors import ConfigError
from promise.features.windows import duration_us

LABEL = "label"


class Declared(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """What every declared feature is: a value that serialises with its kind."""


def refuse_empty(window: str) -> None:
    """Refuse a window without length."""
    if duration_us(window) == 0:
        raise ConfigError(f"a window of {window!r} holds nothing: give one longer than 0")


def refuse_label(field: str, kind: str) -> None:
    """Refuse a feature that would read labels before they are known."""
    if field == LABEL:
        raise ConfigError(
            f"{kind} of {LABEL!r} would leak what is known only later: use "
            "Rate('label', window, delay=…), which waits for labels"
        )


def refuse_cap(cap: int) -> None:
    """Refuse a bound that no state could keep."""
    if not 1 <= cap <= 4096:
        raise ConfigError(f"cap is {cap}; expected 1 to 4096")


def refuse_undelayed(delay: str, what: str) -> None:
    """Refuse a window of labels that could include the current row."""
    if duration_us(delay) == 0:
        raise ConfigError(
            f"{what} could include the current row: give the time that labels need, like delay='7d'"
        )


def refuse_smoothing(prior: float, smoothing: float) -> None:
    """Refuse a prior that is no share, or a negative weight of it."""
    if not 0 <= prior <= 1 or not 0 <= smoothing < math.inf:
        raise ConfigError(
            f"prior is {prior} and smoothing {smoothing}; expected a share of 0 to 1 and a "
            "number of events from 0 up"
        )
