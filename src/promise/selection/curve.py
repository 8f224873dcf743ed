"""How much data is enough: the score on nested samples, and what more rows would give."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.columns import Array, FloatArray
from promise.engine.base import Engine
from promise.errors import FitFailed
from promise.job import Job
from promise.metrics.intervals import bootstrap_interval
from promise.metrics.pointwise import Metric
from promise.selection.board import BASELINE
from promise.selection.candidates import Trial
from promise.selection.curve_plan import planned_by_rows, planned_by_time
from promise.selection.fits import FitTask, ViewTask, make_view, run_fit
from promise.selection.grounds import Grounds
from promise.selection.ladder import nested_subset
from promise.selection.result import RaceResult

RESAMPLES = 200
POWERS = np.linspace(0.1, 2.0, 39)
"""Decay exponents tried in the fit."""

TOLERANCE = 0.002
"""A gain below this is not worth gathering four times the rows for, in units of the metric."""


@dataclass(frozen=True)
class Point:
    """One fit of the curve."""

    rows: int
    seed: int
    score: float
    seconds: float


@dataclass(frozen=True)
class Curve:
    """A learning curve: error = a + b · rows^(-c), with what it says about more data.

    Parameters
    ----------
    model
        The trial that was trained on every sample.
    a, b, c
        Of the fitted curve; NaN when there were fewer than three sizes.
    enough
        The smallest number of rows from which four times as many gain less than the larger of
        standard error and tolerance; None where that lies beyond the rows at hand.
    statements
        The same in sentences.
    """

    model: str
    metric: str
    validation_rows: int
    points: tuple[Point, ...]
    a: float
    b: float
    c: float
    enough: int | None
    statements: tuple[str, ...]
    bands: tuple[tuple[int, float, float, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the curve as JSON; `bands` are (rows, predicted score, low, high)."""
        data = dict(vars(self))
        data["points"] = [dict(vars(p)) for p in self.points]
        data["bands"] = [list(band) for band in self.bands]
        data["statements"] = list(self.statements)
        for name in ("a", "b", "c"):
            data[name] = None if math.isnan(data[name]) else data[name]
        return data


