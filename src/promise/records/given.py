"""Labels as they are given: checked entry by entry before any is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from promise.data.answer import Answer, Class, Decision, Labels, Number, truths
from promise.errors import DataError, near
from promise.kernels.multilabel import label_sets
from promise.kernels.parsing import label_codes

_KEYS = ("prediction_id", "label", "model", "source", "event_at", "known_at")
_ID_LENGTH = 200
_TRUTHS = {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "false": 0}
LABEL_LENGTH = 10_000
"""So many characters, or parts of a list, a label may have."""


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
    size = sum(len(part) if isinstance(part, str) else 1 for part in parts)
    if size > LABEL_LENGTH:
        raise DataError(
            f"label {number}: the label has {size:,} characters; expected {LABEL_LENGTH:,} at most."
        )
    return value


def _moment(number: int, entry: dict[str, Any], key: str) -> datetime | None:
    given = entry.get(key)
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else given
        if isinstance(moment, datetime) and moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the zone may lead out of the years that there are
        pass
    raise DataError(
        f"label {number}: {key} is {given!r:.80}; expected a time with its zone, for example "
        "'2026-01-31T12:00:00Z'."
    )


def as_answered(value: Any, answer: Answer) -> Any:
    """Return a label as the model answers, so that "0" and 0 are one label of a class "0".

    Raises
    ------
    DataError
        When it is no class, or no number, that the model could answer.

    Examples
    --------
    >>> as_answered(0, Class(("0", "1"))), as_answered(True, Class(("false", "true")))
    ('0', 'true')
    >>> as_answered("12.5", Number())
    12.5
    """
    if isinstance(answer, Number):
        known = finite_number(value)
        if known is None:
            raise DataError(f"the label is {value!r:.80}, expected a number.")
        return known
    if isinstance(answer, Labels):
        return _labels_given(value, answer)
    known_names = truths(answer)
    if known_names:
        code = truth_code(value, answer)
        if code is None:
            what = "class" if isinstance(answer, Class) else "outcome"
            close = near(str(value)[:80], known_names)
            raise DataError(f"the label is {value!r:.80}, which is no {what} of the model; {close}")
        return known_names[code]
    return value


def _labels_given(value: Any, answer: Labels) -> list[str]:
    """Return the labels in a list, or in a text in which they are joined by `;`."""
    given = label_sets([value if isinstance(value, str | list) else [value]])[0]
    strange = next((name for name in given if name not in answer.labels), None)
    if strange is not None:
        raise DataError(
            f"the label is {strange[:80]!r}, which is none of the model's; "
            + near(strange[:80], answer.labels)
        )
    return list(given)


def truth_code(value: Any, answer: Answer) -> int | None:
    """Return a label's code; of a decision's outcomes also as true or false, 1 or 0.

    Examples
    --------
    >>> truth_code(True, Decision()), truth_code(0, Decision(outcomes=("good", "fraud")))
    (1, 0)
    >>> truth_code("fraud", Decision(outcomes=("good", "fraud"))), truth_code(2, Decision())
    (1, None)
    """
    code = class_code(value, truths(answer))
    if code is not None or not isinstance(answer, Decision) or isinstance(value, list):
        return code
    return _TRUTHS.get(str(value).strip().lower())


def class_code(value: Any, classes: Sequence[str]) -> int | None:
    """Return a label's position among the classes, however it is written; None where unknown.

    Examples
    --------
    >>> class_code(" 1 ", ["0", "1"]), class_code(1.0, ["0", "1"]), class_code("2", ["0", "1"])
    (1, 1, None)
    """
    if isinstance(value, list):
        return None
    text = value.strip() if isinstance(value, str) else value
    tries = [text, finite_number(text)] if isinstance(text, str) else [text]
    for each in tries:
        if each is not None:
            array = np.array([each], dtype=object if isinstance(each, str) else None)
            if array.dtype.kind == "O" and not isinstance(each, str):
                continue  # an integer beyond 64 bits is no class
            code = int(label_codes(array, list(classes))[0])
            if code >= 0:
                return code
    return None


def finite_number(value: Any) -> float | None:
    """Return a label as a number; None for what is none.

    Examples
    --------
    >>> finite_number("2.5"), finite_number(True), finite_number("nan")
    (2.5, None, None)
    """
    if isinstance(value, bool | list):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
