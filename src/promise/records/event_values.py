"""Texts and times of events, as every database keeps them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from promise.errors import DataError

TEXT_LIMIT = 200
"""Most characters of an id, an entity or a type."""

_TEXT = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")


def read_text(where: str, name: str, value: Any) -> str:
    """Return a short text that every database keeps as it is; whole numbers are written out.

    Examples
    --------
    >>> read_text("event 0", "entity", 41)
    '41'
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None:
        raise DataError(f"{where}: {name} is missing.")
    if not isinstance(value, str):
        raise DataError(f"{where}: {name} is {type(value).__name__}, expected text.")
    if not 1 <= len(value) <= TEXT_LIMIT or not _TEXT.fullmatch(value):
        raise DataError(
            f"{where}: {name} must have 1 to {TEXT_LIMIT} printable characters, it has "
            f"{len(value)}."
        )
    return value


def read_time(where: str, name: str, value: Any) -> datetime | None:
    """Return a time in UTC, None where none is given.

    Examples
    --------
    >>> read_time("event 0", "at", "2026-01-01T10:00:00+02:00")
    datetime.datetime(2026, 1, 1, 8, 0, tzinfo=datetime.timezone.utc)
    """
    if value is None or value == "":
        return None
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise DataError(
        f"{where}: {name} is {value!r:.80}; expected a time with its zone, such as "
        "2026-01-31T12:00:00Z."
    )