def learning_curve(
    result: RaceResult,
    *,
    job: Job,
    engine: Engine,
    deadline_s: float | None = None,
    total_rows: int | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Curve:
    """Train the best single model on nested samples and judge each on the same rows.

    Parameters
    ----------
    total_rows
        Rows of the whole source, when the race saw a sample: what they would give is predicted.
    deadline_s
        Monotonic seconds; sizes and seeds that cannot be trained by then are left out. None: the
        samples hold together no more rows than the race's fits of this model.
    """
    grounds = result.grounds
    trial = next((t for t in result.listed if t.ok and t.family != BASELINE), result.best)
    points = list(full_points(trial, grounds))
    points += measure(trial, grounds, job, engine, deadline_s, monotonic)
    points.sort(key=lambda p: (p.rows, p.seed))
    return conclude_curve(trial, result, points, total_rows, job.seed)


def full_points(trial: Trial, grounds: Grounds) -> list[Point]:
    """Return the race's own fit on all rows of the first fold."""
    if not trial.fold_scores or trial.rung < grounds.last_rung:
        return []
    rows = len(grounds.folds[0][0])
    return [Point(rows, 0, trial.fold_scores[0], trial.fit_seconds)]


def measure(
    trial: Trial,
    grounds: Grounds,
    job: Job,
    engine: Engine,
    deadline_s: float | None,
    monotonic: Callable[[], float],
) -> list[Point]:
    """Train on the nested samples of several seeds, as many as the time or the race allows."""
    if deadline_s is None:
        planned = planned_by_rows(trial, len(grounds.folds[0][0]))
    else:
        left = (deadline_s - monotonic()) * max(1, job.threads)
        planned = planned_by_time(trial, len(grounds.folds[0][0]), left)
    handles = []
    for size, seed in planned:
        tasks = curve_tasks(trial, grounds, size, seed, job, deadline_s)
        name = f"learning curve, {size:,} rows"
        handles.append(engine.submit(run_point, *tasks, name=name, deadline_s=deadline_s))
    found = []
    for (size, seed), handle in zip(planned, handles, strict=True):
        try:
            report = handle.result()
        except FitFailed:
            continue
        if math.isfinite(report["score"]) and not report["cut"]:
            found.append(Point(size, seed, report["score"], report["fit_seconds"]))
    return found


def run_point(view: ViewTask, fit: FitTask) -> dict[str, Any]:
    """Featurize and fit one sample; a process of its own does both."""
    make_view(view)
    return run_fit(fit)


def curve_tasks(
    trial: Trial, grounds: Grounds, size: int, seed: int, job: Job, deadline_s: float | None
) -> tuple[ViewTask, FitTask]:
    """Return the work of one point: its features, then its fit."""
    home = grounds.folder / "curve" / f"{size}-{seed}"
    home.mkdir(parents=True, exist_ok=True)
    rows = np.arange(grounds.train.n_rows) if grounds.train.rows is None else grounds.train.rows
    subset = nested_subset(grounds.folds[0][0], rows, size, job.child(f"curve-{seed}").seed)
    np.save(home / "train.npy", subset)
    data, valid = grounds.folder / "data", grounds.folder / "folds" / "valid-0.npy"
    own = replace(job.child(f"curve-{size}-{seed}", deadline_s=deadline_s), threads=1)
    features = trial.candidate.features.with_schema(grounds.schema)
    view = ViewTask(data, features, home / "train.npy", valid, home / "view", own)
    fit = FitTask(
        data, home / "view", trial.candidate.estimator, home / "train.npy", valid,
        grounds.metric.name, home / "fit", own,
    )  # fmt: skip
    return view, fit


def errors_of(metric: Metric, scores: FloatArray) -> FloatArray:
    """Return what shrinks with more rows: the score, or one minus it where more is better."""
    return 1.0 - scores if metric.greater_is_better else scores


def fit_power(rows: FloatArray, errors: FloatArray) -> tuple[float, float, float]:
    """Fit error = a + b · rows^(-c), larger samples weighing more; a and b are not negative.

    Weights grow with the rows (Figueroa et al. 2012, "Predicting sample size required for
    classification performance"); the exponent is searched, the rest is linear.

    Examples
    --------
    >>> n = np.array([100.0, 200.0, 400.0, 800.0])
    >>> a, b, c = fit_power(n, 0.1 + 2.0 * n**-0.5)
    >>> round(a, 3), round(b, 3), round(c, 3)
    (0.1, 2.0, 0.5)
    """
    weight = np.sqrt(rows / rows.sum())
    best, found = np.inf, (float(np.mean(errors)), 0.0, 1.0)
    for power in POWERS:
        basis = np.column_stack([np.ones_like(rows), rows**-power])
        solved, *_ = np.linalg.lstsq(basis * weight[:, None], errors * weight, rcond=None)
        a, b = float(solved[0]), float(solved[1])
        if a < 0:
            a, b = (
                0.0,
                float(
                    np.sum(weight**2 * basis[:, 1] * errors) / np.sum(weight**2 * basis[:, 1] ** 2)
                ),
            )
        if b < 0:
            a, b = float(np.average(errors, weights=weight**2)), 0.0
        loss = float(np.sum(weight**2 * (a + b * rows**-power - errors) ** 2))
        if loss < best - 1e-15:
            best, found = loss, (a, b, float(power))
    return found


def conclude_curve(
    trial: Trial, result: RaceResult, points: list[Point], total_rows: int | None, seed: int
) -> Curve:
    """Fit the curve, its interval, and say what it means."""
    metric, grounds = result.grounds.metric, result.grounds
    check = grounds.folds[0][1]
    rows = np.array([p.rows for p in points], dtype=np.float64)
    base = Curve(
        trial.name, metric.name, len(check), tuple(points), math.nan, math.nan, math.nan, None,
        ("There were too few sizes to say how much data is enough.",),
    )  # fmt: skip
    if len(np.unique(rows)) < 3:
        return base
    errors = errors_of(metric, np.array([p.score for p in points]))
    a, b, c = fit_power(rows, errors)
    targets = sorted({*np.unique(rows).astype(int).tolist(), int(rows.max()) * 4,
                      *([total_rows] if total_rows else [])})  # fmt: skip
    samples = resampled_curves(rows, errors, np.array(targets, dtype=np.float64), seed)
    noise = standard_error(result, trial, check, seed)
    bands = tuple(
        (n, *(float(v) for v in scores_band(metric, a + b * n**-c, samples[:, i], noise)))
        for i, n in enumerate(targets)
    )
    enough = enough_rows(np.unique(rows), (a, b, c), max(noise, TOLERANCE))
    said = sentences(metric, trial, bands, enough, int(rows.max()), total_rows)
    return replace(base, a=a, b=b, c=c, enough=enough, bands=bands, statements=tuple(said))


def resampled_curves(rows: Array, errors: Array, targets: Array, seed: int) -> FloatArray:
    """Return curves (resamples, targets) fitted to resampled residuals."""
    rng = np.random.default_rng(seed)
    a, b, c = fit_power(rows, errors)
    fitted = a + b * rows**-c
    scaled = (errors - fitted) * np.sqrt(rows)  # noise shrinks with the sample
    found = []
    for _ in range(RESAMPLES):
        drawn = fitted + rng.choice(scaled, len(scaled)) / np.sqrt(rows)
        ra, rb, rc = fit_power(rows, drawn)
        found.append(ra + rb * targets**-rc)
    return np.array(found)


def scores_band(
    metric: Metric, error: float, samples: Array, noise: float
) -> tuple[float, float, float]:
    """Return the predicted score and its 95 % interval, validation noise included."""
    spread = math.hypot(float(np.std(samples)), noise)
    middle = 1.0 - error if metric.greater_is_better else error
    return middle, middle - 1.96 * spread, middle + 1.96 * spread


def standard_error(result: RaceResult, trial: Trial, check: Array, seed: int) -> float:
    """Return the standard error of a score on the fixed validation rows."""
    if trial.name not in result.outputs:
        return 0.0
    # the first fold's rows come first
    output, y = result.outputs[trial.name][: len(check)], result.y[: len(check)]
    low, high = bootstrap_interval(result.grounds.metric, y, output, seed=seed, n=200)
    return 0.0 if math.isnan(low) else (high - low) / 3.92


def enough_rows(sizes: Array, curve: tuple[float, float, float], least: float) -> int | None:
    """Return the smallest size from which four times as many rows gain less than `least`."""
    _, b, c = curve
    for size in sizes.astype(int).tolist():
        if b * size**-c - b * (4 * size) ** -c < least:
            return int(size)
    return None


def sentences(
    metric: Metric,
    trial: Trial,
    bands: tuple[tuple[int, float, float, float], ...],
    enough: int | None,
    most: int,
    total_rows: int | None,
) -> list[str]:
    """Say how much data is enough and what more would likely give."""
    at = {band[0]: band for band in bands}
    said = []
    if enough is not None:
        said.append(
            f"About {enough:,} rows are enough for {trial.name}: four times as many would change "
            f"{metric.name} by less than these rows can measure."
        )
    else:
        said.append(f"More data would help: {most:,} rows are not yet enough for {trial.name}.")
    further = total_rows if total_rows is not None and total_rows > most else 4 * most
    n, score, low, high = at[further] if further in at else bands[-1]
    whole = "all" if total_rows is not None and further == total_rows else "with"
    said.append(
        f"Trained on {whole} {n:,} rows it would likely reach {metric.name} {score:.4g} "
        f"(95 % interval {low:.4g} to {high:.4g})."
    )
    return said


def tidy_curve(folder: Path) -> None:
    """Delete the curve's work files."""
    import shutil

    shutil.rmtree(folder / "curve", ignore_errors=True)
