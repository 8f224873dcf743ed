"""One streaming pass over a source: what its columns hold, in memory that rows do not change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from promise.clock import Clock, SystemClock
from promise.data.columns import Array, Columns, IntArray
from promise.data.schema import Schema
from promise.data.source import Source
from promise.errors import DataError, near
from promise.kernels.parsing import parse_column
from promise.profiling.association import association
from promise.profiling.column import ColumnProfile
from promise.profiling.guesses import guess
from promise.profiling.rows import RowRepeats, RowSample
from promise.profiling.tally import ColumnTally

CHUNK_ROWS = 262_144
_SAMPLE_CELLS = 20_000_000
_SKETCH_WORDS = 16_000_000


@dataclass(frozen=True)
class Profile:
    """What one pass found.

    Parameters
    ----------
    duplicates, duplicates_checked
        Share of rows that repeat an earlier one (identifiers left aside), and from how many rows
        it is computed; exact when that is all of them.
    sample, sample_rows
        Typed columns of a uniform sample of rows, and these rows' numbers, ascending.
    bad_rows
        Rows that could not be read and were left out.
    """

    n_rows: int
    n_columns: int
    columns: tuple[ColumnProfile, ...]
    duplicates: float
    duplicates_checked: int
    sample: Columns
    sample_rows: IntArray
    seconds: float
    bad_rows: int = 0
    target: str | None = None

    def __getitem__(self, name: str) -> ColumnProfile:
        for column in self.columns:
            if column.name == name:
                return column
        raise DataError(
            f"there is no column {name!r}; {near(name, [c.name for c in self.columns])}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary, without the sample."""
        return {
            "n_rows": self.n_rows,
            "n_columns": self.n_columns,
            "target": self.target,
            "duplicates": self.duplicates,
            "duplicates_checked": self.duplicates_checked,
            "sample_rows": len(self.sample_rows),
            "bad_rows": self.bad_rows,
            "seconds": self.seconds,
            "columns": [column.to_json() for column in self.columns],
        }


def profile_source(
    source: Source,
    schema: Schema,
    *,
    target: str | None = None,
    threads: int = 1,
    sample_rows: int = 20_000,
    seed: int = 7,
    clock: Clock | None = None,
    progress: Callable[[int], None] | None = None,
) -> Profile:
    """Profile every column of the schema in one pass, whatever the number of rows.

    Parameters
    ----------
    target
        Column whose association with every other is measured.
    threads
        Columns counted at the same time; the result does not depend on it.
    sample_rows
        Size of the uniform row sample; fewer for tables of over a thousand columns.
    progress
        Called after each batch with the rows read so far.

    Raises
    ------
    DataError
        When the target is not a column, or the source cannot be read.
    """
    if target is not None and target not in schema:
        raise DataError(f"there is no column {target!r}; {near(target, schema.names)}")
    clock = clock or SystemClock()
    started = clock.monotonic()
    width = max(1, len(schema))
    sketch_size = max(1024, min(16384, _SKETCH_WORDS // width))
    tallies = [ColumnTally(field, sketch_size) for field in schema]
    sample = RowSample(max(500, min(sample_rows, _SAMPLE_CELLS // width)), seed)
    repeats = RowRepeats()
    n_rows = 0
    with ThreadPoolExecutor(max(1, threads)) as pool:
        each = pool.map if threads > 1 else map
        for first_row, table in _ahead(source.batches(schema.names, CHUNK_ROWS), threads):
            work: list[Callable[[], None]] = [
                partial(repeats.add, table),
                partial(sample.add, first_row, table),
            ]
            work += [partial(t.add, table[t.field.name].combine_chunks()) for t in tallies]
            for _ in each(_call, work):
                pass
            n_rows += table.num_rows
            if progress is not None:
                progress(n_rows)
    rows, cells = sample.finish()
    columns = _typed(cells, schema)
    return Profile(
        n_rows=n_rows,
        n_columns=len(schema),
        columns=_finished(tallies, columns, target),
        duplicates=repeats.sketch.share,
        duplicates_checked=repeats.sketch.n_rows,
        sample=columns,
        sample_rows=rows,
        seconds=clock.monotonic() - started,
        bad_rows=source.bad_rows.count,
        target=target,
    )


def _call(work: Callable[[], None]) -> None:
    work()


def _ahead(batches: Iterator[tuple[int, pa.Table]], threads: int) -> Iterator[tuple[int, pa.Table]]:
    """Yield the batches; with several threads the next one is read meanwhile."""
    if threads < 2:
        yield from batches
        return
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = reader.submit(next, batches, None)
            yield batch


def _typed(cells: pa.Table | None, schema: Schema) -> Columns:
    if cells is None:
        cells = pa.table({name: pa.array([], pa.string()) for name in schema.names})
    return Columns(
        {f.name: parse_column(cells[f.name].combine_chunks(), dict(vars(f))) for f in schema}
    )


def _finished(
    tallies: list[ColumnTally], sample: Columns, target: str | None
) -> tuple[ColumnProfile, ...]:
    found = {tally.field.name: tally.finish(sample[tally.field.name]) for tally in tallies}
    labels = None if target is None else sample[target]
    classes = target is not None and _is_class(found[target], sample[target])
    profiles = []
    for name, column in found.items():
        if labels is not None and name != target:
            strength, kind = association(sample[name], labels, target_is_class=classes)
            column = replace(column, correlation=strength, correlation_kind=kind)
        profiles.append(replace(column, guesses=guess(column, sample[name])))
    return tuple(profiles)


def _is_class(column: ColumnProfile, values: Array) -> bool:
    """Say whether a target's values are classes: no number, or very few whole numbers."""
    if column.type != "number":
        return column.type != "date"
    known = values[~np.isnan(values)]
    return column.distinct <= 20 and bool((known == np.round(known)).all())
