"""One row of a request as the event that stores keep, with the digits of a replayed file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from promise.data.schema import Schema
from promise.errors import ConfigError, DataError
from promise.features.event import AMOUNT, Event
from promise.features.keyed import Keyed
from promise.features.values import Read, reader


class EventReader:
    """Reads events from the values of requests; compiled once for each version.

    Parameters
    ----------
    keyed
        Which field plays which role.
    schema
        The request's fields.

    Raises
    ------
    ConfigError
        When a key is read as a number, or the time as something else than a date.

    Examples
    --------
    >>> from promise.data.schema import Field
    >>> from promise.features.declare import Count
    >>> from promise.features.sets import FeatureSet
    >>> from promise.features.view import FeatureView
    >>> views = FeatureSet((FeatureView("card", ("entity",), (Count("1d"),)),))
    >>> keyed = Keyed(views, {"time": "when", "entity": "card", "amount": "eur"})
    >>> schema = Schema((Field("when", "date"), Field("card", "category"), Field("eur", "number")))
    >>> EventReader(keyed, schema).event((None, " ann ", 5), id="t1", now_us=7)
    Event(id='t1', at=7, entities={'entity': 'ann'}, amount=5.0, fields={})
    """

    def __init__(self, keyed: Keyed, schema: Schema) -> None:
        self.keyed, self.names = keyed, schema.names
        self._id = self._place(schema, keyed.columns.get("id"), "text", "category")
        self._time = self._place(schema, keyed.columns.get("time"), "date")
        self._amount = self._place(schema, keyed.columns.get(AMOUNT), "number")
        self._keys = [
            (role, *self._known(schema, name, "text", "category"))
            for role, name in keyed.entities.items()
        ]
        self._numbers = [(n, *self._known(schema, n, "number", "boolean")) for n in keyed.numbers]
        self._texts = [(n, *self._known(schema, n, "text", "category")) for n in keyed.texts]

    def id_of(self, values: Sequence[Any]) -> str | None:
        """Return the event's own id; None where the request names none."""
        if self._id is None:
            return None
        told: str | None = self._id[1](values[self._id[0]])
        return told

    def time_of(self, values: Sequence[Any]) -> int | None:
        """Return when it happened, in microseconds since 1970; None where that is missing."""
        if self._time is None:
            return None
        found: int | None = self._time[1](values[self._time[0]])
        return found

    def event(self, values: Sequence[Any], *, id: str, now_us: int) -> Event:
        """Return a row as an event.

        Parameters
        ----------
        values
            In the schema's order, as they were sent.
        id
            Of the event.
        now_us
            Stands in for a time that is missing.

        Raises
        ------
        DataError
            When a number is beyond ±1e11, or the time cannot be one.
        """
        at = self.time_of(values)
        entities = {role: key for role, place, read in self._keys if (key := read(values[place]))}
        fields: dict[str, Any] = {n: _number(read(values[p])) for n, p, read in self._numbers}
        for name, place, read in self._texts:
            fields[name] = read(values[place])
        amount = None if self._amount is None else _number(self._amount[1](values[self._amount[0]]))
        return Event(id, now_us if at is None else at, entities, amount, fields)

    def told(self, id: str, entity: str, at_us: int, payload: Mapping[str, Any]) -> Event:
        """Return an event that was told by itself, not as a row to be answered.

        Parameters
        ----------
        entity
            The key of the role `entity`, where the payload does not name it.
        at_us
            When it happened, where the payload does not say.
        payload
            Fields of a request by name; absent ones are missing, others are passed over.

        Raises
        ------
        DataError
            When a value cannot be read as its field.
        """
        name = self.keyed.columns.get("entity")
        given = payload if name is None or payload.get(name) is not None else {
            **payload, name: entity,
        }  # fmt: skip
        for field, value in given.items():
            if field in self.names and isinstance(value, dict | list):
                raise DataError(f"event {id!r}: {field!r} is {value!r:.80}; expected one value.")
        return self.event([given.get(name) for name in self.names], id=id, now_us=at_us)

    def _place(self, schema: Schema, name: str | None, *types: str) -> tuple[int, Read] | None:
        return None if name is None else self._known(schema, name, *types)

    def _known(self, schema: Schema, name: str, *types: str) -> tuple[int, Read]:
        field = schema[name]
        if field.type not in types:
            raise ConfigError(
                f"the field {name!r} is read as {field.type}; an event needs it as "
                f"{' or '.join(types)}: train again with the column's role told by --column."
            )
        return schema.names.index(name), reader(field)


def _number(value: float | None) -> float | None:
    return None if value is None or isnan(value) else value


def merged(events: Sequence[Event]) -> Event:
    """Return one event that tells what several readers took from the same row.

    Raises
    ------
    DataError
        When two of them take a role or the amount from different fields.

    Examples
    --------
    >>> first = Event("t1", 7, {"entity": "ann"}, 5.0)
    >>> merged([first, Event("t1", 7, {"device": "d9"}, None, {"items": 2.0})])
    Event(id='t1', at=7, entities={'entity': 'ann', 'device': 'd9'}, amount=5.0, \
fields={'items': 2.0})
    """
    if len(events) == 1:
        return events[0]
    entities: dict[str, str] = {}
    fields: dict[str, Any] = {}
    for event in events:
        for role, key in event.entities.items():
            if entities.setdefault(role, key) != key:
                raise DataError(f"versions take the role {role!r} from different fields.")
        fields.update(event.fields)
    amounts = [event.amount for event in events if event.amount is not None]
    if len(set(amounts)) > 1:
        raise DataError("versions take the amount from different fields.")
    return Event(events[0].id, events[0].at, entities, amounts[0] if amounts else None, fields)
