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
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from promise.data.answer import Class
from promise.data.columns import Array, Columns
from promise.data.source import Source
from promise.errors import ConfigError, DataError, near
from promise.features.keyed import Keyed
from promise.kernels.reading import join_tables
from promise.pipeline.answers import MANY_CLASSES, TOP
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import PREDICTION, PROBABILITY
from promise.pipeline.request import request_from_table
from promise.state.files import whole_file

_CHUNK_ROWS = 65_536


@dataclass(frozen=True)
class Predicted:
    """What `predict_file` did."""

    rows: int
    seconds: float
    out: Path
    bad_rows: int


def predict_file(
    pipeline: Pipeline,
    source: Source,
    out: Path,
    *,
    chunk_rows: int = _CHUNK_ROWS,
    progress: Callable[[int], None] | None = None,
) -> Predicted:
    """Write one row of predictions for each input row, as CSV or Parquet by the file's ending.

    Columns are `prediction` and, for classes, `probability_<class>`; above 100 classes
    `top_<i>_class` and `top_<i>_probability` for the five likeliest.
    """
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise ConfigError(f"--out {out}: the ending must be .csv or .parquet.")
    start, rows = time.perf_counter(), 0
    with whole_file(out) as draft:
        writer: Any = None
        try:
            for columns in _requests(pipeline, source, chunk_rows):
                table = answer_table(pipeline, pipeline.predict(columns))
                writer = writer or _writer(draft, table.schema)
                writer.write_table(table)
                rows += table.num_rows
                if progress is not None:
                    progress(rows)
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise DataError(f"{source.name} has no rows, so there is nothing to predict.")
    return Predicted(rows, time.perf_counter() - start, out, source.bad_rows.count)


def _requests(pipeline: Pipeline, source: Source, chunk_rows: int) -> Iterator[Columns]:
    schema = pipeline.task.request
    keyed = pipeline.featurize if isinstance(pipeline.featurize, Keyed) else None
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
    for table in chunks:
        columns = request_from_table(table, schema)
        yield columns if keyed is None else keyed.replay_by_time(columns)


def answer_table(pipeline: Pipeline, answers: Columns) -> pa.Table:
    """Return answer columns as the Arrow table that `--out` writes."""
    arrays: dict[str, Any] = {PREDICTION: pa.array(answers[PREDICTION])}
    for name in answers:
        if name not in (PREDICTION, PROBABILITY):
            arrays[name] = _told(answers[name])
    answer = pipeline.task.answer
    if not isinstance(answer, Class):
        return pa.table(arrays)
    shares = answers[PROBABILITY]
    if answer.n_classes <= MANY_CLASSES:
        for i, name in enumerate(answer.classes):
            arrays[f"probability_{name}"] = pa.array(np.ascontiguousarray(shares[:, i]))
        return pa.table(arrays)
    names = np.array(answer.classes, dtype=object)
    top = np.argsort(-shares, axis=1, kind="stable")[:, :TOP]
    for place in range(TOP):
        code = top[:, place]
        arrays[f"top_{place + 1}_class"] = pa.array(names[code])
        arrays[f"top_{place + 1}_probability"] = pa.array(shares[np.arange(len(code)), code])
    return pa.table(arrays)


def _told(values: Array) -> Any:
    """Return a column beside the prediction; lists and objects are written as JSON."""
    if values.dtype != object:
        return pa.array(values)
    texts = (v if v is None or isinstance(v, str) else json.dumps(v) for v in values)
    return pa.array(list(texts), pa.string())


def _writer(draft: Path, schema: pa.Schema) -> Any:
    if draft.suffix.lower() == ".parquet":
        return pq.ParquetWriter(draft, schema)
    return pa_csv.CSVWriter(draft, schema)
