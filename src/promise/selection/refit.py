"""The listed models once more, on all training rows, at the rounds the race recorded."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promise.engine.base import Engine, Handle
from promise.errors import FitFailed
from promise.job import Job
from promise.selection.candidates import Candidate, Trial
from promise.selection.fits import FitTask, ViewTask, make_view, run_fit
from promise.selection.grounds import Grounds
from promise.selection.limits import handover_seconds
from promise.selection.result import ENSEMBLE, RaceResult
from promise.selection.tuning import GROWING


@dataclass(frozen=True)
class Refit:
    """Where a listed model's final form lies.

    Parameters
    ----------
    view
        The candidate's view: models that share it share `features`.
    features, fitted
        Folders to load the fitted features and the fitted model from; None when it failed.
    rows
        How many rows it learned from.
    note
        Why it is not what was asked for, where it is not.
    """

    name: str
    kind: str
    view: str
    features: Path | None
    fitted: Path | None
    rounds: int | None
    rows: int
    seconds: float
    size_mb: float
    note: str | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a model."""
        return self.fitted is not None


def refit(
    result: RaceResult,
    *,
    job: Job,
    engine: Engine,
    names: Sequence[str] | None = None,
    deadline_s: float | None = None,
    n_sealed: int = 0,
    monotonic: Callable[[], float] = time.monotonic,
) -> dict[str, Refit]:
    """Train models on all rows of the race, the winner's members first.

    A model that cannot be trained in time is represented by its first fold's, which has learned
    from fewer rows; its note says so. A member of the winner that has no such form, since only a
    part of the rows was reached, is trained whatever the time.

    Parameters
    ----------
    names
        Trials to train, `"ensemble"` for its members; by default the winner and all listed.
    deadline_s
        Monotonic seconds by which everything is done.
    n_sealed
        Rows that the models answer next. The others are trained only where it leaves the winner's
        members the time for that.
    """
    trials = ordered_trials(result, names)
    grounds = result.grounds
    work = [(t, fixed_rounds(t, grounds.train.n_rows)) for t in trials if t.ok]
    found: dict[str, Refit] = {}

    def left(kept_s: float) -> float:
        return math.inf if deadline_s is None else deadline_s - kept_s - monotonic()

    winning = [t for t, _ in result.members] if result.winner else []
    members = {t.name for t in winning}
    handover_s = sum(handover_seconds(t, n_sealed) for t in winning)
    for batch in batches(work, grounds, job):
        slots = max(1, min(len(batch), job.threads))
        need = sum(expected_seconds(t, grounds.train.n_rows) for t, _ in batch) / slots
        others = members.isdisjoint(t.name for t, _ in batch)
        if need > left(handover_s if others else 0.0):
            late = {t.name: stand_in(t, grounds, "no time was left") for t, _ in batch}
            found |= late
            batch = [w for w in batch if w[0].name in members and not late[w[0].name].ok]
            if batch:
                found |= train_batch(batch, grounds, engine, None)
            continue
        found |= train_batch(batch, grounds, engine, deadline_s)
    failed = {t.name: failure(t) for t in trials if not t.ok}
    return found | failed


def ordered_trials(result: RaceResult, names: Sequence[str] | None) -> list[Trial]:
    """Return the trials to train, the winner's members first, then the quickest first."""
    members = [trial for trial, _ in result.members] if result.winner else []
    if names is None:
        asked = [*members, *result.listed]
    else:
        asked = [t for n in names for t in (members if n == ENSEMBLE else [result.trial(n)])]
    unique = {t.name: t for t in asked}
    first = [t for t in members if t.name in unique]
    rest = [t for n, t in unique.items() if n not in {m.name for m in first}]
    return first + sorted(rest, key=lambda t: (not t.ok, t.fit_seconds if t.ok else 0.0))


def fixed_rounds(trial: Trial, n_rows: int) -> int | None:
    """Return the rounds for all rows: the folds' mean, a little more where more rows carry more.

    The square root keeps between no growth and growth in proportion to the rows. Other families
    keep theirs: an epoch over more rows is more steps already.
    """
    rounds = trial.refit_rounds
    if rounds is None or trial.family not in GROWING:
        return rounds
    return max(1, round(rounds * math.sqrt(n_rows / max(1, trial.rows))))


def expected_seconds(trial: Trial, n_rows: int) -> float:
    """Expect how long a refit takes, from the folds' fits."""
    return 0.2 + 1.15 * trial.fit_seconds * n_rows / max(1, trial.rows)


