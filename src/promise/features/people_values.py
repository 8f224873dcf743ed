"""Single values of a profile, as callers write them: read once, refused in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from math import isfinite, isnan, nan
from typing import Any

from promise.errors import DataError
from promise.features.people import NEVER_US

OLDEST = 130.0
"""An age above this is a mistake."""

_GENDERS = {"female": "f", "woman": "f", "women": "f", "male": "m", "man": "m", "men": "m"}
_BETWEEN = re.compile(r"[;,|]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_blank(value: Any) -> bool:
    """Say whether nothing is told: None, an empty text, NaN."""
    return (
        value is None
        or (isinstance(value, str) and not value.strip())
        or (isinstance(value, float) and isnan(value))
    )


def read_number(value: Any, name: str) -> float:
    """Return a finite number, NaN for none."""
    if is_blank(value):
        return nan
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise DataError(f"{name} {value!r} is no number.") from None
    if not isfinite(found):
        raise DataError(f"{name} {value!r} is no finite number.")
    return found


def read_age(value: Any) -> float:
    """Return years, NaN for none; what is no age of a person is refused."""
    found = nan if isinstance(value, bool) else read_number(value, "age")
    if isinstance(value, bool) or not (isnan(found) or 0 <= found <= OLDEST):
        raise DataError(f"age {value!r} is none: expected years from 0 to {OLDEST:g}.")
    return found


def read_interests(value: Any) -> tuple[str, ...]:
    """Return interests, each once; a text is cut at `;`, `,` and `|`."""
    if is_blank(value):
        return ()
    if not isinstance(value, str) and not isinstance(value, Iterable):
        raise DataError(f"interests {value!r} are neither a list nor a text.")
    parts = _BETWEEN.split(value) if isinstance(value, str) else value
    cleaned = [str(part).strip() for part in parts if part is not None]
    distinct = {part.casefold(): part for part in reversed(cleaned) if part}
    return tuple(distinct[key] for key in dict.fromkeys(p.casefold() for p in cleaned if p))


def read_text(value: Any, name: str) -> str | None:
    """Return a text without blanks around it, None for none."""
    if is_blank(value):
        return None
    if isinstance(value, str | int | float):
        return str(value).strip()
    raise DataError(f"{name} {value!r} is no text.")


def read_gender(value: Any) -> str | None:
    """Return a gender in one spelling: `woman` and `Female` are `f`, `man` and `Male` are `m`."""
    found = read_text(
        int(value) if isinstance(value, float) and value.is_integer() else value, "gender"
    )
    return None if found is None else _GENDERS.get(found.casefold(), found.casefold())


def read_seeks(value: Any) -> tuple[str, ...] | None:
    """Return the genders that are sought, or an orientation; None where nothing is said."""
    if isinstance(value, int | float) and not is_blank(value):
        value = str(int(value))
    words = tuple(word.casefold() for word in read_interests(value))
    return tuple(_GENDERS.get(word, word) for word in words) or None


def read_position(values: Mapping[str, Any]) -> tuple[float, float]:
    """Return latitude and longitude; both NaN where one is missing."""
    lat, lon = (degrees(name)(values.get(name)) for name in ("lat", "lon"))
    return (lat, lon) if isfinite(lat) and isfinite(lon) else (nan, nan)


def degrees(name: str) -> Callable[[Any], float]:
    """Return the reader of `lat` or `lon`."""
    bound = 90.0 if name == "lat" else 180.0

    def read(value: Any) -> float:
        found = read_number(value, name)
        if abs(found) > bound:
            raise DataError(f"{name} {value!r} is outside -{bound:g} to {bound:g} degrees.")
        return found

    return read


def numbers_of(name: str) -> Callable[[Any], float]:
    """Return the reader of a named number."""
    return lambda value: read_number(value, name)


def read_joined(value: Any) -> int:
    """Return microseconds since 1970; a time without a zone is in UTC."""
    if is_blank(value):
        return NEVER_US
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise DataError(f"joined {value!r} is no time; write for example 2026-01-31.") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, datetime):
        moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
    raise DataError(f"joined {value!r} is no time; write for example 2026-01-31.")
