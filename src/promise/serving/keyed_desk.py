"""A model over keyed features in one snapshot: how its rows become events, and what they write."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from promise.errors import ConfigError, DataError
from promise.features.event import Event, refuse_future
from promise.features.incoming import EventReader, merged
from promise.features.keyed import Keyed
from promise.features.model_views import ModelViews
from promise.serving.endpoints import Endpoint
from promise.serving.request import Request

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeyedDesk:
    """The keyed versions of an endpoint.

    Parameters
    ----------
    views
        The union of what they keep.
    readers
        How each version reads an event from a row.
    alike
        Whether all of them read the same fields in the same roles.
    """

    views: ModelViews
    readers: dict[int, EventReader]
    alike: bool

    @classmethod
    def of(cls, endpoint: Endpoint) -> KeyedDesk | None:
        """Return the keyed side of an endpoint; None where no version reads keyed features."""
        readers: dict[int, EventReader] = {}
        first: Keyed | None = None
        order = sorted(endpoint.versions, key=lambda number: number != endpoint.route.live)
        for number in order:
            stage = endpoint.versions[number].pipeline.featurize
            if not isinstance(stage, Keyed):
                continue
            first = stage if first is None else first
            odd = [r for r, n in stage.columns.items() if first.columns.get(r, n) != n]
            if odd:
                _LOG.error(
                    "%s@%d takes %s from other fields than the live version; it cannot answer",
                    endpoint.name, number, ", ".join(odd),
                )  # fmt: skip
                continue
            try:
                readers[number] = EventReader(stage, endpoint.versions[number].schema)
            except (ConfigError, DataError) as error:
                _LOG.error("%s@%d cannot answer: %s", endpoint.name, number, error)
        if not readers:
            return None
        told = [(r.names, r.keyed.columns, r.keyed.numbers, r.keyed.texts) for r in
                readers.values()]  # fmt: skip
        views = ModelViews(endpoint.name, {n: r.keyed for n, r in readers.items()})
        return cls(views, readers, all(one == told[0] for one in told))

    def reads(self, request: Request) -> bool:
        """Say whether a request's rows are events of any keyed version here."""
        return next(self._ways(request), None) is not None

    def events(
        self, request: Request, ids: Sequence[str], now_us: int, skew_us: int
    ) -> list[Event]:
        """Return the rows as events, in order.

        Parameters
        ----------
        ids
            Of the answers; they stand in where a row names no event id.

        Raises
        ------
        DataError
            When a row lies in the future or cannot be read; in a batch it is named.
        """
        ways = list(self._ways(request))
        events = []
        for number, id in enumerate(ids):
            try:
                read = [_event(reader, rows[number], id, now_us) for reader, rows in ways]
                event = merged(read)
                refuse_future(event, now_us, skew_us)
            except DataError as error:
                if len(ids) == 1:
                    raise
                raise DataError(f"row {number}: {error}") from error
            events.append(event)
        return events

    def reader(self, number: int | None = None) -> EventReader:
        """Return how a version reads events; the first one's where none is named."""
        return next(iter(self.readers.values())) if number is None else self.readers[number]

    def _ways(self, request: Request) -> Iterator[tuple[EventReader, Sequence[Any]]]:
        for number, reader in self.readers.items():
            rows = request.rows_for(number)
            if rows is not None:
                yield reader, rows
                if self.alike:
                    return


def _event(reader: EventReader, row: Sequence[Any], id: str, now_us: int) -> Event:
    return reader.event(row, id=reader.id_of(row) or id, now_us=now_us)
