"""What happened, and what became known of it later: the two records that features are made of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isfinite

import msgspec

from promise.errors import DataError
from promise.features.windows import duration_text

LARGEST = 1e11  # amounts beyond this are no amounts, and would overflow exact sums
LATEST_US = 1 << 60  # far beyond the year 30000
AMOUNT = "amount"
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class Event(msgspec.Struct, frozen=True, tag="event", gc=False):
    """One event of one or several entities, in the form that stores keep.

    Parameters
    ----------
    id
        Unique; the same id again is the same event and counts once.
    at
        When it happened, in microseconds since 1970 (UTC).
    entities
        Role to key: `entity`, `other`, `device`, …; a role that is unknown is left out.
    amount
        None: missing. It is neither counted in means nor taken for 0.
    fields
        Further numbers and texts by name.

    Raises
    ------
    DataError
        When a number is not finite or beyond ±1e11, or the time is no time.

    Examples
    --------
    >>> event = Event("e1", 1_700_000_000_000_000, {"entity": "ann"}, 12.5)
    >>> unpacked(event.packed()) == event
    True
    """

    id: str
    at: int
    entities: Mapping[str, str]
    amount: float | None = None
    fields: Mapping[str, float | str | None] = {}

    def __post_init__(self) -> None:
        if not -LATEST_US < self.at < LATEST_US:
            raise DataError(f"event {self.id!r}: `at` is {self.at}; give microseconds since 1970")
        _check_number(self.id, AMOUNT, self.amount)
        for name, value in self.fields.items():
            if not isinstance(value, str):
                _check_number(self.id, name, value)

    def number(self, name: str) -> float | None:
        """Return a number by name, None where it is missing.

        Raises
        ------
        DataError
            When the field is a text.
        """
        if name == AMOUNT:
            return self.amount
        value = self.fields.get(name)
        if isinstance(value, str):
            raise DataError(
                f"event {self.id!r}: field {name!r} is the text {value!r} where a number is "
                "expected; send a number or null"
            )
        return value

    def text(self, name: str) -> str | None:
        """Return the key of a role or a text field, None where it is missing.

        Raises
        ------
        DataError
            When the field is a number.
        """
        key = self.entities.get(name)
        if key is not None:
            return key
        value = self.fields.get(name)
        if value is None or isinstance(value, str):
            return value
        raise DataError(
            f"event {self.id!r}: field {name!r} is the number {value!r} where a text is counted; "
            "send it as a text"
        )

    def packed(self) -> bytes:
        """Return the bytes that stores append to each entity's tail."""
        return _ENCODER.encode(self)


class Label(msgspec.Struct, frozen=True, tag="label", gc=False):
    """What an event turned out to be, known later than the event.

    Parameters
    ----------
    event_id
        The event that it is about; a label of an unknown or expired event changes nothing.
    value
        Above 0 is a positive.
    known_at
        From when on features may use it, in microseconds since 1970. A later label of the same
        event replaces an earlier one.
    entities
        The event's entities, so that the label finds their states.
    """

    event_id: str
    value: float
    known_at: int
    entities: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        _check_number(self.event_id, "label", self.value)

    def packed(self) -> bytes:
        """Return the bytes that stores append to each entity's tail."""
        return _ENCODER.encode(self)


Record = Event | Label
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Event | Label)


def unpacked(payload: bytes) -> Record:
    """Read back what `packed` wrote.

    Raises
    ------
    DataError
        When the bytes are no event and no label.
    """
    try:
        return _DECODER.decode(payload)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise DataError(
            f"a stored record of {len(payload)} bytes is no event and no label ({error}); "
            "restore the store from its last export"
        ) from error


def micros_of(moment: datetime) -> int:
    """Return a moment as events count time: microseconds since 1970.

    Examples
    --------
    >>> micros_of(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (moment - _EPOCH) // _MICROSECOND


def refuse_future(event: Event, now_us: int, skew_us: int) -> None:
    """Keep an event from the future out: what really follows would come before it for good.

    Raises
    ------
    DataError
        When the event lies more than `skew_us` after `now_us`.

    Examples
    --------
    >>> refuse_future(Event("e", 5_000_000, {}), now_us=4_000_000, skew_us=2_000_000)
    """
    ahead_us = event.at - now_us
    if ahead_us > skew_us:
        raise DataError(
            f"event {event.id!r} lies {duration_text(ahead_us)} in the future, more than the "
            f"allowed {duration_text(skew_us)}; correct the sender's clock or its unit "
            "(microseconds)"
        )


def _check_number(event_id: str, name: str, value: float | None) -> None:
    # `not <=` also refuses NaN
    if value is not None and not -LARGEST <= value <= LARGEST:
        what = "not finite" if not isfinite(value) else "beyond ±1e11"
        raise DataError(
            f"event {event_id!r}: {name!r} is {value!r}, {what}; send a number, or null if missing"
        )
