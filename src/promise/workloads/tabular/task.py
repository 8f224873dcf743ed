"""The question a table asks: which class, or how much."""

from __future__ import annotations

import numpy as np

from promise.data.answer import Class
from promise.data.schema import Schema
from promise.pipeline.task import Task
from promise.workloads.tabular.table import Table

NAME = "tabular"


def table_task(table: Table, metric: str) -> Task:
    """Return the task of a loaded table; its last resort is the training prior."""
    y = table.y[table.train]
    if isinstance(table.answer, Class):
        heuristic = np.bincount(y, minlength=table.answer.n_classes) / len(y)
    else:
        heuristic = np.array([y.mean()])
    return Task(
        workload=NAME,
        request=request_schema(table),
        answer=table.answer,
        label=table.target,
        metric=metric,
        split=table.split.to_json(),
        heuristic=tuple(float(share) for share in heuristic),
    )


def request_schema(table: Table) -> Schema:
    """Return the fields of a request: the inputs only."""
    return table.schema.only(tuple(field.name for field in table.schema.inputs))
