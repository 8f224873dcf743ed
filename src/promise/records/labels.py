"""What came true: labels by prediction id, idempotent; a later one is a revision."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from promise.clock import Clock
from promise.errors import DataError
from promise.records.given import Given, checked
from promise.records.isolation import wait_in_line
from promise.state.database import Database, Migrations
from promise.state.moments import from_text, maybe_moment, maybe_text, to_text

_LOCK = 0x4C41424C  # "LABL": held while numbers are given, so that they follow the commits
_KEYS_AT_ONCE = 2_000  # well below SQLite's bound on parameters
_COLUMNS = "number, prediction_id, model, source, value, revision, event_at, received_at, known_at"

LABELS = Migrations(
    "labels",
    (
        """CREATE TABLE labels (
            number BIGINT PRIMARY KEY,
            prediction_id TEXT NOT NULL,
            model TEXT NOT NULL,
            source TEXT NOT NULL,
            value TEXT NOT NULL,
            revision INTEGER NOT NULL,
            event_at VARCHAR(40),
            received_at VARCHAR(40) NOT NULL,
            known_at VARCHAR(40) NOT NULL,
            UNIQUE (prediction_id, source, revision)
        )""",
        "CREATE TABLE label_numbers (last BIGINT NOT NULL)",
        "INSERT INTO label_numbers VALUES (0)",
    ),
)
"""The tables of labels, and the number that was given last."""


@dataclass(frozen=True)
class Label:
    """One label of one prediction by one source.

    Parameters
    ----------
    number
        Grows with every accepted label of the installation; readers remember how far they came.
    revision
        1 for the first label of this prediction by this source, then 2, …
    event_at, received_at, known_at
        When it happened, when it reached us, and from when on a model may learn from it.
    unchanged
        In the answer of `Labels.add`: the same value was kept before, so nothing was added.
    """

    number: int
    prediction_id: str
    model: str
    source: str
    value: Any
    revision: int
    event_at: datetime | None
    received_at: datetime
    known_at: datetime
    unchanged: bool = False


@dataclass
class Labels:
    """Accepts labels and gives them back in the order in which they came.

    Parameters
    ----------
    owners
        Prediction ids to their models, as far as they are known beside the labels that are kept
        (`promise.records.owners`): a label for another model is refused.
    normalise
        Model and value to the value as that model answers it (`promise.records.given.as_answered`),
        so that "0" and 0 are one label; raises DataError for what the model cannot answer. The
        model is empty where nobody knows it yet.
    """

    database: Database
    clock: Clock
    owners: Callable[[Sequence[str]], Mapping[str, str]] | None = None
    normalise: Callable[[str, Any], Any] | None = None

    def add(self, given: list[dict[str, Any]]) -> list[Label]:
        """Keep labels `{"prediction_id", "label", "model"?, "source"?, "event_at"?, "known_at"?}`.

        Sending the same value again changes nothing and returns the label as it is kept; another
        value is the next revision. All or none are kept. Raises DataError naming the entry.

        A label whose prediction is known to be another model's is refused. Whose it is knows at
        first only the machine that answered; elsewhere the label is kept at once without a model,
        and that machine's collector notes it (`settle`).

        A label is a JSON scalar or a list of them. Times are ISO 8601 texts with a zone (or
        datetimes); `known_at` is the time of receipt where it is not given; `source` is "api".
        """
        entries = checked(given)
        if not entries:
            return []
        self.database.migrate(LABELS)
        entries = self._placed(entries)
        received = self.clock.now()

        def work(connection: sa.Connection) -> list[Label]:
            wait_in_line(connection, _LOCK)
            return _Batch(connection, received, self.normalise).add(entries)

        return self.database.run(work)

    def strangers(self, ids: Sequence[str], model: str) -> dict[str, str]:
        """Return which of these predictions are known to be another model's: id to that model."""
        return {id: owner for id, owner in self._models(ids).items() if owner != model}

    def settle(self, owners: Mapping[str, str]) -> None:
        """Note whose predictions labels are that came before anybody there could know.

        Called on the machine that gave the answers (prediction id to model), so that from then on
        every machine knows. A label that named another model meanwhile is of the one that answered.
        """
        if not owners:
            return
        self.database.migrate(LABELS)
        query = "UPDATE labels SET model = :model WHERE prediction_id = :id AND model <> :model"
        rows = [{"id": id, "model": model} for id, model in sorted(owners.items())]

        def work(connection: sa.Connection) -> None:
            wait_in_line(connection)
            connection.execute(sa.text(query), rows)

        self.database.run(work)

    def _placed(self, entries: list[Given]) -> list[Given]:
        """Return the entries with their model, where it is known, and the value in its words."""
        models = self._models([entry.prediction_id for entry in entries])
        placed = []
        for number, entry in enumerate(entries):
            owner = models.setdefault(entry.prediction_id, entry.model)
            if entry.model and owner and entry.model != owner:
                raise DataError(
                    f"label {number}: prediction {entry.prediction_id} is of the model {owner!r}, "
                    f"not of {entry.model!r}."
                )
            value = entry.value
            if self.normalise is not None:
                try:
                    value = self.normalise(owner, value)
                except DataError as error:
                    raise DataError(f"label {number}: {error}") from None
            placed.append(replace(entry, model=owner or entry.model, value=value))
        return placed

    def _models(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the models of predictions: by their answers, else by labels that are kept."""
        self.database.migrate(LABELS)
        unique = list(dict.fromkeys(ids))
        query = (
            "SELECT prediction_id, model FROM labels WHERE prediction_id IN :ids AND model <> ''"
        )
        statement = sa.text(f"{query} ORDER BY number")
        statement = statement.bindparams(sa.bindparam("ids", expanding=True))
        found: dict[str, str] = {}
        with self.database.reading() as connection:
            for part in _parts(unique):
                found |= {row[0]: row[1] for row in connection.execute(statement, {"ids": part})}
        return found if self.owners is None else {**found, **self.owners(unique)}

    def since(self, number: int, limit: int = 10_000) -> list[Label]:
        """Return labels accepted after this number, in order."""
        return self._query(
            "number > :number ORDER BY number LIMIT :limit", number=number, limit=limit
        )

    def of(self, prediction_id: str) -> list[Label]:
        """Return every revision of a prediction's labels."""
        return self._query("prediction_id = :id ORDER BY number", id=prediction_id)

    def newest(
        self, ids: Sequence[str], *, as_of: datetime | None = None, source: str | None = None
    ) -> dict[str, Label]:
        """Return the newest label of each of these predictions that has one.

        Parameters
        ----------
        as_of
            Only labels that a model may have learned from by then: `known_at ≤ as_of`.
        source
            Only labels of this source; else the newest of any.
        """
        found: dict[str, Label] = {}
        rule = "" if as_of is None else " AND known_at <= :as_of"
        rule += "" if source is None else " AND source = :source"
        for part in _parts(list(ids)):
            for label in self._query(
                f"prediction_id IN :ids{rule} ORDER BY number",
                ids=part,
                **({} if as_of is None else {"as_of": to_text(as_of)}),
                **({} if source is None else {"source": source}),
            ):
                found[label.prediction_id] = label
        return found

    def _query(self, rule: str, **values: Any) -> list[Label]:
        self.database.migrate(LABELS)
        with self.database.reading() as connection:
            return list(_select(connection, rule, values))


def _parts(keys: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(keys), _KEYS_AT_ONCE):
        yield keys[first : first + _KEYS_AT_ONCE]


def _select(connection: sa.Connection, rule: str, values: dict[str, Any]) -> Iterator[Label]:
    statement = sa.text(f"SELECT {_COLUMNS} FROM labels WHERE {rule}")
    if "ids" in values:
        statement = statement.bindparams(sa.bindparam("ids", expanding=True))
    for row in connection.execute(statement, values):
        yield Label(
            number=row[0],
            prediction_id=row[1],
            model=row[2],
            source=row[3],
            value=json.loads(row[4]),
            revision=row[5],
            event_at=maybe_moment(row[6]),
            received_at=from_text(row[7]),
            known_at=from_text(row[8]),
        )


class _Batch:
    """Adds entries inside one transaction, given what is kept of their predictions by now."""

    def __init__(
        self,
        connection: sa.Connection,
        received: datetime,
        normalise: Callable[[str, Any], Any] | None = None,
    ) -> None:
        self._connection = connection
        self._received = received
        self._normalise = normalise
        self._rows: list[dict[str, Any]] = []

    def add(self, entries: list[Given]) -> list[Label]:
        """Return each entry's label as it is kept now."""
        kept = self._kept(entries)
        last = self._connection.execute(sa.text("SELECT last FROM label_numbers")).scalar_one()
        answers = []
        for entry in entries:
            key = (entry.prediction_id, entry.source)
            before = kept.get(key)
            if before is not None and self._same(before, entry):
                answers.append(replace(before, unchanged=True))
                continue
            last += 1
            kept[key] = self._revision(entry, before, last)
            answers.append(kept[key])
        self._write(last)
        return answers

    def _same(self, before: Label, entry: Given) -> bool:
        """Say whether a label says nothing new; one that was kept in other words is read anew."""
        known = before.value
        if self._normalise is not None and entry.model:
            with contextlib.suppress(DataError):
                known = self._normalise(entry.model, known)
        return same_value(known, entry.value)

    def _kept(self, entries: list[Given]) -> dict[tuple[str, str], Label]:
        ids = list(dict.fromkeys(entry.prediction_id for entry in entries))
        return {
            (label.prediction_id, label.source): label
            for part in _parts(ids)
            for label in _select(
                self._connection, "prediction_id IN :ids ORDER BY number", {"ids": part}
            )
        }

    def _revision(self, entry: Given, before: Label | None, number: int) -> Label:
        label = Label(
            number=number,
            prediction_id=entry.prediction_id,
            model=entry.model or (before.model if before else ""),
            source=entry.source,
            value=entry.value,
            revision=before.revision + 1 if before else 1,
            event_at=entry.event_at,
            received_at=self._received,
            known_at=entry.known_at or self._received,
        )
        self._rows.append(
            {
                **vars(label),
                "value": json.dumps(label.value),
                "event_at": maybe_text(label.event_at),
                "received_at": to_text(label.received_at),
                "known_at": to_text(label.known_at),
            }
        )
        return label

    def _write(self, last: int) -> None:
        if not self._rows:
            return
        insert = (
            f"INSERT INTO labels ({_COLUMNS}) VALUES (:number, :prediction_id, :model, :source, "
            ":value, :revision, :event_at, :received_at, :known_at)"
        )
        self._connection.execute(sa.text(insert), self._rows)
        self._connection.execute(sa.text("UPDATE label_numbers SET last = :last"), {"last": last})


def same_value(one: Any, other: Any) -> bool:
    """Say whether two labels mean the same: 1 and 1.0 do, 1 and true do not.

    Examples
    --------
    >>> same_value(1, 1.0), same_value(1, True), same_value(["a"], ["a", "b"])
    (True, False, False)
    """
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_value, one, other))
    return bool(one == other and isinstance(one, bool) == isinstance(other, bool))
