"""What the live version learned from and was judged by, as far as it can be read again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.answer import Labels, truths
from promise.data.columns import Array, Columns, IntArray
from promise.data.infer import read_columns
from promise.data.lineage import open_again
from promise.data.schema import Field, Schema
from promise.data.source import Source, open_source
from promise.data.split import TRAIN as LEARNED
from promise.errors import DataError, PromiseError
from promise.features.keyed import Keyed
from promise.kernels.parsing import label_codes, parse_columns
from promise.pipeline.artifact import read_arrow
from promise.pipeline.holdout import HoldoutRule
from promise.pipeline.pipeline import Pipeline
from promise.registry.versions import Version
from promise.state.moments import from_text
from promise.training.evaluate import label_field, label_texts

META = "retraining.json"
TRAIN, JUDGE, LOGGED = "train.parquet", "judge.parquet", "logged.parquet"


@dataclass(frozen=True)
class Part:
    """Some rows of a source, typed, as often as asked for.

    Parameters
    ----------
    keep
        Row numbers and their typed columns to which of them belong to the part.
    """

    source: Source
    keep: Callable[[IntArray, Columns], Array]

    def batches(self, schema: Schema) -> Iterator[Columns]:
        """Yield the part's rows, those that have any, batch by batch."""
        for first, table in self.source.batches(list(schema.names)):
            columns = Columns(parse_columns(table, schema.to_json()))
            kept = self.keep(np.arange(first, first + table.num_rows, dtype=np.int64), columns)
            if kept.any():
                yield columns.take(kept)


@dataclass(frozen=True)
class Base:
    """Where a retraining begins.

    Parameters
    ----------
    history
        Rows to learn from again; None where they are gone.
    sealed
        Rows that no version learned from, set apart for good.
    since
        Answers from then on cannot be among those rows.
    logged
        File of the labelled answers that earlier retrainings read already.
    cutoff_s
        Answers before this moment (seconds since 1970) may have been learned from, where time
        sets the judged rows apart.
    split
        The rule that set `sealed` apart, as the task keeps it.
    note
        In words.
    """

    history: Part | None
    sealed: Part | None
    since: datetime
    split: dict[str, Any]
    note: str
    logged: Path | None = None
    cutoff_s: float | None = None


def rows_of(part: Part | None, schema: Schema) -> Iterator[Columns]:
    """Yield a part's rows batch by batch; none where there is no part."""
    if part is not None:
        yield from part.batches(schema)


def is_ordered(pipeline: Pipeline) -> bool:
    """Say whether a row is answered by the rows before it, so that none may be left out."""
    return pipeline.task.request.find("time") is not None or isinstance(pipeline.featurize, Keyed)


def data_schema(version: Version, pipeline: Pipeline) -> Schema:
    """Return every column that the version's data has, typed as it was read; the label is last.

    Raises
    ------
    DataError
        When the version's labels are no column, so that answers cannot be joined to it.
    """
    task = pipeline.task
    if task.label is None:
        raise DataError(f"{version} learns from no column of labels; train it by hand.")
    known = Schema.from_json(list(version.lineage.get("schema", [])))
    fields: dict[str, Field] = {field.name: field for field in known}
    fields |= {field.name: field for field in task.request}
    fields.pop(task.label, None)
    return Schema((*fields.values(), label_field(task.label, pipeline)))


def base_of(version: Version, pipeline: Pipeline, folder: Path | None) -> Base:
    """Return what a version was trained on, in a retraining's own folder or as it came.

    Parameters
    ----------
    folder
        Of the retraining that made the version; None where none did.
    """
    if folder is not None:
        kept = _kept(version, folder)
        if kept is not None:
            return kept
    split = dict(pipeline.task.split)
    try:
        source = open_again(version.lineage)
        sealed = _sealed(version, pipeline, source)
    except PromiseError as error:
        note = f"the data of {version} is gone ({error}); only logged answers are learned from"
        return Base(None, None, version.created, split, note)
    if is_ordered(pipeline):
        everything = Part(source, lambda rows, _: np.ones(len(rows), dtype=np.bool_))
        note = f"{source.name}, whose rows look back on one another, as it is"
        return Base(everything, None, version.created, split, note)
    note = f"{source.name} without the {len(sealed):,} rows that {version} sealed"
    return Base(
        history=Part(source, _learnable(version, pipeline, sealed)),
        sealed=Part(source, lambda rows, _: np.isin(rows, sealed)),
        since=version.created,
        split=split,
        note=note,
    )


def _learnable(
    version: Version, pipeline: Pipeline, sealed: IntArray
) -> Callable[[IntArray, Columns], Array]:
    """Return which rows of a version's data may be learned from: none of what its rule sealed.

    A version may have seen a sample only; then rows that it never read lie in the sealed time or
    groups, too. Rows that were added behind the others are newer than any sealed time.
    """
    rule = HoldoutRule.of(pipeline.task, version.lineage)
    n_known = int(version.lineage.get("n_source_rows", 0))

    def keep(rows: IntArray, columns: Columns) -> Array:
        kept = ~np.isin(rows, sealed)
        if rule is None or rule.field is None:
            return np.asarray(kept)
        learnable = rule.sides(rows, columns) == LEARNED
        return np.asarray(kept & (learnable if rule.grouped else learnable | (rows >= n_known)))

    return keep


def _kept(version: Version, folder: Path) -> Base | None:
    """Return what a retraining kept of itself; None where that is gone or of another version."""
    if not all((folder / name).is_file() for name in (META, TRAIN, JUDGE, LOGGED)):
        return None
    source = open_source(folder / TRAIN)
    if source.fingerprint() != version.lineage.get("fingerprint"):
        return None
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    n_history, n_sealed = int(meta["n_history"]), int(meta["n_sealed"])
    judge = open_source(folder / JUDGE)
    return Base(
        history=Part(source, lambda rows, _: rows < n_history) if n_history else None,
        sealed=Part(judge, lambda rows, _: rows < n_sealed) if n_sealed else None,
        since=from_text(meta["since"]),
        split=meta["split"],
        note=f"what {version} was made of",
        logged=folder / LOGGED,
        cutoff_s=meta["cutoff_s"],
    )


def _sealed(version: Version, pipeline: Pipeline, source: Source) -> IntArray:
    """Return the rows that a version held out, once they are proven to be the same rows still.

    Data that only grew has another fingerprint, but the held-out rows have their labels yet.
    """
    path = version.folder / "evaluation.arrow"
    if not path.is_file():
        raise DataError("the version keeps no holdout rows")
    kept = read_arrow(path)
    order = np.argsort(kept["row"], kind="stable")
    rows: IntArray = kept["row"][order].astype(np.int64)
    if source.fingerprint() != version.lineage.get("fingerprint"):
        found = _labels(pipeline, source, rows)
        if len(found) != len(rows) or not np.array_equal(found, kept["y"][order]):
            raise DataError(f"{source.name} is not what it was when {version} was trained")
    return rows


def _labels(pipeline: Pipeline, source: Source, rows: IntArray) -> Array:
    """Return the labels of some rows, as class codes or numbers."""
    task = pipeline.task
    assert task.label is not None, "data_schema refuses such a task"
    schema = Schema((label_field(task.label, pipeline),))
    values = read_columns(source, schema, rows)[0][task.label]
    if isinstance(task.answer, Labels):
        return label_texts(values, task.answer, source.name)
    known = truths(task.answer)
    return label_codes(values, list(known)) if known else values.astype(np.float64)
