"""What a fit's own process does: make a view's matrices, learn, predict, write, report."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.columns import Array, Columns, IntArray
from promise.errors import DataError
from promise.features.table import TableFeatures
from promise.job import Job
from promise.kernels.scores import score
from promise.models.base import MATRIX, ORDER, Estimator, Examples, Fitted, Iterative
from promise.selection.store import load_examples, load_labels


@dataclass(frozen=True)
class ViewTask:
    """Featurize one fold: fitted on its training rows, applied to its validation rows.

    Parameters
    ----------
    data
        The folder that `save_examples` wrote.
    train, valid
        Files of row positions; no `valid` when all rows are for training.
    out
        The folder to make.
    """

    data: Path
    features: TableFeatures
    train: Path
    valid: Path | None
    out: Path
    job: Job


@dataclass(frozen=True)
class FitTask:
    """Fit one estimator on one featurized fold.

    Parameters
    ----------
    view
        The folder that the `ViewTask` made.
    metric, multipliers
        Name of the score to report, and what moves its decisions.
    """

    data: Path
    view: Path
    estimator: Estimator
    train: Path
    valid: Path | None
    metric: str
    out: Path
    job: Job
    multipliers: tuple[float, ...] | None = None


def make_view(task: ViewTask) -> dict[str, Any]:
    """Write a fold's matrices and fitted features; return the seconds and the width."""
    began = time.monotonic()
    part = fresh(task.out)
    train = load_examples(task.data, np.load(task.train))
    fitted = task.features.fit(train, None, task.job)
    np.save(part / "train.npy", fitted.train_matrix(train))
    del train
    if task.valid is not None:
        valid = load_examples(task.data, np.load(task.valid))
        np.save(part / "valid.npy", fitted.predict(valid.columns))
    (part / "features").mkdir()
    fitted.save(part / "features")
    about = {
        "names": list(fitted.names),
        "categorical": [int(c) for c in fitted.categorical],
        "seconds": time.monotonic() - began,
    }
    (part / "view.json").write_text(json.dumps(about), encoding="utf-8")
    publish(part, task.out)
    return {"seconds": about["seconds"], "columns": len(fitted.names)}


def run_fit(task: FitTask) -> dict[str, Any]:
    """Learn, predict the validation rows and write both; return what the journal keeps."""
    part = fresh(task.out)
    train = view_examples(task.data, task.view, "train", np.load(task.train))
    valid = None
    if task.valid is not None:
        valid = view_examples(task.data, task.view, "valid", np.load(task.valid))
    began = time.monotonic()
    fitted = task.estimator.fit(train, valid, task.job)
    report: dict[str, Any] = {
        "rows": train.n_rows,
        "rounds": int(fitted.rounds) if isinstance(fitted, Iterative) else None,
        "fit_seconds": time.monotonic() - began,
        "cut": task.job.deadline_s is not None and time.monotonic() >= task.job.deadline_s,
    }
    if valid is not None:
        report |= assess(task, fitted, train, valid, part)
    (part / "fitted").mkdir()
    fitted.save(part / "fitted")
    report["size_mb"] = sum(f.stat().st_size for f in (part / "fitted").rglob("*")) / 2**20
    publish(part, task.out)
    return report


def assess(
    task: FitTask, fitted: Fitted, train: Examples, valid: Examples, part: Path
) -> dict[str, Any]:
    """Predict the validation rows, check and keep the output, and score it."""
    began = time.monotonic()
    output = predict_after(fitted, train, valid) if task.estimator.ordered else None
    if output is None:
        output = fitted.predict(valid.columns)
    seconds = time.monotonic() - began
    expected = (valid.n_rows, valid.n_classes) if valid.n_classes else (valid.n_rows,)
    if output.shape != expected:
        raise DataError(f"{fitted.kind} predicted shape {output.shape}, expected {expected}.")
    if not np.isfinite(output).all():
        raise DataError(f"{fitted.kind} predicted values that are not finite.")
    np.save(part / "output.npy", output)
    multipliers = None if task.multipliers is None else np.array(task.multipliers)
    return {
        "score": score(task.metric, valid.y, output, multipliers),
        "predict_ms": 1000 * seconds / max(1, valid.n_rows),
    }


def predict_after(fitted: Fitted, train: Examples, valid: Examples) -> Array:
    """Predict rows that follow others in time, with the earlier rows' inputs as their past."""
    columns = Columns.concat([train.columns, valid.columns])
    output: Array = fitted.predict(columns)[train.n_rows :]
    return output


def view_examples(data: Path, view: Path, part: str, positions: IntArray) -> Examples:
    """Return the labelled rows of a featurized fold, the matrix mapped from disk."""
    about = json.loads((view / "view.json").read_text(encoding="utf-8"))
    labels = load_labels(data, positions)
    columns = {MATRIX: np.load(view / f"{part}.npy", mmap_mode="r")}
    if labels.order is not None:
        columns[ORDER] = labels.order
    return replace(
        labels,
        columns=Columns(columns),
        names=tuple(about["names"]),
        categorical=tuple(about["categorical"]),
    )


def fresh(out: Path) -> Path:
    """Return an empty folder beside the one to make, private to this process."""
    part = out.with_name(f"{out.name}.part-{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    return part


def publish(part: Path, out: Path) -> None:
    """Give a finished folder its name; what a killed process left there before is replaced."""
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)
