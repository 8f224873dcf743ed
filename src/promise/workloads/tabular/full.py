"""A version's pipeline trained again on every row of a source, streaming and resumable."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
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
from promise.errors import ConfigError, DataError, near
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
from promise.pipeline.figures import figure, span
from promise.pipeline.holdout import group_codes
from promise.pipeline.order import Order, Outcome
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.request import with_order
from promise.pipeline.task import Task
from promise.state.files import sha256, write_json
from promise.workloads.tabular.contents import (
    edges,
    evaluation_columns,
    golden_rows,
    score_reference,
)
from promise.workloads.tabular.sealing import Seal, seal
from promise.workloads.tabular.streaming import fit_member

_REFERENCE_ROWS = 100_000  # deciles of more rows are hardly truer


@dataclass(frozen=True)
class Stream:
    """Every labelled row of a source but the sealed ones, as often as asked for.

    Parameters
    ----------
    schema
        Inputs, then the label.
    """

    source: Source
    schema: Schema
    label: str
    answer: Answer
    seal: Seal

    def __iter__(self) -> Iterator[Examples]:
        fields = self.schema.to_json()
        names = dict.fromkeys((*self.schema.names, *self.seal.columns))
        for first, table in self.source.batches(list(names)):
            columns = Columns(parse_columns(table, fields))
            rows = np.arange(first, first + table.num_rows)
            keep = self.seal.learnable(rows, table) & labelled(columns[self.label])
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

    The vocabulary of the features is kept; their target means are counted anew in one pass. Rows
    that the version's split holds back are never learned from (see `seal`).
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
    remember(order, source)
    _same_rule(order, task)
    sealed = seal(
        source,
        task,
        manifest["lineage"],
        order.start,
        seed=order.seed,
        anew=order.split is not None,
    )
    if sealed.rule is not None:
        task = replace(task, split={**task.split, **sealed.rule.split.to_json()})
    stream = Stream(source, Schema((*task.request.fields, label)), label.name, task.answer, sealed)
    judged = read_judged(stream)
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
            pipeline, stream, judged, manifest, recipe, rows, notes, order, engine.peak_mb
        )


def _same_rule(order: Order, task: Task) -> None:
    """Refuse a split of another kind than the version's: only that one can be drawn anew."""
    kept = f"{task.split.get('kind')}:{task.split.get('column') or ''}".rstrip(":")
    if order.split not in (None, kept):
        raise ConfigError(
            f"--split {order.split}: a version trained again is split as it was, {kept}; say that "
            "to draw it from this data, or train without --from."
        )


def remember(order: Order, source: Source) -> None:
    """Note what the work folder belongs to, so that a resumed run goes on with nothing else.

    Raises
    ------
    ConfigError
        When the folder holds work on other data, of another version or seed.
    """
    about = {
        "data": source.fingerprint(),
        "version": None if order.start is None else sha256(order.start / "manifest.json"),
        "seed": order.seed,
    }
    path = order.work / "about.json"
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name, value in about.items() if kept.get(name) != value]
        if changed:
            raise ConfigError(
                f"--resume: the {' and the '.join(changed)} changed since the work that was "
                "interrupted; run without --resume to begin anew."
            )
    order.work.mkdir(parents=True, exist_ok=True)
    write_json(path, about)


@dataclass(frozen=True)
class Judged:
    """The labelled sealed rows, as a request with their labels.

    Parameters
    ----------
    groups
        Group of each row where whole groups are sealed.
    """

    request: Columns
    y: Array
    rows: IntArray
    groups: IntArray | None


def read_judged(stream: Stream) -> Judged:
    """Read the sealed rows before any training, so that a label it cannot judge stops it early."""
    rule, schema = stream.seal.rule, stream.schema
    group = rule.field if rule is not None and rule.grouped else None
    if group is not None and group.name not in schema:
        schema = Schema((*schema.fields, group))
    columns, rows = read_columns(stream.source, schema, stream.seal.judged)
    known = labelled(columns[stream.label])
    if not known.any():
        raise DataError(f"{stream.source.name}: no sealed row has a label to judge by.")
    columns, rows = columns.take(known), rows[known]
    request = Schema(tuple(f for f in stream.schema if f.name != stream.label))
    return Judged(
        request=with_order(columns.only(request.names), request),
        y=label_values(columns[stream.label], stream.answer),
        rows=rows,
        groups=None if group is None else group_codes(columns[group.name]),
    )


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
    judged: Judged,
    manifest: dict[str, Any],
    recipe: dict[str, Any],
    rows: int,
    notes: list[str],
    order: Order,
    peak_mb: float,
) -> Outcome:
    task, y, sentence = pipeline.task, judged.y, stream.seal.sentence
    output, multipliers = pipeline.output(judged.request), pipeline.multipliers
    metric = metric_named(task.metric, task.answer)
    everything = all_metrics(task.answer, y, output, multipliers)
    low, high = bootstrap_interval(
        metric, y, output, seed=order.seed, multipliers=multipliers, groups=judged.groups
    )
    metrics = {
        "metric": metric.name,
        "score": metric.score(y, output, multipliers),
        "ci": [low, high],
        "rows": len(y),
        "split": sentence,
        "all": everything,
    }
    lineage = {
        # whose child this one is and which retraining made it, if any did, the caller says
        **{k: v for k, v in manifest["lineage"].items() if k not in ("parents", "retraining")},
        "source": stream.source.name,
        "fingerprint": stream.source.fingerprint(),
        "reader": stream.source.reader,
        "rows_used": rows + len(y),
        "n_source_rows": rows + len(y),
        "split": sentence,
        "notes": notes,
    }
    contents = Contents(
        lineage=lineage,
        recipe=recipe,
        golden=golden_rows(stream.source, judged.rows, list(task.request.names)),
        evaluation=evaluation_columns(judged.rows, y, output, judged.groups),
        reference=_reference(stream, pipeline.task.request.names, rows) | score_reference(output),
        rows={"train": np.zeros(0, dtype=np.int64), "holdout": judged.rows},
        card=card(task.label, metrics, rows, notes),
        metrics=metrics,
    )
    return Outcome(pipeline, contents, everything, sentence, rows, peak_mb)


def _reference(stream: Stream, names: Sequence[str], n_rows: int) -> dict[str, Any]:
    """Freeze the bins of what was learned from now, so that drift is measured against that."""
    share = min(1.0, _REFERENCE_ROWS / max(1, n_rows))
    parts = []
    for examples in stream:
        kept = row_hash(row_numbers(examples), 0) <= np.uint64(share * (2**64 - 2**11))
        parts.append(examples.columns.only(names).take(kept))
    return {name: edges(np.concatenate([part[name] for part in parts])) for name in names}


def card(label: str | None, metrics: dict[str, Any], rows: int, notes: list[str]) -> str:
    """Return the model card of a version that learned from every row."""
    lines = [
        f"# {label}, trained on everything",
        "",
        f"- rows learned from: {rows:,}",
        f"- {metrics['metric']}: {figure(metrics['score'])} ({span(*metrics['ci'])}) on "
        f"{metrics['split']}",
        *(f"- {note}" for note in notes),
    ]
    return "\n".join(lines) + "\n"
