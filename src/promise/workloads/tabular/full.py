"""A version's pipeline trained again on every row of a source, streaming and resumable."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.answer import Answer, Class
from promise.data.columns import Array, Columns, IntArray
from promise.data.infer import read_columns
from promise.data.schema import Schema
from promise.data.source import Source
from promise.data.target import labelled
from promise.engine.local import LocalEngine
from promise.errors import DataError, near
from promise.features.table import FittedTableFeatures, row_numbers
from promise.features.views import Views
from promise.job import Job
from promise.kernels.chunked_fit import xgboost_instead
from promise.kernels.encoding import blank_targets, count_targets
from promise.kernels.parsing import label_codes, parse_columns
from promise.kernels.rows import row_hash, text_hash
from promise.metrics.intervals import bootstrap_interval
from promise.metrics.pointwise import all_metrics, metric_named
from promise.models.base import Examples
from promise.models.blend import Blend, Member
from promise.pipeline.artifact import Contents, load_pipeline, read_manifest, recipe_of
from promise.pipeline.order import Order, Outcome
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import Threshold
from promise.workloads.tabular.contents import evaluation_columns, golden_rows
from promise.workloads.tabular.streaming import fit_member

_HOLDOUT_SHARE = 0.1
_HOLDOUT_AT_MOST = 20_000


@dataclass(frozen=True)
class Stream:
    """Every labelled row of a source but the sealed ones, as often as asked for.

    Parameters
    ----------
    schema
        Inputs, then the label.
    sealed
        Sorted row numbers that training never sees.
    """

    source: Source
    schema: Schema
    label: str
    answer: Answer
    sealed: IntArray

    def __iter__(self) -> Iterator[Examples]:
        fields = self.schema.to_json()
        for first, table in self.source.batches(list(self.schema.names)):
            columns = Columns(parse_columns(table, fields))
            rows = np.arange(first, first + table.num_rows)
            at = np.searchsorted(self.sealed, rows)
            seen = at == len(self.sealed)
            seen[~seen] = self.sealed[at[~seen]] != rows[~seen]
            keep = seen & labelled(columns[self.label])
            if keep.any():
                columns, rows = columns.take(keep), rows[keep]
                y = label_values(columns[self.label], self.answer)
                yield Examples(columns, y, self.answer, rows=rows, order=self._order(columns))

    def _order(self, columns: Columns) -> IntArray | None:
        """Return (entity, time) in numbers that need no other chunk to be compared."""
        time, entity = self.schema.find("time"), self.schema.find("entity")
        if time is None:
            return None
        when = columns[time.name].astype("datetime64[us]").astype(np.int64)
        who = np.zeros_like(when)
        if entity is not None:
            who = text_hash(columns[entity.name].astype(object), 0).astype(np.int64)
        return np.column_stack([who, when])

    def matrices(self, features: FittedTableFeatures) -> Iterator[tuple[Array, ...]]:
        """Yield (matrix with out-of-fold target means, labels, row numbers) chunk by chunk."""
        for examples in self:
            chunk = features.train_matrix(examples), examples.y, row_numbers(examples)
            yield chunk if examples.order is None else (*chunk, examples.order)


def label_values(values: Array, answer: Answer) -> Array:
    """Return class codes or quantities; a class that the version does not know is refused."""
    if not isinstance(answer, Class):
        return values.astype(np.float64)
    found = label_codes(values, list(answer.classes))
    if (found < 0).any():
        strange = str(values[found < 0][0])
        raise DataError(
            f"label {strange!r} is no class of the version that is trained again, "
            f"{near(strange, answer.classes)} Run a new discovery to learn new classes."
        )
    return found


def train_again(source: Source, order: Order, tell: Callable[[str], None]) -> Outcome:
    """Train the pipeline of the version at `order.start` on every row that is not sealed.

    The vocabulary of the features is kept; their target means are counted anew in one pass. The
    sealed rows are the version's own where the source is the same, else a tenth by hash.
    """
    if order.start is None:
        raise DataError("say which version to train again: --from NAME@V.")
    before = load_pipeline(order.start)
    manifest, recipe = read_manifest(order.start), recipe_of(order.start)
    task = before.task
    label = Schema.from_json([task.split["label_field"]]).fields[0]
    missing = [n for n in (*task.request.names, label.name) if n not in source.columns]
    if missing:
        raise DataError(
            f"{source.name} has no column {missing[0]!r}, which the version reads; "
            + near(missing[0], source.columns)
        )
    sealed, sentence = _sealed(source, manifest, order)
    stream = Stream(source, Schema((*task.request.fields, label)), label.name, task.answer, sealed)
    job = Job(seed=order.seed, threads=order.threads, memory_mb=order.memory_mb)
    with LocalEngine(threads=1, memory_mb=order.memory_mb) as engine:
        views, rows = _features(before, stream, order.work, tell)
        members, notes = [], []
        for number, entry in enumerate(recipe["members"]):
            features = views[entry["view_id"]]
            tell(f"training {entry['name']} on {rows:,} rows")
            learnt = fit_member(
                entry,
                partial(stream.matrices, features),
                task.answer,
                rows=rows,
                columns=len(features.names),
                categorical=features.categorical,
                work=order.work / f"member-{number}",
                job=job,
                tell=tell,
            )
            members.append(Member(entry["view_id"], entry["weight"], learnt.fitted))
            notes += [learnt.note] if learnt.note else []
            if learnt.family != entry["family"]:
                entry |= {"params": xgboost_instead(entry["params"]), "family": learnt.family}
            entry |= {"rows": rows, "train_rows": rows}
        pipeline = Pipeline(
            task=task,
            featurize=Views(views),
            score=Blend(tuple(members), recipe["temperature"]),
            decide=before.decide,
        )
        tell("judging on the sealed rows")
        return _outcome(
            pipeline, stream, manifest, recipe, rows, sentence, notes, order, engine.peak_mb
        )


def _sealed(source: Source, manifest: dict[str, Any], order: Order) -> tuple[IntArray, str]:
    if manifest["lineage"].get("fingerprint") == source.fingerprint() and order.start is not None:
        rows = np.load(order.start / "holdout_rows.npy")
        return np.sort(rows), f"the sealed holdout of the version ({len(rows):,} rows)"
    n_rows = source.size().rows
    share = min(_HOLDOUT_SHARE, _HOLDOUT_AT_MOST / max(1, n_rows))
    found = []
    for first, table in source.batches([source.columns[0]]):
        numbers = np.arange(first, first + table.num_rows)
        found.append(numbers[row_hash(numbers, order.seed) < np.uint64(share * 2**64)])
    rows = np.concatenate(found)
    return rows, f"a hashed {share:.1%} of the rows ({len(rows):,})"


def _features(
    before: Pipeline, stream: Stream, work: Path, tell: Callable[[str], None]
) -> tuple[dict[str, FittedTableFeatures], int]:
    """Count target means and frequencies anew over the whole stream; kept for a resumed run."""
    assert isinstance(before.featurize, Views)
    kept = work / "features"
    counted = kept / "rows.json"
    if counted.exists():
        loaded = Views.load(kept)
        return dict(loaded.views), int(json.loads(counted.read_text(encoding="utf-8")))
    states = {n: blank_targets(f.state) for n, f in before.featurize.views.items()}
    rows = 0
    for examples in stream:
        arrays = dict(examples.columns.arrays)
        for name, state in states.items():
            states[name] = count_targets(arrays, examples.y, row_numbers(examples), state)
        rows += examples.n_rows
        tell(f"counting: {rows:,} rows")
    if rows == 0:
        raise DataError(f"{stream.source.name} has no labelled row to learn from.")
    views = {name: FittedTableFeatures(state) for name, state in states.items()}
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    Views(views).save(kept)
    counted.write_text(json.dumps(rows), encoding="utf-8")
    return views, rows


def _outcome(
    pipeline: Pipeline,
    stream: Stream,
    manifest: dict[str, Any],
    recipe: dict[str, Any],
    rows: int,
    sentence: str,
    notes: list[str],
    order: Order,
    peak_mb: float,
) -> Outcome:
    task = pipeline.task
    columns, numbers = read_columns(stream.source, stream.schema, np.sort(stream.sealed))
    known = labelled(columns[stream.label])
    columns, numbers = columns.take(known), numbers[known]
    y = label_values(columns[stream.label], task.answer)
    output = pipeline.output(columns.only(task.request.names))
    multipliers = _multipliers(pipeline)
    metric = metric_named(task.metric, task.answer)
    everything = all_metrics(task.answer, y, output, multipliers)
    low, high = bootstrap_interval(metric, y, output, seed=order.seed, multipliers=multipliers)
    metrics = {
        "metric": metric.name,
        "score": metric.score(y, output, multipliers),
        "ci": [low, high],
        "rows": len(y),
        "split": sentence,
        "all": everything,
    }
    lineage = {
        **manifest["lineage"],
        "source": stream.source.name,
        "fingerprint": stream.source.fingerprint(),
        "reader": stream.source.reader,
        "rows_used": rows + len(y),
        "n_source_rows": rows + len(y),
        "split": sentence,
        "parents": [str(order.start)],
        "notes": notes,
    }
    contents = Contents(
        lineage=lineage,
        recipe=recipe,
        golden=golden_rows(stream.source, numbers, list(task.request.names)),
        evaluation=evaluation_columns(numbers, y, output),
        reference=_reference(order.start),
        rows={"train": np.zeros(0, dtype=np.int64), "holdout": numbers},
        card=_card(task.label, metrics, rows, notes),
        metrics=metrics,
    )
    return Outcome(pipeline, contents, everything, sentence, rows, peak_mb)


def _multipliers(pipeline: Pipeline) -> Array | None:
    if not isinstance(pipeline.decide, Threshold) or pipeline.decide.multipliers is None:
        return None
    return np.asarray(pipeline.decide.multipliers)


def _reference(folder: Path | None) -> dict[str, Any]:
    if folder is None:
        return {}
    kept: dict[str, Any] = json.loads((folder / "reference.json").read_text(encoding="utf-8"))
    return kept


def _card(label: str | None, metrics: dict[str, Any], rows: int, notes: list[str]) -> str:
    low, high = metrics["ci"]
    lines = [
        f"# {label}, trained on everything",
        "",
        f"- rows learned from: {rows:,}",
        f"- {metrics['metric']}: {metrics['score']:.4f} (95 % interval {low:.4f} to {high:.4f}) on "
        f"{metrics['split']}",
        *(f"- {note}" for note in notes),
    ]
    return "\n".join(lines) + "\n"
