"""The holdout's rule survives the way through a task, and missing groups are one group."""

from __future__ import annotations

import numpy as np

from promise.data.answer import Class, Number
from promise.data.columns import Columns
from promise.data.schema import Field, Schema
from promise.data.split import Split
from promise.pipeline.holdout import HoldoutRule
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import Threshold
from promise.pipeline.task import Task


def task(split: Split | None) -> Task:
    kept = {} if split is None else {**split.to_json(), "label_field": {"name": "y"}}
    return Task("tabular", Schema((Field("x", "number"),)), Number(), "y", "r2", kept)


def test_the_rule_reads_a_column_that_requests_do_not_have() -> None:
    lineage = {"schema": Schema((Field("day", "date", role="time"),)).to_json()}
    split = Split("temporal", 0.2, 7, "day", "2024-01-03", 86400.0)
    rule = HoldoutRule.of(task(split), lineage)
    assert rule is not None
    assert rule.by_row
    assert rule.field is not None
    days = np.array(["2024-01-01", "2024-01-02", "2024-01-03", "NaT"], dtype="M8[us]")
    assert rule.sides(np.arange(4), Columns({"day": days})).tolist() == [0, -1, 1, -1]


def test_a_task_without_a_split_has_no_rule() -> None:
    assert HoldoutRule.of(task(None), {}) is None


def test_a_pipeline_tells_the_multipliers_of_its_policy() -> None:
    policy = Threshold(Class(("no", "yes")), (1.0, 3.0))
    pipeline = Pipeline(task(None), score=None, decide=policy)  # type: ignore[arg-type]
    assert pipeline.multipliers is not None
    assert pipeline.multipliers.tolist() == [1.0, 3.0]
    plain = Pipeline(task(None), score=None, decide=Threshold())  # type: ignore[arg-type]
    assert plain.multipliers is None
