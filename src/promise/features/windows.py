"""Durations as people write them ("7d"), in the microseconds that events are counted in."""

from __future__ import annotations

import re

from promise.errors import ConfigError

_UNITS_US = {
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
DAY_US = _UNITS_US["d"]
HOUR_US = _UNITS_US["h"]


def duration_us(text: str) -> int:
    """Read a duration, so that declarations stay short and exact.

    Parameters
    ----------
    text
        A whole number and a unit: s, m, h, d or w; several parts add up.

    Raises
    ------
    ConfigError
        When the text is no duration.

    Examples
    --------
    >>> duration_us("7d") == 7 * DAY_US
    True
    >>> duration_us("1h30m")
    5400000000
    """
    parts = re.findall(r"(\d+)([smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ConfigError(
            f"{text!r} is no duration: write a whole number and s, m, h, d or w, like '30m' or '7d'"
        )
    return sum(int(number) * _UNITS_US[unit] for number, unit in parts)


def duration_text(us: int) -> str:
    """Write a duration as people do, by its two largest units.

    Examples
    --------
    >>> duration_text(2 * DAY_US + 5 * HOUR_US + 1), duration_text(9_000_000), duration_text(10)
    ('2d5h', '9s', '0s')
    """
    parts, left = [], us
    for unit in "dhms":
        number, left = divmod(left, _UNITS_US[unit])
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts[:2]) or "0s"
