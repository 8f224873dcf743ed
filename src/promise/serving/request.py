"""One request to a model: its rows as read, as each version needs them, and as they are logged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from promise.data.columns import FloatArray
from promise.serving.intake import Intake, Row
from promise.serving.keyed_rows import SeenRows

encode = msgspec.json.Encoder().encode
"""Writes a value as the log's lines hold it."""
_NULL = b"null"

LINE = b'{"id":"%b",%b%.6f,"ms":%.3f,"entity":%b,"row":%b,"answer":%b,"source":"%b"}'
"""One line of the prediction log: id, `Post.line`, at, ms, entity, row, answer, source."""


@dataclass(slots=True)
class Request:
    """Rows to be answered, and what is known of the request they came in.

    Parameters
    ----------
    rows
        As the intake has read them.
    body
        The request in the lane's JSON; rows are read again from it where a version has other
        types.
    began_s, until_s
        Monotonic seconds: when the body was there, and the deadline.
    hurried
        Whether the client waits for less than this server would: what is late by that alone is
        nobody's error.
    raw
        Whether `body` is exactly the one row as JSON, so that the log may keep it as it is.
    ids
        Of the answers, where they are known before; given when answers are recorded otherwise.
    seen
        What the event store told of the rows; None for a model without keyed features.
    """

    intake: Intake
    rows: Sequence[Row]
    body: bytes
    entity: str | None
    began_s: float
    until_s: float
    raw: bool = False
    hurried: bool = False
    ids: list[str] | None = None
    seen: SeenRows | None = None
    _given: dict[int, Sequence[Row] | None] | None = None

    def rows_for(self, number: int) -> Sequence[Row] | None:
        """Return the rows as a version orders them; None where they do not fit it."""
        if self.intake.plain(number):
            return self.rows
        if self._given is None:
            self._given = {}
        if number not in self._given:
            self._given[number] = self.intake.rows_for(number, self.rows, self.body)
        return self._given[number]

    def seen_for(self, number: int) -> FloatArray | None:
        """Return the keyed features that a version reads at the rows; None where it reads none."""
        return None if self.seen is None else self.seen.of(number)

    def logged_entity(self) -> bytes:
        """Return the entity as JSON."""
        return _NULL if self.entity is None else encode(self.entity)

    def logged_rows(self, number: int) -> Sequence[bytes]:
        """Return each row as JSON, with the fields of the version that is said to answer.

        Of a version that the request does not fit, those of the leading one.
        """
        if self.raw and self.intake.plain(number):
            return (self.body,)
        rows = self.rows_for(number)
        if rows is None:
            number = self.intake.lead
            rows = self.rows_for(number)
        assert rows is not None, "a request fits the version that leads its intake"
        names = self.intake.names(number)
        return [encode(dict(zip(names, row, strict=True))) for row in rows]
