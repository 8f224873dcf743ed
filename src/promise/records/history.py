"""A model's own log of events as a source: what it was told is what it is trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from promise.data.rows import BadRows, Size
from promise.errors import DataError, near
from promise.records.events import EVENTS, Events
from promise.records.exposures import Exposure, read_exposures
from promise.state.database import Database

LOG = "log"
"""What a model's own log is called where data are named; a file of this name is `./log`."""

_SHOWN = ("position", "propensity")
_TYPES = {
    **dict.fromkeys(("event_id", "entity", "other", "type"), pa.string()),
    "at": pa.timestamp("us"),
    **dict.fromkeys(_SHOWN, pa.float64()),
}
_STORED = ("event_id", "entity", "other", "type", "at", "payload")
_OF_MODEL = "model = :model AND number <= :head"


class History:
    """The log of one model up to the event that was the last when this was made.

    What comes later is for those who follow the log from `head` on: nothing is met twice, nothing
    is left out. Events are read in the log's order, in batches.

    Parameters
    ----------
    until
        Only events up to this number; None: up to the newest.
    records
        Where this machine's prediction log lies, which tells what people were shown.

    Examples
    --------
    >>> events = Events(Database("sqlite://"))
    >>> like = {"event_id": "e", "entity": "ann", "other": "bob", "type": "like"}
    >>> _ = events.add("meet", [like])
    >>> history = History(events.database, "meet")
    >>> _ = events.add("meet", [{**like, "event_id": "later"}])
    >>> history.head, [rows.num_rows for _, rows in history.batches(["entity"])]
    (1, [1])
    """

    def __init__(
        self,
        database: Database,
        model: str,
        *,
        until: int | None = None,
        records: Path | None = None,
    ) -> None:
        self.name = f"the log of {model}"
        self.model = model
        self.bad_rows = BadRows()
        self.decimal: str | None = None
        self.reader: dict[str, Any] | None = None
        self.columns = tuple(_TYPES)
        self.head = Events(database).head() if until is None else until
        self._records = records
        self._database = database
        self._n = int(self._rows("SELECT COUNT(*) FROM events WHERE " + _OF_MODEL, {})[0][0])

    @property
    def n_events(self) -> int:
        """How many events of the model there are up to `head`."""
        return self._n

    def cautions(self) -> tuple[str, ...]:
        """Return nothing: there is no text whose encoding would be a guess."""
        return ()

    def size(self) -> Size:
        """Return how many events there are."""
        return Size(self._n, True, 0)

    def batches(
        self, columns: Sequence[str] | None = None, chunk_rows: int = 65536
    ) -> Iterator[tuple[int, pa.Table]]:
        """Yield (number of the first row, rows); times are in UTC, missing texts are null."""
        wanted = list(self.columns if columns is None else columns)
        for name in wanted:
            if name not in self.columns:
                raise DataError(f"{self.name} has no column {name!r}; {near(name, self.columns)}")
        read = dict.fromkeys("payload" if name in _SHOWN else name for name in wanted)
        first = 0
        for rows in self._pages(tuple(read), "", chunk_rows):
            given = dict(zip(read, rows, strict=True))
            yield first, pa.table({name: _column(name, given) for name in wanted})
            first += len(rows[0])

    def payloads(
        self, type: str, chunk_rows: int = 65536
    ) -> Iterator[tuple[list[str], list[dict[str, Any]]]]:
        """Yield the entities and the payloads of the events of one type, in the log's order."""
        for entities, texts in self._pages(("entity", "payload"), type, chunk_rows):
            yield list(entities), [json.loads(text) for text in texts]

    def shown(self) -> Iterator[Exposure]:
        """Yield what this machine's log tells that people were shown, each with its chance."""
        if self._records is not None:
            yield from read_exposures(self._records, self.model)

    def sample(self, rows: int) -> pa.Table:
        """Return the first rows."""
        for _, table in self.batches(chunk_rows=max(1, rows)):
            return table
        return pa.table({name: pa.array([], kind) for name, kind in _TYPES.items()})

    def fingerprint(self) -> str:
        """Return a digest of how far the log is read, and of how much is in it."""
        told = f"{self.model}|{self.head}|{self._n}"
        return blake2b(told.encode(), digest_size=16).hexdigest()

    def _pages(
        self, columns: tuple[str, ...], type: str, chunk_rows: int
    ) -> Iterator[tuple[tuple[Any, ...], ...]]:
        """Yield these columns of some rows at a time; of one type, where one is named."""
        assert set(columns) <= set(_STORED), "only names from here are written into a query"
        of_type = " AND type = :type" if type else ""
        query = (
            f"SELECT {', '.join(('number', *columns))} FROM events WHERE number > :number "
            f"AND {_OF_MODEL}{of_type} ORDER BY number LIMIT :limit"
        )
        asked = {"number": 0, "limit": chunk_rows, **({"type": type} if type else {})}
        while rows := self._rows(query, asked):
            numbers, *found = zip(*rows, strict=True)
            asked["number"] = numbers[-1]
            yield tuple(found)

    def _rows(self, query: str, values: dict[str, Any]) -> Sequence[Any]:
        self._database.migrate(EVENTS)
        asked = {"model": self.model, "head": self.head, **values}
        with self._database.reading() as connection:
            return connection.execute(sa.text(query), asked).all()


def _column(name: str, given: dict[str, Any]) -> pa.Array:
    """Return a column of the source from those of the table."""
    if name in _SHOWN:
        return pa.array([_number(text, name) for text in given["payload"]], pa.float64())
    if name == "at":
        return pa.array(given["at"]).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    return pa.array([text or None for text in given[name]], pa.string())


def _number(payload: str, name: str) -> float | None:
    """Return a number that an event tells, None where it tells none."""
    if f'"{name}"' not in payload:
        return None
    try:
        return float(json.loads(payload)[name])
    except (KeyError, TypeError, ValueError):
        return None
