"""The rows of one retraining: what is learned from, and what both versions are judged by."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from promise.data.columns import Array, Columns, IntArray
from promise.data.infer import read_columns
from promise.data.schema import Field, Schema
from promise.data.source import Source, open_source
from promise.data.target import labelled
from promise.errors import DataError
from promise.features.keyed import Keyed
from promise.pipeline.holdout import HoldoutRule
from promise.pipeline.order import workload_named
from promise.pipeline.pipeline import Pipeline
from promise.records.labels import Labels
from promise.records.source import AT, ID
from promise.registry.versions import Version
from promise.retraining.base import (
    JUDGE,
    LOGGED,
    META,
    TRAIN,
    Base,
    Part,
    data_schema,
    is_ordered,
    rows_of,
)
from promise.retraining.events import Telling
from promise.retraining.frontier import Frontier
from promise.retraining.logged import Logged, read_logged, with_ids
from promise.retraining.sides import Sides, content_fields, sides_of
from promise.state.database import Database
from promise.state.files import whole_file, write_json
from promise.state.moments import to_text
from promise.training.compare import Comparison, compare
from promise.training.evaluate import known_at_field

_TYPES = {"number": pa.float64(), "boolean": pa.bool_(), "date": pa.timestamp("us")}


@dataclass(frozen=True)
class Gathered:
    """Files of one retraining and what is in them.

    Parameters
    ----------
    n_rows, n_judged
        Rows to learn from, and labelled rows that judge.
    n_logged
        Labelled answers among both.
    judged_from, judged_to
        Numbers of the rows of `judge` between which those that judge lie; those before are only
        looked back on, as are those without a label.
    rule
        How the answers were set apart, as `--split` says it; None where the workload chooses.
    notes
        Where the rows come from, in words.
    """

    folder: Path
    n_rows: int
    n_judged: int
    n_logged: int
    judged_from: int
    judged_to: int
    rule: str | None
    notes: tuple[str, ...]

    @property
    def unit(self) -> str:
        """What `n_rows` counts."""
        return "rows"

    @property
    def train(self) -> Path:
        """The file to learn from."""
        return self.folder / TRAIN

    @property
    def judge(self) -> Source:
        """The rows to judge by."""
        return open_source(self.folder / JUDGE)

    @property
    def judged(self) -> IntArray:
        """Numbers of the rows that judge, where they have a label."""
        return np.arange(self.judged_from, self.judged_to)

    def compare(self, version: Version, live: Version, _: Database) -> Comparison:
        """Compare by paired bootstrap on the judging rows, of which neither has learned."""
        return compare(version, live, self.judge, rows=self.judged)

    def to_json(self) -> dict[str, Any]:
        """Return what `gathered_in` reads back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self).items() if
                k != "folder"}  # fmt: skip


def gathered_in(folder: Path) -> Gathered | None:
    """Return what a run gathered before it was killed; None where it did not come to its end."""
    if not (folder / META).is_file():
        return None
    kept = json.loads((folder / META).read_text(encoding="utf-8"))["gathered"]
    return Gathered(folder=folder, **{**kept, "notes": tuple(kept["notes"])})


def gather(
    version: Version,
    pipeline: Pipeline,
    base: Base,
    labels: Labels,
    *,
    records: Path,
    folder: Path,
    as_of: datetime,
) -> Gathered:
    """Write the rows of a retraining of `version` into an empty folder.

    Raises
    ------
    DataError
        When there is no labelled answer, or nothing to learn from or to judge by.
    """
    schema, task = data_schema(version, pipeline), pipeline.task
    keyed = pipeline.featurize if isinstance(pipeline.featurize, Keyed) else None
    logged = read_logged(
        records, version.name, labels,
        to=folder / "logged.jsonl", schema=schema, answer=task.answer, as_of=as_of,
        unlabelled=keyed is not None,
    )  # fmt: skip
    frontier = _frontier(base, schema, keyed)
    logged = frontier.behind(logged)
    if base.logged is not None:
        earlier = read_columns(open_source(base.logged), with_ids(schema))[0]
        logged = logged.joined(earlier)
    if keyed is not None:
        telling = Telling(keyed, schema, task.answer, labels, version.name, as_of)
        logged = telling.completed(logged, frontier)
    late = known_at_field(task)
    if late is not None and any((f.name, f.type) == (late.name, "date") for f in schema):
        logged = logged.told_when(late.name, labels, as_of)
    if not logged.n_labelled:
        raise DataError(
            f"no answer of {version.name} since {base.since:%Y-%m-%d %H:%M} UTC has a label that "
            "was known by now; send labels with `promise label` or POST /v1/labels."
        )
    rule = HoldoutRule.of(replace(task, split=base.split), version.lineage)
    ordered = is_ordered(pipeline)
    logged = _completed(logged, rule, task.request)
    sides = sides_of(logged, rule, base, _asked(pipeline), schema, ordered=ordered)
    return _Writing(folder, schema, base, logged, sides, ordered, rule).write(as_of)


def _frontier(base: Base, schema: Schema, keyed: Keyed | None) -> Frontier:
    """Return where the version's rows end; rows that stand alone are known by their answer."""
    told = {} if keyed is None else keyed.columns
    names = {role: told[role] for role in ("time", "id") if told.get(role) in schema}
    rows = rows_of(base.history, schema.only(tuple(names.values()))) if names else ()
    return Frontier.of(base.since, rows, time=names.get("time"), id=names.get("id"))


