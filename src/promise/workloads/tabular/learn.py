"""From a loaded table to ranked pipelines: race, refit, assemble, read the holdout once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.columns import Array, Columns
from promise.data.folds import folds as split_folds
from promise.data.schema import Schema
from promise.engine.base import Engine
from promise.errors import ArtifactError
from promise.features.table import FittedTableFeatures
from promise.features.views import Views
from promise.job import Job
from promise.metrics.pointwise import Metric
from promise.models.base import ORDER
from promise.models.blend import Blend, Member, load_fitted
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import Threshold
from promise.selection.candidates import Trial
from promise.selection.ladder import n_folds
from promise.selection.limits import Budget, Progress
from promise.selection.portfolio import BLENDED, portfolio, skipped_families
from promise.selection.race import race, replay
from promise.selection.refit import Refit, refit
from promise.selection.result import ENSEMBLE, RaceResult
from promise.workloads.tabular.table import Table
from promise.workloads.tabular.task import table_task

_DRAW = 7919  # between the seeds of repeated draws of the folds


@dataclass(frozen=True)
class Terms:
    """What a race may spend and what it is about.

    Parameters
    ----------
    race_deadline_s, refit_deadline_s
        On the machine's monotonic clock; None under `trials`.
    families
        Only these, or None for all that the preset names.
    refused
        Families that do not take part, and why: those that memory does not hold.
    latency_ms
        What the members of an ensemble may cost together, per row.
    replay
        The journal of an earlier race, whose fits are done again at the rounds they took.
    """

    metric: Metric
    preset: str = "default"
    families: tuple[str, ...] | None = None
    trials: int | None = None
    race_deadline_s: float | None = None
    refit_deadline_s: float | None = None
    resume: bool = False
    refused: dict[str, str] = field(default_factory=dict)
    latency_ms: float | None = None
    replay: Path | None = None


@dataclass(frozen=True)
class Listed:
    """One row of the leaderboard that has a model.

    Parameters
    ----------
    members
        What it consists of: trials with their weights, best first.
    request
        The fields that its pipeline reads.
    multipliers
        What its decisions weigh each class with; None: the likeliest class.
    load
        Reads its pipeline from the disk: a large forest takes no memory until someone asks.
    output
        Raw outputs on the holdout rows.
    recipe
        How to train it again: views, estimators, rounds, weights.
    note
        Empty, or what a reader must know (for example that a fold's model stands in).
    """

    name: str
    family: str
    validation_score: float
    members: tuple[tuple[Trial, float], ...]
    request: Schema
    multipliers: Array | None
    load: Callable[[], Pipeline]
    output: Array
    fit_seconds: float
    predict_ms: float
    size_mb: float
    recipe: dict[str, Any]
    note: str = ""

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline, loaded anew: keep it only as long as it is needed."""
        return self.load()


@dataclass(frozen=True)
class Learned:
    """What a race leaves: every listed pipeline in validation order, the winner first."""

    table: Table
    metric: Metric
    result: RaceResult
    refits: dict[str, Refit]
    listed: tuple[Listed, ...]

    @property
    def best(self) -> Listed:
        """The winner, fixed on validation scores."""
        return self.listed[0]

    @property
    def sealed(self) -> Columns:
        """The holdout rows as a request."""
        return request_of(self.table, self.table.holdout)

    @property
    def sealed_y(self) -> Array:
        """The holdout rows' labels."""
        return self.table.y[self.table.holdout]


def learn(
    table: Table,
    terms: Terms,
    *,
    job: Job,
    engine: Engine,
    folder: Path,
    progress: Callable[[Progress], None],
) -> Learned:
    """Race candidates on the training rows, refit the listed ones, read the holdout once.

    Parameters
    ----------
    folder
        Where the journal, matrices and fits of this run live; a resumed run reads them.
    """
    result = _race(table, terms, job, engine, folder, progress)
    refits: dict[str, Refit] = {}
    if result.winner and result.stopped != "interrupted":
        refits = refit(
            result, job=job, engine=engine, deadline_s=terms.refit_deadline_s,
            n_sealed=len(table.holdout),
        )  # fmt: skip
    return Learned(table, terms.metric, result, refits, tuple(_list(table, result, refits)))


def _race(
    table: Table,
    terms: Terms,
    job: Job,
    engine: Engine,
    folder: Path,
    progress: Callable[[Progress], None],
) -> RaceResult:
    train = table.examples(table.train)
    n_classes = train.n_classes
    k, repeats = n_folds(
        train.n_rows,
        n_columns=len(table.schema.inputs),
        n_classes=n_classes,
        repeatable=table.split.kind in ("random", "stratified"),
    )
    parts = [
        fold
        for draw in range(repeats)
        for fold in split_folds(
            replace(table.split, seed=table.split.seed + _DRAW * draw),
            k,
            table.rows[table.train],
            y=train.y,
            time=_values(table, "time"),
            group=_values(table, "group"),
        )
    ]
    candidates = portfolio(
        terms.preset,
        schema=table.schema,
        answer=table.answer,
        n_rows=train.n_rows,
        n_columns=len(table.schema.inputs),
        ordered=table.ordered,
        families=terms.families,
    )
    if terms.families is None:
        candidates = [c for c in candidates if c.family not in terms.refused]
    program = None if terms.replay is None else replay(terms.replay, table.schema)
    return race(
        train,
        table.schema,
        terms.metric,
        parts,
        candidates,
        budget=Budget(
            deadline_s=terms.race_deadline_s,
            refits_by_s=terms.refit_deadline_s,
            trials=terms.trials,
            n_sealed=len(table.holdout),
        ),
        job=job,
        engine=engine,
        folder=folder,
        resume=terms.resume,
        skipped=terms.refused
        | skipped_families(
            terms.preset, answer=table.answer, ordered=table.ordered, families=terms.families
        ),
        program=program,
        latency_ms=terms.latency_ms,
        blends=terms.preset in BLENDED,
        progress=progress,
    )


def _values(table: Table, role: str) -> Array | None:
    values = table.role_values(role)
    return None if values is None else values[table.train]


def request_of(table: Table, positions: Array) -> Columns:
    """Return the rows at these positions as a request, with their order where they have one."""
    examples = table.examples(positions)
    if examples.order is None:
        return examples.columns
    return examples.columns.with_columns({ORDER: examples.order})


def _list(table: Table, result: RaceResult, refits: dict[str, Refit]) -> list[Listed]:
    """Assemble and measure the winner first, then the best of each family in validation order."""
    standings: list[tuple[str, str, tuple[tuple[Trial, float], ...]]] = []
    if result.winner == ENSEMBLE:
        standings.append((ENSEMBLE, ENSEMBLE, result.blend))
    standings += [(t.name, t.family, ((t, 1.0),)) for t in result.listed if t.ok]
    request = request_of(table, table.holdout)
    rows = []
    for name, family, members in standings:
        if not all(t.name in refits and refits[t.name].ok for t, _ in members):
            continue
        load = partial(_assemble, table, result, name, members, refits)
        pipeline = load()
        output, predict_ms = _timed(pipeline, request)
        made = [refits[t.name] for t, _ in members]
        rows.append(
            Listed(
                name=name,
                family=family,
                validation_score=result.scores[name],
                members=members,
                request=pipeline.task.request,
                multipliers=pipeline.multipliers,
                load=load,
                output=output,
                fit_seconds=sum(r.seconds for r in made),
                predict_ms=predict_ms,
                size_mb=sum(r.size_mb for r in made),
                recipe=_recipe(result, name, members, refits),
                note="; ".join(r.note for r in made if r.note),
            )
        )
    return rows


def _assemble(
    table: Table,
    result: RaceResult,
    name: str,
    members: tuple[tuple[Trial, float], ...],
    refits: dict[str, Refit],
) -> Pipeline:
    parts, views = [], {}
    for trial, weight in members:
        made = refits[trial.name]
        if made.fitted is None or made.features is None:
            raise ArtifactError(f"{trial.name} has no fitted model; its note says: {made.note}.")
        parts.append(Member(made.view, weight, load_fitted(made.kind, made.fitted)))
        views[made.view] = FittedTableFeatures.load(made.features)
    finish = result.finish[name]
    ordered = any(trial.candidate.estimator.ordered for trial, _ in members)
    return Pipeline(
        task=table_task(
            table,
            result.grounds.metric.name,
            ordered=ordered,
            reads={name for fitted in views.values() for name in fitted.state["inputs"]},
        ),
        featurize=Views(views),
        score=Blend(tuple(parts), finish.temperature),
        decide=Threshold(table.answer, finish.multipliers),
    )


def _recipe(
    result: RaceResult,
    name: str,
    members: tuple[tuple[Trial, float], ...],
    refits: dict[str, Refit],
) -> dict[str, Any]:
    finish, job = result.finish[name], result.grounds.job
    return {
        "members": [
            {
                **trial.candidate.at_rounds(refits[trial.name].rounds).to_json(),
                "view_id": refits[trial.name].view,
                "rounds": refits[trial.name].rounds,
                "rows": refits[trial.name].rows,
                "train_rows": result.grounds.train.n_rows,
                "weight": weight,
                "seed": job.child(f"refit/{trial.candidate.key()}").seed,
            }
            for trial, weight in members
        ],
        "temperature": finish.temperature,
        "multipliers": finish.multipliers,
    }


def _timed(pipeline: Pipeline, request: Columns) -> tuple[Array, float]:
    """Return the outputs, and how many milliseconds a row took."""
    pipeline.output(request.take(np.arange(min(2, request.n_rows))))  # libraries are loaded now
    start = time.perf_counter()
    output = pipeline.output(request)
    return output, 1000 * (time.perf_counter() - start) / max(1, request.n_rows)