def batches(
    work: Sequence[tuple[Trial, int | None]], grounds: Grounds, job: Job
) -> Iterator[list[tuple[Trial, int | None]]]:
    """Cut the work into groups that may run at once, in threads and in memory."""
    batch: list[tuple[Trial, int | None]] = []
    used = 0.0
    for trial, rounds in work:
        need = trial.candidate.estimator.memory_mb(
            grounds.train.n_rows, len(grounds.train.columns.arrays), grounds.train.n_classes
        )
        full = job.memory_mb is not None and used + need > job.memory_mb
        if batch and (len(batch) >= max(1, job.threads) or full):
            yield batch
            batch, used = [], 0.0
        batch.append((trial, rounds))
        used += need
    if batch:
        yield batch


def train_batch(
    batch: Sequence[tuple[Trial, int | None]],
    grounds: Grounds,
    engine: Engine,
    deadline_s: float | None,
) -> dict[str, Refit]:
    """Featurize all rows where that is not done, then train; what fails is represented."""
    views = {t.candidate.view_id: t.candidate for t, _ in batch}
    made = {}
    for view_id, candidate in views.items():
        task, name = view_of_all(grounds, candidate), f"features of {candidate.name}"
        if not (task.out / "view.json").exists():
            made[view_id] = engine.submit(make_view, task, name=name, deadline_s=deadline_s)
    problems = {view_id: problem for view_id, h in made.items() if (problem := why_failed(h))}
    tasks = {
        t.name: fit_of_all(grounds, t.candidate, rounds, deadline_s)
        for t, rounds in batch
        if t.candidate.view_id not in problems
    }
    handles = {
        name: engine.submit(run_fit, task, name=f"{name} on all rows", deadline_s=deadline_s)
        for name, task in tasks.items()
    }
    found = {}
    for trial, rounds in batch:
        handle = handles.get(trial.name)
        problem = problems[trial.candidate.view_id] if handle is None else why_failed(handle)
        if handle is None or problem is not None:
            found[trial.name] = stand_in(trial, grounds, problem or "it failed")
            continue
        report, view = handle.result(), view_of_all(grounds, trial.candidate).out
        found[trial.name] = Refit(
            name=trial.name,
            kind=trial.family,
            view=trial.candidate.view_id,
            features=view / "features",
            fitted=tasks[trial.name].out / "fitted",
            rounds=report["rounds"] if rounds is None else rounds,
            rows=grounds.train.n_rows,
            seconds=report["fit_seconds"],
            size_mb=report["size_mb"],
            note="stopped early at the deadline" if report["cut"] else None,
        )
    return found


def why_failed(handle: Handle[Any]) -> str | None:
    """Wait for a piece of work; return the reason if it failed."""
    try:
        handle.result()
    except FitFailed as error:
        if error.reason == "disk":  # nothing else could be written either
            raise
        return str(error)
    return None


def view_of_all(grounds: Grounds, candidate: Candidate) -> ViewTask:
    """Return the work of featurizing all rows."""
    return ViewTask(
        data=grounds.folder / "data",
        features=candidate.features.with_schema(grounds.schema),
        train=grounds.folder / "folds" / "all.npy",
        valid=None,
        out=grounds.folder / "views" / candidate.view_id / "all",
        job=grounds.job.child(f"view/{candidate.view_id}/all"),
    )


def fit_of_all(
    grounds: Grounds, candidate: Candidate, rounds: int | None, deadline_s: float | None
) -> FitTask:
    """Return the work of training on all rows at fixed rounds."""
    return FitTask(
        data=grounds.folder / "data",
        view=grounds.folder / "views" / candidate.view_id / "all",
        estimator=candidate.at_rounds(rounds).estimator,
        train=grounds.folder / "folds" / "all.npy",
        valid=None,
        metric=grounds.metric.name,
        out=grounds.folder / "refits" / f"{candidate.key()}-{rounds or 0}",
        job=grounds.job.child(f"refit/{candidate.key()}", deadline_s=deadline_s),
    )


def stand_in(trial: Trial, grounds: Grounds, why: str) -> Refit:
    """Represent a model by its first fold's."""
    fold = trial.folds[0] if trial.folds else 0
    features = grounds.view(trial.candidate, grounds.last_rung, fold) / "features"
    fitted = trial.fitted[0] if trial.fitted else None
    there = fitted is not None and fitted.exists() and features.exists()
    return Refit(
        name=trial.name,
        kind=trial.family,
        view=f"{trial.candidate.view_id}-fold",
        features=features if there else None,
        fitted=fitted if there else None,
        rounds=trial.rounds[0] if trial.rounds else None,
        rows=trial.rows,
        seconds=trial.fit_seconds,
        size_mb=trial.size_mb,
        note=f"{why}: trained on {trial.rows:,} of {grounds.train.n_rows:,} rows"
        if there
        else f"not trained on all rows: {why}",
    )


def failure(trial: Trial) -> Refit:
    """Represent a model that never succeeded."""
    return Refit(
        trial.name, trial.family, trial.candidate.view_id, None, None, None, 0, 0.0, 0.0,
        note=trial.status,
    )  # fmt: skip
