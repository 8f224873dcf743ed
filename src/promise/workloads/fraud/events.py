"""Events as they came from a file: typed, in order of time, each once, with what is wrong told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from promise.data.answer import Decision
from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.data.infer import read_columns
from promise.data.schema import Field, Schema
from promise.data.source import Source
from promise.data.target import check_target, labelled
from promise.errors import DataError
from promise.features.event import AMOUNT, LARGEST
from promise.kernels.parsing import label_codes, number_text
from promise.workloads.fraud.task import fraud_task, known_at_field, label_field

_POSITIVE = ("1", "true", "yes", "y", "t", "fraud", "fraudulent", "bad", "positive", "chargeback")
_MOST_REPEATED = 0.5


@dataclass(frozen=True)
class Events:
    """Events in order of time.

    Parameters
    ----------
    columns
        The fields of a request, by name.
    y
        1 for fraud, 0 for none, NaN where nobody knows: float64 (n,).
    rows
        Row numbers in the source.
    known_at
        When each label became known, where the table tells it.
    told
        What a reader should know of these rows, one sentence each.
    """

    columns: Columns
    y: FloatArray
    rows: IntArray
    answer: Decision
    known_at: Array | None
    told: tuple[str, ...]

    @property
    def labels(self) -> Columns:
        """What a replay learns of the events later."""
        told = {} if self.known_at is None else {"known_at": self.known_at}
        return Columns({"label": self.y, **told})


def read_events(
    source: Source,
    formats: Mapping[str, Field],
    columns: Mapping[str, str],
    numbers: tuple[str, ...],
) -> Events:
    """Read the columns that play a role, and refuse or tell what is wrong with them.

    Parameters
    ----------
    formats
        Inferred fields by name.
    columns
        Role to column.

    Raises
    ------
    DataError
        When a time or all labels are missing, a label was known before its event, an amount is
        beyond ±1e11, or the id is none: names the row and the way out.
    """
    label = label_field(columns["label"], formats)
    request = fraud_task(columns, numbers=numbers, formats=formats).request
    late = [known_at_field(columns["known_at"], formats)] if "known_at" in columns else []
    table, rows = read_columns(source, Schema((*request.fields, label, *late)))
    if not table.n_rows:
        raise DataError(f"{source.name} has no rows, so there is nothing to learn from.")
    check_target(table[label.name], label)
    answer, said = outcomes_of(table[label.name], label)
    refuse_rows(table, columns, rows)
    odd = Oddities(columns)
    odd.add(table, rows)
    order = np.argsort(table[columns["time"]], kind="stable")
    told = [said] if said else []
    if not bool((order[1:] > order[:-1]).all()):
        told.append("rows were out of order and are taken in the order of their times")
        table, rows = table.take(order), rows[order]
    table, rows, repeated = _once(table, rows, columns)
    told += repeated + odd.told
    codes = label_codes(table[label.name], list(answer.outcomes)).astype(np.float64)
    return Events(
        columns=table.only(request.names),
        y=np.where(codes < 0, np.nan, codes),
        rows=rows,
        answer=answer,
        known_at=table[columns["known_at"]] if late else None,
        told=tuple(told),
    )


def outcomes_of(values: Array, field: Field) -> tuple[Decision, str]:
    """Return the answer whose second outcome is the fraud, and a sentence where it was a guess.

    Examples
    --------
    >>> outcomes_of(np.array([0.0, 0.0, 1.0]), Field("fraud", "number"))[0].outcomes
    ('0', '1')
    >>> outcomes_of(np.array(["ok", "stolen", "ok"], dtype=object), Field("state", "category"))[1]
    "of 'state', 'stolen' was taken for the fraud, since it is rarer"
    """
    distinct, counts = np.unique(values[labelled(values)], return_counts=True)
    return outcomes_counted(distinct, counts, field)


def outcomes_counted(distinct: Array, counts: IntArray, field: Field) -> tuple[Decision, str]:
    """Return what `outcomes_of` does, of the different labels and how often each comes."""
    if len(distinct) != 2:
        shown = ", ".join(repr(str(value)) for value in distinct[:6])
        raise DataError(
            f"the label {field.name!r} has {len(distinct)} values ({shown}); expected two, like 0 "
            "and 1."
        )
    if field.type == "boolean":
        return Decision(outcomes=("false", "true")), ""
    names = [number_text(float(v)) if distinct.dtype.kind in "fiu" else str(v) for v in distinct]
    known = [name for name in names if name.lower() in _POSITIVE]
    if len(known) == 1:
        fraud = known[0]
        return Decision(outcomes=(names[1 - names.index(fraud)], fraud)), ""
    rarer = int(counts.argmin())
    said = f"of {field.name!r}, {names[rarer]!r} was taken for the fraud, since it is rarer"
    return Decision(outcomes=(names[1 - rarer], names[rarer])), said


def refuse_rows(table: Columns, columns: Mapping[str, str], rows: IntArray) -> None:
    """Refuse times that are missing, labels known too early and amounts that are none."""
    name = columns["time"]
    missing = np.flatnonzero(np.isnat(table[name]))
    if len(missing):
        raise DataError(
            f"row {rows[missing[0]]} has no time in {name!r} that can be read ({len(missing):,} "
            f"of {table.n_rows:,} rows have none): fill them in, or leave these rows out."
        )
    if "known_at" in columns:
        told = columns["known_at"]
        early = np.flatnonzero(table[told] < table[name])
        if len(early):
            raise DataError(
                f"row {rows[early[0]]}: its label was known at {table[told][early[0]]}, before the "
                f"event itself ({len(early):,} rows): such a label would leak; correct {told!r}, "
                f"or leave it out with --column ignore={told}."
            )
    amount = columns.get(AMOUNT)
    if amount is not None:
        beyond = np.flatnonzero(np.abs(table[amount]) > LARGEST)
        if len(beyond):
            raise DataError(
                f"row {rows[beyond[0]]} has {table[amount][beyond[0]]!r} in {amount!r}, beyond "
                "±1e11; expected money, or nothing where it is missing."
            )


def refuse_repeats(repeated: int, n_rows: int, name: str) -> None:
    """Refuse a column of event ids most of which are not another for each row."""
    if repeated > _MOST_REPEATED * n_rows:
        raise DataError(
            f"{name!r} repeats in {repeated:,} of {n_rows:,} rows, so it is no id of events; name "
            f"another with --column id=NAME, or say --column ignore={name}."
        )


def _once(
    table: Columns, rows: IntArray, columns: Mapping[str, str]
) -> tuple[Columns, IntArray, list[str]]:
    """Keep the first row of each event id."""
    if "id" not in columns:
        return table, rows, []
    keys = table[columns["id"]]
    seen: dict[object, int] = {}
    keep = np.array([key is None or seen.setdefault(key, i) == i for i, key in enumerate(keys)])
    repeated = int((~keep).sum())
    refuse_repeats(repeated, len(keys), columns["id"])
    if not repeated:
        return table, rows, []
    said = f"{repeated:,} rows repeat an id of `{columns['id']}` and count once"
    return table.take(keep), rows[keep], [said]


class Oddities:
    """Counts amounts and keys that are missing or strange, batch by batch, and tells them.

    Parameters
    ----------
    columns
        Role to column.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._columns = columns
        self._counts: dict[str, int] = {}
        self._first: dict[str, int] = {}

    def add(self, table: Columns, rows: IntArray) -> None:
        """Look at some rows."""
        if AMOUNT in self._columns:
            amount = table[self._columns[AMOUNT]]
            self._count("amount", np.isnan(amount), rows)
            self._count("negative", amount < 0, rows)
        for role in ("entity", "other"):
            if role in self._columns:
                keys = table[self._columns[role]]
                gone = np.fromiter((key is None for key in keys), np.bool_, len(keys))
                self._count(role, gone, rows)

    @property
    def told(self) -> list[str]:
        """One sentence for each kind that was met."""
        return [
            f"{count:,} rows (the first is {self._first[what]}) {_ODD[what]}"
            for what, count in self._counts.items()
        ]

    def _count(self, what: str, mask: Array, rows: IntArray) -> None:
        found = np.flatnonzero(mask)
        if len(found):
            self._counts[what] = self._counts.get(what, 0) + len(found)
            first = int(rows[found].min())
            self._first[what] = min(self._first.get(what, first), first)


_ODD = {
    "amount": "have no amount: it is missing, never taken for 0",
    "negative": "have a negative amount: taken as it is, with nothing at stake",
    "entity": "have no entity: its features are missing there",
    "other": "have no other: its features are missing there",
}
