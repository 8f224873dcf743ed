"""How good a version is on labelled rows, with intervals and the rows that it may be judged by."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from promise.data.answer import Labels, truths
from promise.data.columns import Array, Columns, IntArray
from promise.data.infer import read_columns
from promise.data.schema import Field, Schema
from promise.data.source import Source
from promise.data.target import labelled
from promise.engine.memory import MemoryWatch
from promise.errors import DataError, near
from promise.features.keyed import SEEN, Keyed
from promise.kernels.multilabel import coded, label_sets
from promise.kernels.parsing import label_codes
from promise.metrics.intervals import bootstrap_interval
from promise.metrics.pointwise import all_metrics, metric_named
from promise.pipeline.artifact import read_arrow
from promise.pipeline.holdout import HoldoutRule, group_codes
from promise.pipeline.order import Later, workload_named
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.request import with_order
from promise.pipeline.task import Task
from promise.registry.versions import Version


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one version on one set of rows.

    Parameters
    ----------
    split
        Which rows these are, in words: the sealed holdout, or all rows of other data.
    groups
        Group of each row where the version's split keeps groups whole; intervals resample them.
    """

    metric: str
    score: float
    interval: tuple[float, float]
    metrics: dict[str, float]
    rows: int
    unlabelled: int
    split: str
    seconds: float
    peak_memory_mb: float
    y: Array
    output: Array
    groups: IntArray | None = None

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
            "peak_memory_mb": self.peak_memory_mb,
        }


def evaluate(
    pipeline: Pipeline,
    version: Version,
    source: Source,
    *,
    metric: str | None = None,
    seed: int = 7,
    rows: IntArray | None = None,
) -> Evaluation:
    """Judge a version on labelled data.

    Where the data is what the version was trained on, only its sealed holdout rows count.

    Parameters
    ----------
    rows
        Only these row numbers, sorted, count; the others are what keyed features look back on.
    """
    watch = MemoryWatch()
    watch.start()
    try:
        judged = _judge(pipeline, version, source, metric, seed, rows)
        return replace(judged, peak_memory_mb=watch.peak_mb)
    finally:
        watch.stop()


def _judge(
    pipeline: Pipeline,
    version: Version,
    source: Source,
    metric: str | None,
    seed: int,
    asked: IntArray | None,
) -> Evaluation:
    start = time.perf_counter()
    task = pipeline.task
    own = workload_named(task.workload).judge
    if own is not None:
        return _by_later(own(pipeline, source, version.lineage), task, metric, seed, start)
    sealed = sealed_rows(version, source) if asked is None else asked
    rule = HoldoutRule.of(task, version.lineage)
    group = rule.field if rule is not None and rule.grouped else None
    if group is not None and group.name not in source.columns:
        group = None
    y, columns, groups, unlabelled = _labelled_rows(pipeline, source, sealed, group)
    output = pipeline.output(columns)
    more = workload_named(task.workload).measure
    told = {} if more is None else more(pipeline, y, output, columns)
    chosen = metric_named(metric or task.metric, task.answer)
    multipliers = pipeline.multipliers
    kept = "the version's sealed holdout rows" if sealed is not None else "all labelled rows"
    if asked is not None:
        kept = "the rows asked for"
    return Evaluation(
        metric=chosen.name,
        score=chosen.score(y, output, multipliers),
        interval=bootstrap_interval(
            chosen, y, output, seed=seed, multipliers=multipliers, groups=groups
        ),
        metrics=all_metrics(task.answer, y, output, multipliers) | told,
        rows=len(y),
        unlabelled=unlabelled,
        split=f"{kept} of {source.name}",
        seconds=time.perf_counter() - start,
        peak_memory_mb=0.0,
        y=y,
        output=output,
        groups=groups,
    )


def _by_later(later: Later, task: Task, metric: str | None, seed: int, start: float) -> Evaluation:
    """Return the evaluation of lists by what happened later."""
    chosen = metric_named(metric or task.metric, task.answer)
    y, output = later.y, later.output
    return Evaluation(
        metric=chosen.name,
        score=chosen.score(y, output),
        interval=bootstrap_interval(chosen, y, output, seed=seed),
        metrics=all_metrics(task.answer, y, output) | later.metrics,
        rows=len(y),
        unlabelled=0,
        split=later.split,
        seconds=time.perf_counter() - start,
        peak_memory_mb=0.0,
        y=y,
        output=output,
    )


