"""The label of a table: read whole, judged in words, kept in part where there is very much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.answer import Answer, Class, Number
from promise.data.columns import Array, IntArray
from promise.data.schema import Schema
from promise.data.source import Source
from promise.data.target import check_target, infinite, label_answer, labelled
from promise.errors import DataError, near
from promise.kernels.parsing import label_codes, parse_columns
from promise.kernels.rows import row_hash
from promise.metrics.pointwise import metrics_for

_LABELS = 2_000_000
"""Labels of more rows than this are kept for a hashed part of them only."""


@dataclass(frozen=True)
class Label:
    """The label of every row of the source, or of a hashed part of a very large one.

    Parameters
    ----------
    values
        Typed values of the labelled rows that are kept, in order.
    rows
        Their row numbers in the source.
    n_source_rows
        How many rows the source has, labelled or not.
    unlabelled
        How many rows have no label and are left out.
    """

    values: Array
    rows: IntArray
    answer: Answer
    n_source_rows: int
    unlabelled: int

    @property
    def n_labelled(self) -> int:
        """How many rows have a label."""
        return self.n_source_rows - self.unlabelled

    @property
    def y(self) -> Array:
        """Class codes or float64 quantities."""
        if isinstance(self.answer, Class):
            return label_codes(self.values, list(self.answer.classes))
        return self.values.astype(np.float64)


def read_label(
    source: Source,
    schema: Schema,
    target: str,
    *,
    seed: int,
    least: int = 0,
    metric: str | None = None,
) -> Label:
    """Read and judge the target; every way in which it cannot be learned is told in words.

    Parameters
    ----------
    least
        How many rows are wanted in any case; twice as many labels are kept.
    metric
        A metric of numbers makes a target of few whole numbers a number, not a class.
    """
    if target not in schema:
        raise DataError(f"{source.name} has no column {target!r}; {near(target, schema.names)}")
    field, fields = schema[target], schema.only((target,)).to_json()
    share = max(_LABELS, 2 * least) / max(1, source.size().rows)
    limit = np.uint64(min(1.0, share) * (2**64 - 1025))
    parts, kept, n_rows, unlabelled = [], [], 0, 0
    for first, table in source.batches([target]):
        rows = np.arange(first, first + table.num_rows)
        if field.type == "number":
            _refuse_infinite(table[target], rows, target)
        values = parse_columns(table, fields)[target]
        known = labelled(values)
        n_rows, unlabelled = n_rows + len(rows), unlabelled + int((~known).sum())
        keep = row_hash(rows, seed) <= limit if share < 1 else np.ones(len(rows), dtype=np.bool_)
        parts.append(values[keep])
        kept.append(rows[keep])
    values = np.concatenate(parts) if parts else np.zeros(0)
    check_target(values, field)
    known = labelled(values)
    answer = label_answer(values[known], field)
    if field.type == "number" and metric in {m.name for m in metrics_for(Number())}:
        answer = Number()
    return Label(
        values[known],
        np.concatenate(kept)[known],
        answer,
        n_rows,
        unlabelled,
    )


def _refuse_infinite(column: Any, rows: IntArray, target: str) -> None:
    mask = infinite(column)
    if mask.any():
        raise DataError(
            f"{target!r} is infinite in row {rows[mask][0]} (rows count from 0; such rows among "
            f"{rows[0]} to {rows[-1]}: {int(mask.sum())}): nothing can be learned from that; "
            "leave these rows out, or put a number in their place."
        )
