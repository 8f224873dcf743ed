"""Predictions for a file of any size: in input order, in bounded memory, whole or absent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from promise.data.answer import Class, Labels
from promise.data.columns import Array, Columns
from promise.data.source import Source
from promise.engine.local import LocalEngine
from promise.errors import DataError, near
from promise.features.keyed import Keyed
from promise.kernels.plain_tables import join_tables
from promise.pipeline.answers import MANY_CLASSES, TOP
from promise.pipeline.artifact import load_pipeline
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import PREDICTION, PROBABILITY
from promise.pipeline.request import request_from_table
from promise.registry.versions import Version
from promise.training.outputs import FileOutput, Output
from promise.training.parts import Parts, digest_of, write_part

_CHUNK_ROWS = 65_536


@dataclass(frozen=True)
class Predicted:
    """What `predict_file` did."""

    rows: int
    seconds: float
    out: str
    bad_rows: int


def predict_file(
    pipeline: Pipeline,
    source: Source,
    out: Path | Output,
    *,
    chunk_rows: int = _CHUNK_ROWS,
    progress: Callable[[int], None] | None = None,
    version: Version | None = None,
    resume: bool = False,
    workers: int = 1,
) -> Predicted:
    """Write one row of predictions for each input row: to a file by its ending, or to a table.

    Columns are `prediction` and, for classes, `probability_<class>`; above 100 classes
    `top_<i>_class` and `top_<i>_probability` for the five likeliest.

    Parameters
    ----------
    out
        A path that ends in .csv or .parquet, or what `output_of` makes of a database's URL.
    version
        Whose pipeline it is; needed for `workers` above 1.
    resume
        Whether the chunks that a killed run answered are kept: nothing is lost or there twice.
    workers
        Processes that answer chunks side by side; what reads windows of events has one alone.
    """
    to = FileOutput(out) if isinstance(out, Path) else out
    to.check()
    start, parts, rows, n = time.perf_counter(), to.parts, 0, 0
    terms = {
        "version": None if version is None else f"{version} {version.digest[:12]}",
        "data": f"{source.name} {source.fingerprint()}",
        "chunk_rows": chunk_rows,
    }
    folder = version.folder if version is not None and workers > 1 else None
    with parts.begun(terms, resume=resume):
        chunks = _chunks(pipeline, source, chunk_rows)
        for done in (
            _in_turn(pipeline, chunks, parts)
            if folder is None
            else _side_by_side(folder, chunks, parts, workers)
        ):
            rows, n = rows + done, n + 1
            if progress is not None:
                progress(rows)
        if not n:
            raise DataError(f"{source.name} has no rows, so there is nothing to predict.")
        to.write(parts.tables(n))
    return Predicted(rows, time.perf_counter() - start, to.name, source.bad_rows.count)


def _in_turn(pipeline: Pipeline, chunks: Iterator[pa.Table], parts: Parts) -> Iterator[int]:
    """Answer the chunks that have no part yet; yield the rows of each."""
    for number, table in enumerate(chunks):
        asked = digest_of(table)
        if not parts.answers(number, asked):
            write_part(parts.path(number), answer_chunk(pipeline, table), asked)
        yield table.num_rows


def _side_by_side(
    folder: Path, chunks: Iterator[pa.Table], parts: Parts, workers: int
) -> Iterator[int]:
    """Answer the chunks that have no part yet in several processes; yield the rows of each."""
    jobs = (
        PartJob(folder, table, parts.path(number), asked, parts.answers(number, asked))
        for number, (table, asked) in enumerate((table, digest_of(table)) for table in chunks)
    )
    with LocalEngine(threads=workers, memory_mb=None) as engine:
        yield from engine.map_batches(answer_part, jobs, workers=workers)


@dataclass(frozen=True)
class PartJob:
    """One chunk for another process.

    Parameters
    ----------
    folder
        The version's.
    asked
        The digest of the rows.
    kept
        Whether an earlier run answered it.
    """

    folder: Path
    table: pa.Table
    path: Path
    asked: str
    kept: bool


def answer_part(job: PartJob) -> int:
    """Answer one chunk into its part; return its rows."""
    if not job.kept:
        write_part(job.path, answer_chunk(load_pipeline(job.folder), job.table), job.asked)
    return int(job.table.num_rows)


def answer_chunk(pipeline: Pipeline, table: pa.Table) -> pa.Table:
    """Return the answers to rows of a request as the table that `--out` writes."""
    columns = request_from_table(table, pipeline.task.request)
    if isinstance(pipeline.featurize, Keyed):
        columns = pipeline.featurize.replay_by_time(columns)
    return answer_table(pipeline, pipeline.predict(columns))


def _chunks(pipeline: Pipeline, source: Source, chunk_rows: int) -> Iterator[pa.Table]:
    """Yield the rows that the model reads, chunk by chunk."""
    schema = pipeline.task.request
    missing = [name for name in schema.names if name not in source.columns]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise DataError(
            f"{source.name} has no column {missing[0]!r}{more}, which the model reads; "
            + near(missing[0], source.columns)
        )
    chunks: Iterator[pa.Table] = (
        t for _, t in source.batches(list(schema.names), chunk_rows) if t.num_rows
    )
    if schema.find("time") is not None:  # windows reach over chunks, so all rows come at once
        tables = list(chunks)
        chunks = iter([join_tables(tables)] if tables else [])
    yield from chunks


def answer_table(pipeline: Pipeline, answers: Columns) -> pa.Table:
    """Return answer columns as the Arrow table that `--out` writes."""
    arrays: dict[str, Any] = {PREDICTION: _predicted(answers[PREDICTION])}
    for name in answers:
        if name not in (PREDICTION, PROBABILITY):
            arrays[name] = _told(answers[name])
    answer = pipeline.task.answer
    if not isinstance(answer, Class | Labels):
        return pa.table(arrays)
    shares = answers[PROBABILITY]
    known = answer.labels if isinstance(answer, Labels) else answer.classes
    if len(known) <= MANY_CLASSES:
        for i, name in enumerate(known):
            arrays[f"probability_{name}"] = pa.array(np.ascontiguousarray(shares[:, i]))
        return pa.table(arrays)
    names = np.array(known, dtype=object)
    top = np.argsort(-shares, axis=1, kind="stable")[:, :TOP]
    for place in range(TOP):
        code = top[:, place]
        arrays[f"top_{place + 1}_class"] = pa.array(names[code])
        arrays[f"top_{place + 1}_probability"] = pa.array(shares[np.arange(len(code)), code])
    return pa.table(arrays)


def _predicted(values: Array) -> Any:
    """Return the column of predictions; lists are written as JSON."""
    if values.dtype == object and any(isinstance(value, list) for value in values[:1].tolist()):
        return _told(values)
    return pa.array(values)


def _told(values: Array) -> Any:
    """Return a column beside the prediction; lists and objects are written as JSON."""
    if values.dtype != object:
        return pa.array(values)
    texts = (v if v is None or isinstance(v, str) else json.dumps(v) for v in values)
    return pa.array(list(texts), pa.string())
