"""The rule that set a version's holdout apart, for rows that are read anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from promise.data.columns import Array, Columns, IntArray
from promise.data.schema import Field, Schema
from promise.data.split import Split
from promise.pipeline.task import Task


@dataclass(frozen=True)
class HoldoutRule:
    """A split and how the column that it reads is typed.

    Parameters
    ----------
    field
        The time or group column; None for rules that hash row numbers.
    """

    split: Split
    field: Field | None

    @classmethod
    def of(cls, task: Task, lineage: Mapping[str, Any]) -> HoldoutRule | None:
        """Return the rule of a version, or None where its task has no split."""
        known = {each.name for each in fields(Split)}  # what else is kept is the workload's own
        kept = {key: value for key, value in task.split.items() if key in known}
        if "kind" not in kept:
            return None
        split = Split.from_json(kept)
        if split.column is None:
            return cls(split, None)
        return cls(split, Schema.from_json(list(lineage.get("schema", [])))[split.column])

    @property
    def by_row(self) -> bool:
        """Whether each row is judged by itself; a stratified rule wants the same rows again."""
        return self.split.kind != "stratified"

    @property
    def grouped(self) -> bool:
        """Whether whole groups are sealed, so that intervals must resample whole groups."""
        return self.split.kind == "grouped"

    def sides(self, rows: IntArray, columns: Columns) -> Array:
        """Return 0 for rows to learn from, 1 for sealed rows, -1 for rows to drop."""
        values = None if self.field is None else columns[self.field.name]
        return self.split.holdout(rows, time=values, group=values)


def group_codes(values: Array) -> IntArray:
    """Return one number for each distinct value; all missing ones are one group.

    Examples
    --------
    >>> group_codes(np.array(["b", None, "b"], dtype=object))
    array([1, 0, 1])
    """
    return np.asarray(np.unique(values.astype(str), return_inverse=True)[1], dtype=np.int64)
