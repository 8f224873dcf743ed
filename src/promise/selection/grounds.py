"""Where a race is run: its data on disk, its folds and rungs, and the folders of its work."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.columns import Array, IntArray
from promise.data.schema import Schema
from promise.features.table import TableFeatures
from promise.job import Job
from promise.metrics.pointwise import Metric
from promise.models.base import Examples
from promise.selection.candidates import Candidate
from promise.selection.fits import FitTask, ViewTask
from promise.selection.ladder import Stage, nested_subset, rungs, stages
from promise.selection.store import save_examples


@dataclass(frozen=True)
class Grounds:
    """Everything about a race that stays the same from its first fit to its last.

    Parameters
    ----------
    folds
        Positions of training and validation rows, for each fold.
    sizes
        Training rows of each rung on the first fold; the last is all of them.
    fingerprint
        A digest of the data on disk.
    """

    folder: Path
    train: Examples
    schema: Schema
    metric: Metric
    folds: tuple[tuple[IntArray, IntArray], ...]
    sizes: tuple[int, ...]
    job: Job
    fingerprint: str

    @classmethod
    def prepare(
        cls,
        train: Examples,
        schema: Schema,
        metric: Metric,
        folds: Sequence[tuple[IntArray, IntArray]],
        job: Job,
        folder: Path,
    ) -> Grounds:
        """Write the data and the folds where the fits' processes will map them."""
        save_examples(train, folder / "data")
        folds = largest_first(folds)
        rows = np.arange(train.n_rows) if train.rows is None else train.rows
        sizes = rungs(len(folds[0][0]))
        home = folder / "folds"
        home.mkdir(parents=True, exist_ok=True)
        np.save(home / "all.npy", np.arange(train.n_rows))
        for fold, (learn, check) in enumerate(folds):
            np.save(home / f"valid-{fold}.npy", check)
            np.save(home / f"train-{len(sizes) - 1}-{fold}.npy", learn)
        for rung, size in enumerate(sizes[:-1]):
            subset = nested_subset(folds[0][0], rows, size, job.seed)
            np.save(home / f"train-{rung}-0.npy", subset)
        digest = digest_files(sorted((folder / "data").iterdir()))
        job = replace(job, threads=1, memory_mb=None, deadline_s=None)
        return cls(folder, train, schema, metric, tuple(folds), sizes, job, digest)

    @property
    def neutral(self) -> Array | None:
        """The multipliers that make plain probabilities decide fairly under the metric."""
        return neutral_multipliers(self.metric, self.train.y, self.train.n_classes)

    @cached_property
    def checked(self) -> IntArray:
        """Positions of the validated rows, fold by fold; repeated folds repeat them."""
        found: IntArray = np.concatenate([check for _, check in self.folds])
        return found

    @cached_property
    def repeats(self) -> int:
        """How often rows are validated, at most."""
        return int(np.bincount(self.checked).max())

    @property
    def journal(self) -> Path:
        """The race's journal."""
        return self.folder / "journal.jsonl"

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The hurdles in order."""
        return stages(len(self.sizes), len(self.folds), self.repeats)

    @property
    def last_rung(self) -> int:
        """The rung of all rows."""
        return len(self.sizes) - 1

    def about(self) -> dict[str, Any]:
        """Say what the race is about: a journal of anything else is not continued."""
        return {
            "data": self.fingerprint,
            "columns": list(self.train.columns),
            "metric": self.metric.name,
            "seed": self.job.seed,
            "folds": [[len(learn), len(check)] for learn, check in self.folds],
            "split": digest_files(sorted((self.folder / "folds").iterdir())),
        }

    def rows(self, rung: int, fold: int) -> int:
        """How many rows a fit learns from."""
        return self.sizes[rung] if rung < self.last_rung else len(self.folds[fold][0])

    def view(self, candidate: Candidate, rung: int, fold: int) -> Path:
        """Return the folder of a fold's matrices."""
        return self.folder / "views" / candidate.view_id / f"r{rung}-f{fold}"

    def fit(self, candidate: Candidate, rung: int, fold: int) -> Path:
        """Return the folder of one fit."""
        return self.folder / "fits" / candidate.key() / f"r{rung}-f{fold}"

    def view_task(self, candidate: Candidate, rung: int, fold: int) -> ViewTask:
        """Return the work of making a fold's matrices."""
        home = self.folder / "folds"
        return ViewTask(
            data=self.folder / "data",
            features=self._complete(candidate.features),
            train=home / f"train-{rung}-{fold}.npy",
            valid=home / f"valid-{fold}.npy",
            out=self.view(candidate, rung, fold),
            job=self.job.child(f"view/{candidate.view_id}/{rung}/{fold}"),
        )

    def fit_task(
        self,
        candidate: Candidate,
        rung: int,
        fold: int,
        *,
        deadline_s: float | None = None,
        rounds: int | None = None,
    ) -> FitTask:
        """Return the work of one fit; its seed depends on the configuration, not on the order."""
        home = self.folder / "folds"
        name = f"fit/{candidate.key()}/{rung}/{fold}"
        return FitTask(
            data=self.folder / "data",
            view=self.view(candidate, rung, fold),
            estimator=candidate.at_rounds(rounds).estimator,
            train=home / f"train-{rung}-{fold}.npy",
            valid=home / f"valid-{fold}.npy",
            metric=self.metric.name,
            multipliers=None if self.neutral is None else tuple(self.neutral.tolist()),
            out=self.fit(candidate, rung, fold),
            job=self.job.child(name, deadline_s=deadline_s),
        )

    def tidy(self, keep_fitted: Iterable[Path]) -> None:
        """Delete what nobody reads again: matrices of subsets, and models that are not listed."""
        for rung in range(self.last_rung):
            for folder in (self.folder / "views").glob(f"*/r{rung}-f*"):
                shutil.rmtree(folder, ignore_errors=True)
        kept = set(keep_fitted)
        for folder in (self.folder / "fits").glob("*/*/fitted"):
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _complete(self, features: TableFeatures) -> TableFeatures:
        return features.with_schema(self.schema)


def largest_first(folds: Sequence[tuple[IntArray, IntArray]]) -> list[tuple[IntArray, IntArray]]:
    """Put the longest of windows that grow in time first: the first fold decides most."""
    sizes = [len(learn) for learn, _ in folds]
    if max(sizes) <= 1.1 * min(sizes):
        return list(folds)
    return sorted(folds, key=lambda fold: -len(fold[0]))


def neutral_multipliers(metric: Metric, y: Array, n_classes: int) -> Array | None:
    """Return the multipliers that make plain probabilities decide fairly under a metric.

    Balanced accuracy counts each class alike, so its best decision divides by the class's share;
    other decision metrics start from plain argmax.
    """
    if metric.name != "balanced_accuracy":
        return None
    shares = np.bincount(y.astype(np.int64), minlength=n_classes) / max(1, len(y))
    found: Array = 1.0 / np.maximum(shares, 1.0 / max(1, len(y)))
    relative: Array = found / found.max()
    return relative


def digest_files(paths: Iterable[Path]) -> str:
    """Return a digest of files' names and contents."""
    found = hashlib.blake2b(digest_size=8)
    for path in paths:
        found.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()
