"""The question a table asks: which class, or how much."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from promise.data.answer import Class
from promise.data.schema import Schema
from promise.pipeline.task import Task
from promise.workloads.tabular.table import Table

NAME = "tabular"


def table_task(
    table: Table, metric: str, *, ordered: bool = False, reads: Collection[str] = ()
) -> Task:
    """Return the task of a loaded table; its last resort is the training prior.

    Parameters
    ----------
    ordered, reads
        As for `request_schema`.
    """
    y = table.y[table.train]
    if isinstance(table.answer, Class):
        heuristic = np.bincount(y, minlength=table.answer.n_classes) / len(y)
    else:
        heuristic = np.array([y.mean()])
    return Task(
        workload=NAME,
        request=request_schema(table, ordered=ordered, reads=reads),
        answer=table.answer,
        label=table.target,
        metric=metric,
        split={**table.split.to_json(), "label_field": label_field(table)},
        heuristic=tuple(float(share) for share in heuristic),
    )


def request_schema(table: Table, *, ordered: bool, reads: Collection[str] = ()) -> Schema:
    """Return the fields of a request: the inputs, and what orders rows where a model reads that.

    Parameters
    ----------
    ordered
        Whether a model reads the rows before a row.
    reads
        The columns that the features read. A time that is read for its calendar alone is an input
        like others: rows need no order for it.
    """
    order = ("time", "entity") if ordered else ()
    names = {field.name for field in table.schema.inputs}
    names |= {field.name for field in table.schema if field.role in order}
    calendar = {name for name in table.fed if name in reads} - names
    return Schema(
        tuple(
            replace(field, role="input") if field.name in calendar else field
            for field in table.schema
            if field.name in names | calendar
        )
    )


def label_field(table: Table) -> dict[str, object]:
    """Return how the label column is read, as a JSON field."""
    found: dict[str, object] = table.schema.only((table.target,)).to_json()[0]
    return found