def sealed_rows(version: Version, source: Source) -> IntArray | None:
    """Return the rows that a version held out of this data; None where it was not trained on it."""
    if version.lineage.get("fingerprint") != source.fingerprint():
        return None
    path = version.folder / "evaluation.arrow"
    return read_arrow(path)["row"].astype(np.int64) if path.is_file() else None


def _labelled_rows(
    pipeline: Pipeline, source: Source, rows: IntArray | None, group: Field | None
) -> tuple[Array, Columns, IntArray | None, int]:
    task = pipeline.task
    if task.label is None or task.label not in source.columns:
        raise DataError(
            f"{source.name} has no column {task.label!r}, which holds the labels; "
            + near(task.label or "", source.columns)
        )
    field = label_field(task.label, pipeline)
    more = (group,) if group is not None and group.name not in task.request else ()
    late = known_at_field(task)
    told = () if late is None or late.name not in source.columns else (late,)
    schema = Schema((*task.request.fields, field, *more, *told))
    keyed = pipeline.featurize if isinstance(pipeline.featurize, Keyed) else None
    columns, numbers = read_columns(source, schema, rows if keyed is None else None)
    if keyed is not None:
        columns = _seen(keyed, columns, task, rows, numbers)
    known = labelled(columns[task.label])
    columns = columns.take(known)
    y = columns[task.label]
    if truths(task.answer):
        y = _codes(y, task, source)
    elif isinstance(task.answer, Labels):
        y = label_texts(y, task.answer, source.name)
    names = [*task.request.names, *([] if keyed is None else [SEEN])]
    request = with_order(columns.only(names), task.request)
    groups = None if group is None else group_codes(columns[group.name])
    return y, request, groups, int((~known).sum())


def _seen(
    keyed: Keyed, columns: Columns, task: Task, rows: IntArray | None, numbers: IntArray
) -> Columns:
    """Return the rows asked for with what each saw of all rows before it."""
    told = columns[task.label or ""]
    codes = label_codes(told, list(truths(task.answer))).astype(np.float64)
    late = known_at_field(task)
    when = {"known_at": columns[late.name]} if late is not None and late.name in columns else {}
    labels = Columns({"label": np.where(codes < 0, np.nan, codes), **when})
    seen = keyed.replay_by_time(columns, labels)
    return seen if rows is None else seen.take(np.isin(numbers, rows))


def _codes(y: Array, task: Task, source: Source) -> IntArray:
    """Return labels as codes, or say which of them the model does not know."""
    known = truths(task.answer)
    codes = label_codes(y, list(known))
    if (codes < 0).any():
        strange = y[codes < 0][0]
        raise DataError(
            f"label {str(strange)!r} in {source.name} is not a class of the model; "
            + near(str(strange), known)
        )
    return codes


def label_texts(y: Array, answer: Labels, name: str) -> Array:
    """Return cells of several labels as metrics read them, or say which the model does not know."""
    codes = {label: code for code, label in enumerate(answer.labels)}
    truth = np.zeros((len(y), len(codes)), dtype=np.bool_)
    for row, labels in enumerate(label_sets(y.tolist())):
        for label in labels:
            if label not in codes:
                raise DataError(
                    f"label {label!r} in {name} is none of the model's; {near(label, codes)}"
                )
            truth[row, codes[label]] = True
    return coded(truth)


def known_at_field(task: Task) -> Field | None:
    """Return how the time is read at which a label became known; None where no column tells."""
    kept = task.split.get("known_at_field")
    return Schema.from_json([kept]).fields[0] if kept else None


def label_field(label: str, pipeline: Pipeline) -> Field:
    """Return how the label column is read: as it was in training."""
    kept = pipeline.task.split.get("label_field")
    if kept:
        return Schema.from_json([kept]).fields[0]
    named = bool(truths(pipeline.task.answer)) or isinstance(pipeline.task.answer, Labels)
    kind = "category" if named else "number"
    return Field(label, kind, role="label")  # type: ignore[arg-type]
