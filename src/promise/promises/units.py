"""Bounds as people write them, read into the unit in which they are judged."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z%/]*)")

LATENCY_MS = {"ms": 1.0, "s": 1000.0, "us": 0.001, "": 1.0}
"""Units of a latency, in milliseconds; a bare number is one."""

MEMORY_MIB = {"KB": 1 / 1024, "MB": 1.0, "MiB": 1.0, "GB": 1024.0, "GiB": 1024.0, "": 1.0}
"""Units of memory, in MiB, in powers of 1024 as `--memory` has them."""

RATE = {"/s": 1.0, "/min": 1 / 60, "": 1.0}
"""Units of throughput, in requests per second."""

SHARE = {"%": 0.01, "": 1.0}
"""Units of a share of requests."""

SPAN_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "": 1.0}
"""Units of a span of time, in seconds."""

PLAIN = {"": 1.0}
"""No unit: a metric, an index, a difference or a ratio."""


def quantity(value: object, units: dict[str, float]) -> float | None:
    """Read a number with a unit; None where it is no such thing.

    Examples
    --------
    >>> quantity("12ms", LATENCY_MS), quantity("1.5s", LATENCY_MS), quantity("8GB", MEMORY_MIB)
    (12.0, 1500.0, 8192.0)
    >>> quantity("24h", SPAN_S), quantity("500/s", RATE), quantity("12 parsecs", LATENCY_MS)
    (86400.0, 500.0, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value) * units[""]
    found = _NUMBER.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or found[2] not in units:
        return None
    # a division keeps "1%" at 0.01 and "30/min" at 0.5, to the last digit
    factor = units[found[2]]
    number = float(found[1])
    return number / round(1 / factor) if 0 < factor < 1 else number * factor


def expected(units: dict[str, float]) -> str:
    """Say which units are understood, as the end of a sentence.

    Examples
    --------
    >>> expected(RATE)
    'a number, or one with the unit /s or /min'
    """
    named = [unit for unit in units if unit]
    if not named:
        return "a number"
    *others, last = named
    listed = f"{', '.join(others)} or {last}" if others else last
    return f"a number, or one with the unit {listed}"
