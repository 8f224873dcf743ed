"""From a loaded table to ranked pipelines: race, refit, assemble, read the holdout once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.columns import Array, Columns
from promise.data.split import folds as split_folds
from promise.engine.local import LocalEngine
from promise.features.table import FittedTableFeatures
from promise.features.views import Views
from promise.job import Job
from promise.metrics.pointwise import Metric
from promise.models.blend import Blend, Member, load_fitted
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import Threshold
from promise.selection.race import Budget, Progress, RaceResult, Refit, n_folds, race, refit
from promise.state.files import size_mb
from promise.workloads.tabular.table import Table
from promise.workloads.tabular.task import table_task

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Terms:
    """What a race may spend and what it is about.

    Parameters
    ----------
    race_deadline_s, refit_deadline_s
        On the machine's monotonic clock; None under `trials`.
    families
        Only these, or None for all that the preset names.
    """

    metric: Metric
    preset: str = "default"
    families: tuple[str, ...] | None = None
    trials: int | None = None
    race_deadline_s: float | None = None
    refit_deadline_s: float | None = None
    resume: bool = False


@dataclass(frozen=True)
class Listed:
    """One row of the leaderboard: a pipeline, or why there is none.

    Parameters
    ----------
    output
        Raw outputs on the holdout rows.
    note
        Empty, or what a reader must know (for example that a fold's model stands in).
    """

    name: str
    family: str
    validation_score: float
    pipeline: Pipeline
    output: Array
    fit_seconds: float
    predict_ms: float
    size_mb: float
    recipe: dict[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Learned:
    """What a race leaves: every listed pipeline in validation order, the winner first.

    Parameters
    ----------
    unlisted
        Family to the reason why it has no row of its own: skipped or failed.
    """

    table: Table
    metric: Metric
    result: RaceResult
    listed: tuple[Listed, ...]
    unlisted: Mapping[str, str]

    @property
    def best(self) -> Listed:
        """The winner, fixed on validation scores."""
        return self.listed[0]


def learn(
    table: Table,
    terms: Terms,
    *,
    job: Job,
    engine: LocalEngine,
    folder: Path,
    progress: Callable[[Progress], None],
) -> Learned:
    """Race candidates on the training rows, refit the listed ones, read the holdout once.

    Parameters
    ----------
    folder
        Where the journal, matrices and fits of this run live; a resumed run reads them.
    """
    train = table.examples(table.train)
    k = n_folds(train.n_rows, len(table.schema.inputs), table.split.kind)
    parts = split_folds(
        table.split,
        k,
        train.rows,
        y=train.y,
        answer=table.answer,
        time=_values(table, "time"),
        group=_values(table, "group"),
    )
    result = race(
        train,
        table.schema,
        terms.metric,
        parts,
        budget=Budget(deadline_s=terms.race_deadline_s, trials=terms.trials),
        preset=terms.preset,
        families=terms.families,
        job=job,
        engine=engine,
        folder=folder,
        resume=terms.resume,
        progress=progress,
    )
    refits = refit(
        result,
        train,
        schema=table.schema,
        job=job,
        engine=engine,
        folder=folder,
        deadline_s=terms.refit_deadline_s,
    )
    listed = _list(table, terms.metric, result, refits)
    return Learned(table, terms.metric, result, listed, dict(result.skipped))


def _values(table: Table, role: str) -> Array | None:
    values = table.role_values(role)
    return None if values is None else values[table.train]


def _list(
    table: Table, metric: Metric, result: RaceResult, refits: Mapping[str, Refit]
) -> tuple[Listed, ...]:
    task = table_task(table, metric.name)
    sealed = table.examples(table.holdout)
    request = sealed.columns
    if sealed.order is not None:
        request = request.with_columns({"order": sealed.order})
    rows = []
    for standing in result.standings:
        score, recipe, homes = _assemble(standing, refits)
        views = {m["view_name"]: FittedTableFeatures.load(home) for m, home in homes}
        pipeline = Pipeline(
            task=task,
            featurize=Views(views),
            score=score,
            decide=Threshold(table.answer, standing.multipliers),
        )
        output, predict_ms = _timed(pipeline, request)
        rows.append(
            Listed(
                name=standing.name,
                family=standing.family,
                validation_score=standing.score,
                pipeline=pipeline,
                output=output,
                fit_seconds=sum(refits[name].seconds for name, _ in standing.members),
                predict_ms=predict_ms,
                size_mb=sum(size_mb(refits[name].fitted) for name, _ in standing.members),
                recipe=recipe,
                note="; ".join(
                    refits[name].note for name, _ in standing.members if refits[name].note
                ),
            )
        )
    return tuple(rows)


def _assemble(
    standing: Any, refits: Mapping[str, Refit]
) -> tuple[Blend, dict[str, Any], list[tuple[dict[str, Any], Path]]]:
    members, entries, homes = [], [], []
    for name, weight in standing.members:
        made = refits[name]
        family = made.candidate.estimator.kind
        view = made.candidate.features.key()
        members.append(Member(view, weight, load_fitted(family, made.fitted)))
        entry = {
            **made.candidate.to_json(),
            "view_name": view,
            "family": family,
            "rounds": made.rounds,
            "weight": weight,
        }
        entries.append(entry)
        homes.append((entry, made.features))
    recipe = {
        "members": entries,
        "temperature": standing.temperature,
        "multipliers": standing.multipliers,
    }
    return Blend(tuple(members), standing.temperature), recipe, homes


def _timed(pipeline: Pipeline, request: Columns) -> tuple[Array, float]:
    """Return the outputs, and milliseconds per row measured on up to 1,000 rows."""
    few = request.take(np.arange(min(1000, request.n_rows)))
    pipeline.output(few.take(np.arange(min(2, few.n_rows))))  # the first call compiles and loads
    start = time.perf_counter()
    pipeline.output(few)
    elapsed = time.perf_counter() - start
    return pipeline.output(request), 1000 * elapsed / max(1, few.n_rows)
