"""Ways over dense feature groups: boosted trees, and the first design's logistic regression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from promise.data.answer import Class
from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.features.text_groups import Group, TextGroups, fit_groups
from promise.features.text_reading import Reading
from promise.job import Job
from promise.models.base import MATRIX, Examples, Fitted
from promise.models.boosting import LightGBM
from promise.models.text_linear import fit_logistic
from promise.workloads.articles.group_learners import OfBoostedGroups, OfGroups
from promise.workloads.articles.kept import Kept
from promise.workloads.articles.ways import Fold, Read, Setting

_ROUNDS, _LEAVES = 120, 15


@dataclass(frozen=True, eq=False)
class GroupsWay:
    """Dense feature groups into logistic regression or boosted trees.

    Parameters
    ----------
    name
        What it is called on the ladder.
    names
        What the classes are called, which keyword rules are told by.
    make
        Returns the groups for so many articles.
    boosted
        Whether trees learn on them; articles of several labels are learned linearly.
    """

    name: str
    cost: int
    names: tuple[str, ...]
    make: Callable[[int], Sequence[Group]]
    boosted: bool

    def settings(self, imbalanced: bool) -> Sequence[Setting]:
        """Return what is tried."""
        return (Setting(100.0, 0.5 if imbalanced else 0.0),)

    def read(self, articles: Columns, kept: Kept, job: Job, tell: Callable[[str], None]) -> Read:  # noqa: ARG002 — the way's signature
        """Cut all articles into words, once for all folds."""
        reading = Reading.of(articles)
        _ = reading.words, reading.title_words, reading.hashes
        return _ReadGroups(self, reading)


@dataclass(frozen=True, eq=False)
class _ReadGroups:
    way: GroupsWay
    reading: Reading

    def fold(self, rows: IntArray, truth: Array, several: bool, job: Job) -> Fold:
        return _GroupsFold(self.way, self.reading, rows, truth, several, job)


@dataclass(frozen=True, eq=False)
class _GroupsFold:
    way: GroupsWay
    reading: Reading
    rows: IntArray
    truth: Array
    several: bool
    job: Job

    @cached_property
    def groups(self) -> TextGroups:
        labels = [
            [self.way.names[code] for code in np.flatnonzero(self.truth[row]).tolist()]
            for row in self.rows.tolist()
        ]
        groups = self.way.make(len(self.rows))
        return fit_groups(groups, self.reading.take(self.rows), labels, self.job)

    @cached_property
    def features(self) -> FloatArray:
        return self.groups.transform(self.reading.take(self.rows))

    def learn(self, setting: Setting, job: Job) -> OfGroups | OfBoostedGroups:
        truth = self.truth[self.rows]
        if self.way.boosted and not self.several:
            return OfBoostedGroups(self.groups, _trees(self.features, truth, job))
        spread = self.features.std(axis=0, dtype=np.float64)
        scale = np.where(spread > 1e-9, spread, 1.0).astype(np.float32)
        learned = fit_logistic(
            self.features / scale, truth,
            strength=setting.strength, power=setting.power, several=self.several,
        )  # fmt: skip
        return OfGroups(self.groups, scale, learned)

    def margins(self, learner: Any, rows: IntArray) -> FloatArray:
        features = self.groups.transform(self.reading.take(rows))
        if isinstance(learner, OfBoostedGroups):
            return learner.of_features(features)
        return np.asarray(learner.linear.of(features / learner.scale))


def _trees(features: FloatArray, truth: Array, job: Job) -> Fitted:
    classes = Class(tuple(f"{code:06d}" for code in range(truth.shape[1])))
    codes = truth.argmax(axis=1).astype(np.int64)
    examples = Examples(Columns({MATRIX: features}), codes, classes)
    estimator = LightGBM(
        rounds=_ROUNDS, leaves=_LEAVES, learning_rate=0.08, min_leaf=5, column_sample=0.7
    )  # fmt: skip
    return estimator.fit(examples, None, job)
