"""Labelled answers of a model as typed rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.answer import Answer, truths
from promise.data.columns import Array, Columns
from promise.data.schema import Field, Schema
from promise.data.target import labelled
from promise.errors import DataError
from promise.kernels.parsing import label_codes
from promise.pipeline.request import request_from_rows
from promise.records.labels import Labels
from promise.records.source import AT, ID, write_logged

_LINES_AT_ONCE = 2_000
_ADDED = (Field(ID, "category", role="id"), Field(AT, "date", role="ignore", format="iso"))


@dataclass(frozen=True)
class Logged:
    """Labelled answers, oldest first; beside them events that are only looked back on.

    Parameters
    ----------
    columns
        Those of the schema, `prediction_id` and `predicted_at`.
    label
        Name of the column of labels; it is missing where a row is only looked back on.
    strange
        Answers that teach nothing, since a value or the label is none that the version knows.
    """

    columns: Columns
    label: str
    strange: int = 0

    @property
    def labelled(self) -> Array:
        """Which rows have a label."""
        return labelled(self.columns[self.label])

    @property
    def n_labelled(self) -> int:
        """How many rows have a label."""
        return int(self.labelled.sum())

    @property
    def at_s(self) -> Array:
        """When each was answered, in seconds since 1970."""
        return self.columns[AT].astype(np.int64) / 1e6

    def joined(self, earlier: Columns) -> Logged:
        """Return these and the ones that earlier runs read and the log may have let go since.

        Of an answer in both only the newer reading stays: its label may have been corrected.
        """
        seen = set(self.columns[ID].tolist())
        gone = np.array([id not in seen for id in earlier[ID]], dtype=np.bool_)
        columns = Columns.concat([earlier.take(gone), self.columns])
        return replace(self, columns=columns).sorted()

    def told_when(self, known_at: str, labels: Labels, as_of: datetime) -> Logged:
        """Fill a column with when each label became known, so that no row looks ahead at it."""
        ids, when = self.columns[ID], self.columns[known_at].copy()
        untold = np.flatnonzero(np.isnat(when))
        found = labels.newest(ids[untold].tolist(), as_of=as_of)
        for row in untold:
            if ids[row] in found:
                when[row] = np.datetime64(_naive(found[ids[row]].known_at), "us")
        return replace(self, columns=self.columns.with_columns({known_at: when}))

    def sorted(self) -> Logged:
        """Return them in the order in which they were answered."""
        order = np.lexsort((self.columns[ID].astype(str), self.columns[AT]))
        return replace(self, columns=self.columns.take(order))


def with_ids(schema: Schema) -> Schema:
    """Return a schema with the two columns that tell one logged answer from another."""
    return Schema((*schema.fields, *_ADDED))


def read_logged(
    folder: Path,
    model: str,
    labels: Labels,
    *,
    to: Path,
    schema: Schema,
    answer: Answer,
    as_of: datetime,
    unlabelled: bool = False,
) -> Logged:
    """Return the labelled answers, of labels known by a moment.

    Parameters
    ----------
    folder
        Of the prediction log.
    to
        The JSON Lines file through which they come.
    schema
        Of the rows, the label last; a column that no request has is missing.
    unlabelled
        Whether answers without a label that the version knows are among them.
    """
    label = schema.fields[-1].name
    write_logged(folder, model, labels, to, as_of=as_of, label=label, unlabelled=unlabelled)
    with to.open(encoding="utf-8") as file:
        logged = typed_rows(map(json.loads, file), schema, answer, unlabelled=unlabelled)
    to.unlink()
    return logged.sorted()


def typed_rows(
    rows: Iterator[dict[str, Any]], schema: Schema, answer: Answer, *, unlabelled: bool
) -> Logged:
    """Return rows that tell `prediction_id` and `predicted_at` as the schema types them.

    Parameters
    ----------
    schema
        Of the rows, the label last.
    unlabelled
        Whether rows stay whose label is missing, or none that the version knows.
    """
    label, wanted = schema.fields[-1].name, with_ids(schema)
    parts, strange = [typed([], wanted)[0]], 0
    for block in _blocks(rows):
        fitting, misfits = typed(block, wanted)
        told, known = labelled(fitting[label]), _known(fitting[label], answer)
        strange += misfits + int((told & ~known).sum())
        if unlabelled:
            parts.append(fitting.with_columns({label: _blanked(fitting[label], ~known)}))
        else:
            parts.append(fitting.take(known))
    return Logged(Columns.concat(parts), label, strange)


def _blanked(labels: Array, where: Array) -> Array:
    """Return labels of which some are missing."""
    blank = labels.copy()
    blank[where] = None if labels.dtype.kind == "O" else np.nan
    return blank


def _blocks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while block := list(islice(rows, _LINES_AT_ONCE)):
        yield block


def typed(rows: list[dict[str, Any]], schema: Schema) -> tuple[Columns, int]:
    """Return rows as the schema types them, and how many do not fit it and are left out."""
    cut = [{name: row[name] for name in schema.names if name in row} for row in rows]
    try:
        return request_from_rows(cut, schema).only(schema.names), 0
    except (DataError, ValueError, TypeError):
        good = [row for row in cut if _fits(row, schema)]
        return request_from_rows(good, schema).only(schema.names), len(cut) - len(good)


def _fits(row: Mapping[str, Any], schema: Schema) -> bool:
    try:
        request_from_rows([row], schema)
    except (DataError, ValueError, TypeError):
        return False
    return True


def _known(values: Array, answer: Answer) -> Array:
    """Return which labels the version can learn from."""
    classes = truths(answer)
    known = labelled(values)
    return known & (label_codes(values, list(classes)) >= 0) if classes else known


def _naive(moment: datetime) -> datetime:
    """Return a moment in UTC without its zone, as NumPy's times are."""
    return moment.astimezone(UTC).replace(tzinfo=None)
