"""Rungs: what was tried by cross-validation, how it is scored, and which one is chosen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from promise.data.answer import Class, Labels
from promise.data.columns import Array, FloatArray, IntArray
from promise.job import Job
from promise.kernels.multilabel import coded
from promise.metrics.intervals import bootstrap_interval
from promise.metrics.pointwise import Metric, metric_named
from promise.workloads.articles.chances import Chances, label_multipliers, log_odds_of
from promise.workloads.articles.score import blended
from promise.workloads.articles.split import group_folds
from promise.workloads.articles.task import METRIC
from promise.workloads.articles.ways import Setting

FOLDS = 5
_RESAMPLES = 200


@dataclass(frozen=True)
class Terms:
    """What the ladder may spend and what it is measured by.

    Parameters
    ----------
    latency_ms
        A rung that takes longer for one article of usual length is not chosen; None: no bound.
    deadline_s
        On the monotonic clock: what cannot end by then is not begun.
    """

    answer: Class | Labels
    job: Job
    latency_ms: float | None
    deadline_s: float
    clock: Callable[[], float] = time.monotonic

    @property
    def several(self) -> bool:
        """Whether an article may have several labels."""
        return isinstance(self.answer, Labels)

    @property
    def metric(self) -> Metric:
        """What rungs are ranked by."""
        return metric_named(METRIC, self.answer)


@dataclass(frozen=True, eq=False)
class Folds:
    """Which articles are learned from and which are judged, several times over.

    Parameters
    ----------
    parts
        Pairs of positions (learn, judge) for each repeat and fold.
    judged
        All judged positions, repeat after repeat, in the order of the parts.
    """

    parts: tuple[tuple[IntArray, IntArray], ...]
    judged: IntArray

    @classmethod
    def of(cls, truth: Array, groups: IntArray, job: Job, *, rivals: bool = True) -> Folds:
        """Deal articles into folds: classes alike, copies together; few articles several times.

        Parameters
        ----------
        rivals
            Whether rungs are to be told apart; to calibrate one, each article is judged once.
        """
        n = len(truth)
        repeats = 1 if n >= 1000 or not rivals else 4 if n < 250 else 2
        parts = []
        for repeat in range(repeats):
            fold = group_folds(truth, groups, FOLDS, job.child(f"folds-{repeat}").rng())
            parts += [
                (np.flatnonzero(fold != part), np.flatnonzero(fold == part))
                for part in range(FOLDS)
                if (fold == part).any()
            ]
        return cls(tuple(parts), np.concatenate([judge for _, judge in parts]))


@dataclass(frozen=True, eq=False)
class Rung:
    """What was tried, and how it fared.

    Parameters
    ----------
    ways
        Their names, each with the setting that fared best.
    shares
        Calibrated probabilities of the judged articles, float64 (n_judged, k).
    chances
        How each way's margins, and the mean of several, become probabilities.
    n_features
        In the first fold.
    status
        `tried`, `chosen`, `too slow`, `given up`, or `skipped`.
    """

    name: str
    ways: tuple[tuple[str, Setting], ...]
    cost: int
    shares: FloatArray | None = None
    chances: tuple[Chances, ...] = ()
    last: Chances | None = None
    multipliers: tuple[float, ...] | None = None
    score: float = float("nan")
    interval: tuple[float, float] = (float("nan"), float("nan"))
    n_features: int = 0
    latency_ms: float = float("nan")
    seconds: float = 0.0
    status: str = "tried"
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what `promise train --json` tells of it."""
        tried = self.shares is not None
        glanced = tried or self.status == "given up"
        return {
            "rung": self.name,
            "status": self.status,
            "why": self.why,
            "score": self.score if glanced else None,
            "ci": list(self.interval) if tried else None,
            "features": self.n_features if glanced else None,
            "latency_ms": self.latency_ms if glanced else None,
            "settings": {way: setting.told() for way, setting in self.ways},
            "seconds": self.seconds,
        }


def truth_of(truth: Array, answer: Class | Labels) -> Array:
    """Return labels as metrics read them: codes, or texts of several codes."""
    return coded(truth) if isinstance(answer, Labels) else truth.argmax(axis=1)


def measured(
    name: str,
    ways: tuple[tuple[str, Setting], ...],
    cost: int,
    margins: FloatArray,
    truth: Array,
    folds: Folds,
    terms: Terms,
) -> Rung:
    """Return the rung of a way with one setting, from its margins of the judged articles."""
    judged = truth[folds.judged]
    chances = Chances.fit(margins, judged, several=terms.several)
    shares = chances.of(margins)
    return scored(Rung(name, ways, cost, shares, (chances,)), judged, terms, folds)


def scored(rung: Rung, judged: Array, terms: Terms, folds: Folds) -> Rung:
    """Return the rung with its score and interval."""
    y = truth_of(judged, terms.answer)
    rung = decided(rung, judged, y, terms)
    assert rung.shares is not None
    interval = bootstrap_interval(
        terms.metric, y, rung.shares, seed=terms.job.seed, n=_RESAMPLES,
        multipliers=moved_by(rung), groups=folds.judged,
    )  # fmt: skip
    return replace(rung, interval=interval)


def decided(rung: Rung, judged: Array, y: Array, terms: Terms) -> Rung:
    """Return the rung with its score; labels are decided by thresholds of their own."""
    assert rung.shares is not None
    multipliers = label_multipliers(rung.shares, judged) if terms.several else None
    rung = replace(rung, multipliers=multipliers)
    assert rung.shares is not None
    return replace(rung, score=terms.metric.score(y, rung.shares, moved_by(rung)))


def moved_by(rung: Rung) -> Array | None:
    """Return what moves the decisions of labels; None for classes."""
    return None if rung.multipliers is None else np.array(rung.multipliers)


def mean_of(members: Sequence[Rung], judged: Array, terms: Terms, folds: Folds) -> Rung:
    """Return the rung that averages several."""
    shares = [member.shares for member in members if member.shares is not None]
    assert len(shares) == len(members), "only what was tried is averaged"
    last = Chances.fit(
        log_odds_of(blended(shares, None), terms.several), judged, several=terms.several
    )
    rung = Rung(
        " + ".join(member.name for member in members),
        tuple(chain.from_iterable(member.ways for member in members)),
        sum(member.cost for member in members),
        blended(shares, last),
        tuple(chain.from_iterable(member.chances for member in members)),
        last,
        n_features=sum(member.n_features for member in members),
        latency_ms=sum(member.latency_ms for member in members),
    )
    return scored(rung, judged, terms, folds)
