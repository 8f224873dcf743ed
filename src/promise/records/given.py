"""Labels as they are given: checked entry by entry before any is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from promise.errors import DataError, near

_KEYS = ("prediction_id", "label", "model", "source", "event_at", "known_at")
_ID_LENGTH = 200


@dataclass(frozen=True)
class Given:
    """One label that somebody sent, checked."""

    prediction_id: str
    value: Any
    model: str
    source: str
    event_at: datetime | None
    known_at: datetime | None


def checked(given: Sequence[Any]) -> list[Given]:
    """Return the entries checked; raises DataError that names the first bad one."""
    return [_entry(number, entry) for number, entry in enumerate(given)]


def _entry(number: int, entry: Any) -> Given:
    if not isinstance(entry, dict):
        raise DataError(
            f"label {number}: expected an object with prediction_id and label, got {entry!r:.80}."
        )
    unknown = next((key for key in entry if key not in _KEYS), None)
    if unknown is not None:
        raise DataError(f"label {number}: there is no key {unknown!r}; {near(str(unknown), _KEYS)}")
    for key in ("prediction_id", "label"):
        if entry.get(key) is None:
            raise DataError(f"label {number}: {key} is missing; give the id of the answer and "
                            "what came true.")  # fmt: skip
    return Given(
        prediction_id=_text(number, entry, "prediction_id"),
        value=_value(number, entry["label"]),
        model=_text(number, entry, "model"),
        source=_text(number, entry, "source") or "api",
        event_at=_moment(number, entry, "event_at"),
        known_at=_moment(number, entry, "known_at"),
    )


def _text(number: int, entry: dict[str, Any], key: str) -> str:
    text = entry.get(key)
    if text is None:
        return ""
    if not isinstance(text, str) or not 0 < len(text) <= _ID_LENGTH or not text.isprintable():
        raise DataError(
            f"label {number}: {key} is {text!r:.80}; expected 1 to {_ID_LENGTH} printable "
            "characters."
        )
    return text


def _value(number: int, value: Any) -> Any:
    parts = value if isinstance(value, list) else [value]
    for part in parts:
        finite = not isinstance(part, float) or math.isfinite(part)
        if not isinstance(part, str | bool | int | float) or not finite:
            raise DataError(
                f"label {number}: the label is {part!r:.80}; expected a text, a finite number, "
                "true or false, or a list of these."
            )
    return value


def _moment(number: int, entry: dict[str, Any], key: str) -> datetime | None:
    given = entry.get(key)
    if given is None:
        return None
    moment = given
    if isinstance(given, str):
        try:
            moment = datetime.fromisoformat(given)
        except ValueError:
            moment = None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise DataError(
            f"label {number}: {key} is {given!r:.80}; expected a time with its zone, for example "
            "'2026-01-31T12:00:00Z'."
        )
    return moment.astimezone(UTC)
