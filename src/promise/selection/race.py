"""The race: candidates fitted in processes of their own until time or trials run out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from promise.data.columns import IntArray
from promise.data.schema import Schema
from promise.engine.base import Engine
from promise.errors import ConfigError, FitFailed
from promise.job import Job
from promise.metrics.pointwise import Metric
from promise.models.base import Examples
from promise.selection.candidates import Candidate
from promise.selection.grounds import Grounds
from promise.selection.journal import Journal
from promise.selection.limits import Budget, Progress
from promise.selection.portfolio import for_metric
from promise.selection.result import RaceResult, conclude
from promise.selection.run import Run, Step

__all__ = ["Budget", "Progress", "RaceResult", "Step", "race", "replay"]


def race(
    train: Examples,
    schema: Schema,
    metric: Metric,
    folds: Sequence[tuple[IntArray, IntArray]],
    candidates: Sequence[Candidate],
    *,
    budget: Budget,
    job: Job,
    engine: Engine,
    folder: Path,
    resume: bool = False,
    skipped: Mapping[str, str] | None = None,
    program: Sequence[Step] | None = None,
    latency_ms: float | None = None,
    blends: bool = True,
    progress: Callable[[Progress], None] = lambda _: None,
    monotonic: Callable[[], float] = time.monotonic,
) -> RaceResult:
    """Find which candidate predicts unseen rows best, and which few are best together.

    Each fit runs in a process of its own; what is finished is in `folder/journal.jsonl` before
    it counts. Ctrl-C ends the race early, with what it knows.

    Parameters
    ----------
    train
        Typed raw columns without any holdout row.
    folds
        Positions of training and validation rows, the same for every candidate.
    candidates
        In the order in which to start them; the search goes on from the best once all are in.
    skipped
        Families that do not take part, and why; passed on to the result.
    program
        Steps of an earlier race's journal (`replay`): exactly these fits are done instead.
    latency_ms
        The members of a blend together stay below this, per row.
    blends
        Whether the best are tried together, too; else a single one wins.

    Raises
    ------
    ConfigError
        When there is nothing to race, or `resume` meets a journal of other data, seed, folds or
        metric.
    FitFailed
        When not a single fit succeeded.
    """
    if not candidates and not program:
        raise ConfigError("no model family can learn from this table; name others by --families.")
    candidates = [for_metric(candidate, metric) for candidate in candidates]
    grounds = Grounds.prepare(train, schema, metric, folds, job, folder)
    journal = (Journal.resume if resume else Journal.start)(grounds.journal, grounds.about())
    run = Run.begin(grounds, journal, engine, budget, job, candidates, progress, monotonic)
    try:
        if program is None:
            run.race()
        else:
            run.follow(program)
    except KeyboardInterrupt:
        run.stop()
    result = conclude(
        grounds, run.board, dict(skipped or {}),
        latency_ms=latency_ms, blends=blends, stopped=run.why_stopped,
    )  # fmt: skip
    if not result.winner:
        why = next((t.status for t in result.trials if not t.ok), "no fit ended in time")
        raise FitFailed(
            f"no model was fitted ({why}); give a longer --budget, more --memory or other "
            "--families.",
            "error",
        )
    return result


def replay(journal: Path, schema: Schema) -> list[Step]:
    """Read an earlier race as a program: its fits in order, each at its recorded rounds."""
    fields = Schema(schema.inputs).to_json()
    return [
        Step(
            Candidate.from_json(record["candidate"], fields),
            record["rung"],
            record["fold"],
            record["rounds"],
        )
        for record in Journal(journal).records()
        if record["event"] == "fit" and record["status"] == "ok"
    ]
