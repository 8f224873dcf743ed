"""The first design's own retraining: when it is due, and whether what it trained is better.

The platform's retraining serves every workload and is what a deployed model uses; this one needs
nothing but a folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from promise.clock import Clock, SystemClock
from promise.data.columns import FloatArray, IntArray
from promise.errors import DataError
from promise.features.text import to_columns
from promise.features.text_duplicates import groups
from promise.features.text_reading import Reading
from promise.job import Job
from promise.kernels.rows import hash_fold
from promise.metrics.intervals import Difference, paired_difference
from promise.metrics.pointwise import metric_named
from promise.state.files import alone, write_json
from promise.workloads.articles.reference import AdaptiveFeatureExtractor, Article
from promise.workloads.articles.reference_classifier import (
    MLClassifier,
    label_names,
    load_model_version,
    version_folder,
    version_metadata,
    versions_in,
)

_PARTS = 5  # one of them judges
_ATTEMPT = "last_attempt.json"
_DRIFT_RESTS_DAYS = 1.0


@dataclass(frozen=True)
class Due:
    """Whether a retraining should run now; true in a condition when it should."""

    due: bool
    reason: str

    def __bool__(self) -> bool:
        return self.due


@dataclass(frozen=True)
class Retrained:
    """What came of a retraining.

    Parameters
    ----------
    version
        The version that was kept; None when the new one did not win.
    f1
        Macro-F1 of the new one on the articles that judge.
    difference
        How much better than the live one on the same articles; None for a first version.
    """

    version: int | None
    f1: float
    difference: Difference | None
    reason: str

    @property
    def kept(self) -> bool:
        """Whether the new version takes the live one's place."""
        return self.version is not None


