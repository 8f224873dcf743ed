"""How good a version is on labelled rows, with intervals and the rows that it may be judged by."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.answer import Class
from promise.data.columns import Array, IntArray
from promise.data.infer import read_columns
from promise.data.schema import Field, Schema
from promise.data.source import Source
from promise.data.target import labelled
from promise.errors import DataError, near
from promise.kernels.parsing import label_codes
from promise.metrics.intervals import bootstrap_interval
from promise.metrics.pointwise import all_metrics, metric_named
from promise.pipeline.artifact import read_arrow
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.request import with_order
from promise.registry.versions import Version


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one version on one set of rows.

    Parameters
    ----------
    split
        Which rows these are, in words: the sealed holdout, or all rows of other data.
    """

    metric: str
    score: float
    interval: tuple[float, float]
    metrics: dict[str, float]
    rows: int
    unlabelled: int
    split: str
    seconds: float
    y: Array
    output: Array

    def to_json(self) -> dict[str, Any]:
        """Return what `promise evaluate --json` prints."""
        return {
            "metric": self.metric,
            "score": self.score,
            "ci": list(self.interval),
            "metrics": self.metrics,
            "rows": self.rows,
            "unlabelled": self.unlabelled,
            "split": self.split,
            "seconds": self.seconds,
        }


def evaluate(
    pipeline: Pipeline,
    version: Version,
    source: Source,
    *,
    metric: str | None = None,
    seed: int = 7,
) -> Evaluation:
    """Judge a version on labelled data.

    Where the data is what the version was trained on, only its sealed holdout rows count.
    """
    start = time.perf_counter()
    task = pipeline.task
    sealed = _sealed_rows(version, source)
    y, columns, unlabelled = _labelled_rows(pipeline, source, sealed)
    output = pipeline.output(columns)
    chosen = metric_named(metric or task.metric, task.answer)
    multipliers = _multipliers(pipeline)
    kept = "the version's sealed holdout rows" if sealed is not None else "all labelled rows"
    return Evaluation(
        metric=chosen.name,
        score=chosen.score(y, output, multipliers),
        interval=bootstrap_interval(chosen, y, output, seed=seed, multipliers=multipliers),
        metrics=all_metrics(task.answer, y, output, multipliers),
        rows=len(y),
        unlabelled=unlabelled,
        split=f"{kept} of {source.name}",
        seconds=time.perf_counter() - start,
        y=y,
        output=output,
    )


def _sealed_rows(version: Version, source: Source) -> IntArray | None:
    if version.lineage.get("fingerprint") != source.fingerprint():
        return None
    path = version.folder / "evaluation.arrow"
    return read_arrow(path)["row"].astype(np.int64) if path.is_file() else None


def _labelled_rows(
    pipeline: Pipeline, source: Source, rows: IntArray | None
) -> tuple[Array, Any, int]:
    task = pipeline.task
    if task.label is None or task.label not in source.columns:
        raise DataError(
            f"{source.name} has no column {task.label!r}, which holds the labels; "
            + near(task.label or "", source.columns)
        )
    field = label_field(task.label, pipeline)
    schema = Schema((*task.request.fields, field))
    columns, _ = read_columns(source, schema, rows)
    known = labelled(columns[task.label])
    columns = columns.take(known)
    y = columns[task.label]
    if isinstance(task.answer, Class):
        codes = label_codes(y, list(task.answer.classes))
        if (codes < 0).any():
            strange = y[codes < 0][0]
            raise DataError(
                f"label {str(strange)!r} in {source.name} is not a class of the model; "
                + near(str(strange), task.answer.classes)
            )
        y = codes
    return y, with_order(columns.only(task.request.names), task.request), int((~known).sum())


def label_field(label: str, pipeline: Pipeline) -> Field:
    """Return how the label column is read: as it was in training."""
    kept = pipeline.task.split.get("label_field")
    if kept:
        return Schema.from_json([kept]).fields[0]
    kind = "category" if isinstance(pipeline.task.answer, Class) else "number"
    return Field(label, kind, role="label")  # type: ignore[arg-type]


def _multipliers(pipeline: Pipeline) -> Array | None:
    multipliers = getattr(pipeline.decide, "multipliers", None)
    return None if multipliers is None else np.asarray(multipliers)