def _completed(logged: Logged, rule: HoldoutRule | None, request: Schema) -> Logged:
    """Give answers what the split reads and they do not tell: when they were given, a group.

    A row without a time is on neither side of a temporal split: nothing would be learned from it.
    """
    if rule is None or rule.field is None:
        return logged
    field, columns = rule.field, logged.columns
    told = labelled(columns[field.name])
    if told.all():
        return logged
    if rule.split.kind == "temporal" and field.type == "date":
        instead = columns[AT]
    elif rule.split.kind == "temporal" and field.name not in request:
        raise DataError(
            f"the version's rows are split by {field.name!r}, a {field.type} that its requests do "
            "not have, so that answers cannot be put in order; train it by hand."
        )
    elif rule.grouped and field.type in ("category", "text") and field.name not in request:
        instead = columns[ID]
    else:
        return logged
    filled = np.where(told, columns[field.name], instead)
    return replace(logged, columns=columns.with_columns({field.name: filled}))


def _asked(pipeline: Pipeline) -> Schema | None:
    """Return the columns that say what is asked; None where each answer counts by itself."""
    if not workload_named(pipeline.task.workload).by_content:
        return None
    return content_fields(pipeline.task.request)


@dataclass(frozen=True)
class _Writing:
    folder: Path
    schema: Schema
    base: Base
    logged: Logged
    sides: Sides
    ordered: bool
    rule: HoldoutRule | None

    def write(self, as_of: datetime) -> Gathered:
        """Write every file; the one that tells of the others comes last."""
        columns = self.logged.columns
        learned, judging = columns.take(self.sides.learned), columns.take(self.sides.judging)
        n_rows, n_sealed = self._write(TRAIN, self.base.history, learned), 0
        if self.ordered:
            # the judging rows look back on all before them, the gap's included
            n_judge = self._write(JUDGE, self.base.history, columns)
            judged_from = n_judge - judging.n_rows
        else:
            n_judge = self._write(JUDGE, self.base.sealed, judging)
            judged_from, n_sealed = 0, n_judge - judging.n_rows
        n_aside = int((self.sides.judging & self.logged.labelled).sum())
        _write_parquet(self.folder / LOGGED, with_ids(self.schema), [columns])
        gathered = Gathered(
            folder=self.folder,
            n_rows=n_rows,
            n_judged=n_sealed + n_aside,
            n_logged=self.logged.n_labelled,
            judged_from=judged_from,
            judged_to=n_judge,
            rule=self._rule(),
            notes=self._notes(n_aside),
        )
        self._refuse_empty(gathered)
        meta = {
            "as_of": to_text(as_of),
            "since": to_text(self.base.since),
            "split": self.base.split,
            "cutoff_s": self.sides.cutoff_s,
            "n_history": n_rows - learned.n_rows,
            "n_sealed": n_sealed,
            "gathered": gathered.to_json(),
        }
        write_json(self.folder / META, meta)
        return gathered

    def _write(self, name: str, part: Part | None, last: Columns) -> int:
        first = rows_of(part, self.schema)
        return _write_parquet(self.folder / name, self.schema, chain(first, [last]))

    def _rule(self) -> str | None:
        if self.rule is None or self.rule.field is None:
            return None
        return f"{self.rule.split.kind}:{self.rule.field.name}"

    def _notes(self, n_aside: int) -> tuple[str, ...]:
        notes = [
            self.base.note,
            f"{self.logged.n_labelled:,} labelled answers, {n_aside:,} of them set aside to "
            "judge by",
        ]
        neither = self.logged.labelled & ~self.sides.learned & ~self.sides.judging
        if neither.any():
            notes.append(
                f"{int(neither.sum()):,} of them neither teach nor judge: they lie in the gap "
                "before those that judge, or repeat what judges"
            )
        beside = self.logged.columns.n_rows - self.logged.n_labelled
        if beside:
            notes.append(f"{beside:,} events without a label, which are looked back on")
        if self.logged.strange:
            notes.append(f"{self.logged.strange:,} more are of values that the model cannot read")
        return tuple(notes)

    def _refuse_empty(self, gathered: Gathered) -> None:
        if gathered.n_rows == 0 or gathered.n_judged == 0:
            what = "learn from" if gathered.n_rows == 0 else "judge by"
            raise DataError(f"there is no row to {what}: {'; '.join(gathered.notes)}.")


def _write_parquet(path: Path, schema: Schema, batches: Iterable[Columns]) -> int:
    """Write typed rows, a batch in memory at a time; returns how many."""
    arrow = pa.schema([(f.name, _TYPES.get(f.type, pa.string())) for f in schema])
    rows = 0
    with whole_file(path) as draft, pq.ParquetWriter(draft, arrow) as writer:
        for columns in batches:
            if columns.n_rows:
                arrays = [_array(columns[field.name], field) for field in schema]
                writer.write_table(pa.table(arrays, schema=arrow))
                rows += columns.n_rows
    return rows


def _array(values: Array, field: Field) -> Any:
    """Return a typed column as Parquet keeps it; what is missing is null."""
    if field.type == "boolean":
        return pa.array(values != 0, pa.bool_(), mask=np.isnan(values))
    return pa.array(values, _TYPES.get(field.type, pa.string()), from_pandas=True)
