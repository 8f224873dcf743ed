"""Scores as sentences and cards show them."""

from __future__ import annotations

import math


def figure(value: float | None) -> str:
    """Return a score in four digits; one that these rows cannot tell is undefined, never a nan.

    Examples
    --------
    >>> figure(0.91239), figure(float("nan")), figure(None)
    ('0.9124', 'undefined', 'undefined')
    """
    return "undefined" if value is None or math.isnan(value) else f"{value:.4f}"


def span(low: float | None, high: float | None) -> str:
    """Return an interval in words.

    Examples
    --------
    >>> span(0.9, 0.95), span(None, None)
    ('95 % interval 0.9000 to 0.9500', '95 % interval undefined')
    """
    if figure(low) == figure(high) == "undefined":
        return "95 % interval undefined"
    return f"95 % interval {figure(low)} to {figure(high)}"