@dataclass
class AutoRetrainer:
    """Trains a new version when enough has come, and keeps it only when it wins.

    A fifth of all articles, chosen by what they say, judges every version and trains none.

    Parameters
    ----------
    folder
        Where the versions live.
    every_articles, every_days
        How many new labels, or how much time, make a retraining due.
    min_f1
        Macro-F1 that a first version must reach.
    settings
        Keyword arguments of the extractor; its `dataset_size` is that of all labelled articles.
    """

    folder: Path | str
    every_articles: int = 200
    every_days: float = 7.0
    min_f1: float = 0.85
    settings: dict[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    seed: int = 7

    def should_retrain(self, n_new: int = 0, *, drifted: bool = False) -> Due:
        """Say whether a retraining is due, and why or why not.

        What an attempt has seen makes no second one due, also where it did not win: labels and
        days count from it, and drift asks again a day after one that was lost.

        Parameters
        ----------
        n_new
            Articles that were labelled since the newest version was trained; before the first
            version all that are labelled.
        drifted
            Whether the predicted classes have moved; see `ProductionMonitor.report`.
        """
        known, tried = versions_in(self.folder), self._last_attempt()
        if not known and tried is None:
            return Due(True, "there is no version yet")
        newest = version_metadata(self.folder, known[-1]) if known else {}
        last, fresh = self._since(newest, tried, n_new)
        waited = self.clock.now() - last
        since = "new labels" if fresh == n_new else "labels since the last attempt"
        lost = tried is not None and tried["version"] is None
        if drifted and not (lost and waited < timedelta(days=_DRIFT_RESTS_DAYS)):
            return Due(True, "the predicted classes have drifted")
        if fresh >= self.every_articles:
            return Due(True, f"{fresh} {since} (asked: every {self.every_articles})")
        if fresh > 0 and waited >= timedelta(days=self.every_days):
            return Due(True, f"{self.every_days:g} days since the last training")
        lacking = self.every_articles - fresh
        return Due(False, f"due after {lacking} more labels, or {self.every_days:g} days")

    def _since(
        self, newest: Mapping[str, Any], tried: Mapping[str, Any] | None, n_new: int
    ) -> tuple[datetime, int]:
        """Return when was trained last, won or lost, and how many labels came after."""
        if tried is None:
            return datetime.fromisoformat(newest["trained_at"]), n_new
        seen = tried["dataset_size"] - newest.get("dataset_size", 0)
        return datetime.fromisoformat(tried["at"]), max(0, n_new - max(0, seen))

    def _last_attempt(self) -> dict[str, Any] | None:
        path = Path(self.folder) / _ATTEMPT
        if not path.is_file():
            return None
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return told

    def retrain(self, articles: Sequence[Article], labels: Sequence[Any]) -> Retrained:
        """Train on all labelled articles, compare with the newest version, keep the winner.

        Raises
        ------
        DataError
            When no article is left to judge by, or not one label for each.
        StateError
            When another retraining of this folder is running.
        """
        if len(articles) != len(labels):
            raise DataError(
                f"{len(articles)} articles came with {len(labels)} labels; give one for each."
            )
        known = label_names(labels)
        home = Path(self.folder)
        with alone(home / ".retraining", f"a retraining of {home} is running; wait for its end."):
            train, judge = self._sides(articles)
            rows, names = [articles[i] for i in train], [known[i] for i in train]
            settings = {"dataset_size": len(articles), **self.settings}
            classifier = MLClassifier(AdaptiveFeatureExtractor(**settings), self.seed)
            classifier.train(rows, names)
            held, truth = [articles[i] for i in judge], [known[i] for i in judge]
            outcome = self._judged(classifier, held, truth)
            if outcome.version is not None:
                told = self._told(classifier, outcome, len(articles))
                classifier.save(version_folder(home, outcome.version), told)
            self._remember(outcome, len(articles))
            return outcome

    def _remember(self, outcome: Retrained, n_articles: int) -> None:
        """Keep what was tried last, so that the same labels make no second attempt due."""
        told = {
            "at": self.clock.now().isoformat(),
            "dataset_size": n_articles,
            "version": outcome.version,
            "f1_macro": outcome.f1,
            "reason": outcome.reason,
        }
        write_json(Path(self.folder) / _ATTEMPT, told)

    def _sides(self, articles: Sequence[Article]) -> tuple[list[int], list[int]]:
        """Deal articles by what they say, copies together: an article never changes sides."""
        reading = Reading.of(to_columns(articles))
        group = groups(reading.texts)
        leading = np.full(int(group.max(initial=-1)) + 1, np.iinfo(np.uint64).max, np.uint64)
        np.minimum.at(leading, group, reading.hashes)
        places = (leading[group] >> np.uint64(1)).astype(np.int64)
        judges = hash_fold(places, _PARTS, Job(seed=self.seed).child("judge").seed) == 0
        train, judge = np.flatnonzero(~judges).tolist(), np.flatnonzero(judges).tolist()
        if not judge or not train:
            raise DataError(
                f"{len(articles)} articles are too few to judge by a fifth of them; label more."
            )
        return train, judge

    def _judged(
        self, classifier: MLClassifier, held: Sequence[Article], truth: Sequence[str]
    ) -> Retrained:
        classes = sorted({*classifier.classes, *truth})
        y = np.searchsorted(np.array(classes), np.array(truth)).astype(np.int64)
        new = _widened(classifier, held, classes)
        metric = metric_named("f1_macro", classifier.answer)
        f1, known = metric.score(y, new), versions_in(self.folder)
        if not known:
            if f1 < self.min_f1:
                return Retrained(None, f1, None, f"macro-F1 {f1:.3f} is below {self.min_f1:g}")
            return Retrained(1, f1, None, f"macro-F1 {f1:.3f} keeps the promise of {self.min_f1:g}")
        live = load_model_version(self.folder)
        classes = sorted({*classes, *live.classes})
        y = np.searchsorted(np.array(classes), np.array(truth)).astype(np.int64)
        pair = (_widened(one, held, classes) for one in (classifier, live))
        won = paired_difference(metric, y, *pair, seed=self.seed)
        told = f"{won.mean:+.3f} macro-F1 ({won.low:+.3f} to {won.high:+.3f}) on {len(y)} articles"
        if won.low <= 0:
            return Retrained(None, f1, won, f"not proven better than version {known[-1]}: {told}")
        return Retrained(known[-1] + 1, f1, won, f"better than version {known[-1]}: {told}")

    def _told(
        self, classifier: MLClassifier, outcome: Retrained, n_articles: int
    ) -> dict[str, Any]:
        extractor = classifier.extractor
        assert extractor is not None  # made by `retrain`
        return {
            "version": outcome.version,
            "trained_at": self.clock.now().isoformat(),
            "dataset_size": n_articles,
            "configuration": extractor.feature_config.name,
            "f1_macro": outcome.f1,
            "n_features": extractor.n_features,
            "reason": outcome.reason,
        }


def _widened(
    classifier: MLClassifier, articles: Sequence[Article], classes: list[str]
) -> FloatArray:
    """Return probabilities of these classes, zero for those that the classifier does not know."""
    found = np.zeros((len(articles), len(classes)))
    places: IntArray = np.searchsorted(np.array(classes), np.array(classifier.classes))
    found[:, places] = classifier.predict_proba(articles)
    return found
