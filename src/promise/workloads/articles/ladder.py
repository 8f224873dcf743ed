"""The measured ladder: ways to classify, tried by cross-validation, and the rung that is chosen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.features.text_cache import CachedEncoder
from promise.job import Job
from promise.models.encoder import Encoder
from promise.workloads.articles.chances import Chances
from promise.workloads.articles.choosing import choose, lead_error
from promise.workloads.articles.kept import Kept, rows_named
from promise.workloads.articles.learners import Learner, OfVectors, computing
from promise.workloads.articles.rungs import (
    FOLDS,
    Folds,
    Rung,
    Terms,
    decided,
    mean_of,
    measured,
    truth_of,
)
from promise.workloads.articles.task import METRIC, TEXT
from promise.workloads.articles.ways import Fold, Read, Setting, Way

CLEAR = 0.02
"""A dear way this far behind after its first fold, and two standard errors, is given up."""

DEAR = 3
"""From this cost on."""

_PROBES = 5


@dataclass(frozen=True, eq=False)
class Ladder:
    """All rungs and the one that was chosen.

    Parameters
    ----------
    truth
        Of the judged articles, bool (n_judged, k).
    reason
        Why it was chosen, in a sentence.
    """

    rungs: tuple[Rung, ...]
    chosen: Rung
    reason: str
    folds: Folds
    truth: Array
    reads: dict[str, Read] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what `promise train --json` tells of it."""
        return {
            "rung": self.chosen.name,
            "reason": self.reason,
            "features": self.chosen.n_features,
            "metric": METRIC,
            "judged_by": f"{FOLDS}-fold cross-validation, {len(self.folds.parts) // FOLDS or 1} "
            "times, copies kept together",
            "rungs": [rung.to_json() for rung in self.rungs],
        }


def climb(
    ways: Sequence[Way],
    articles: Columns,
    truth: Array,
    groups: IntArray,
    terms: Terms,
    kept: Kept,
    tell: Callable[[str], None],
    means: Callable[[Sequence[Rung]], Sequence[Sequence[Rung]]],
    *,
    rivals: bool = True,
) -> Ladder:
    """Try every way by cross-validation, then means of several, and choose.

    Parameters
    ----------
    means
        Which ones are averaged.
    rivals
        Whether the ways were, or once were, to be told apart.
    """
    folds = Folds.of(truth, groups, terms.job, rivals=rivals)
    judged = truth[folds.judged]
    imbalanced = _imbalanced(truth)
    rungs: list[Rung] = []
    reads: dict[str, Read] = {}
    for way in ways:
        refused = _refused(way, articles, terms)
        if refused:
            rungs.append(Rung(way.name, (), way.cost, status="skipped", why=refused))
            tell(f"{way.name}: skipped, {refused}")
            continue
        begun = time.perf_counter()
        tell(f"trying {way.name}")
        read = way.read(articles, kept, terms.job, tell)
        reads[way.name] = read
        leader = _leader(rungs) if way.cost >= DEAR else None
        settings = way.settings(imbalanced)
        rung = _tried(way, read, settings, articles, truth, folds, terms, kept, leader)
        rung = replace(rung, seconds=time.perf_counter() - begun)
        rungs.append(rung)
        tell(f"{way.name}: {METRIC} {rung.score:.4f}" + (f", {rung.why}" if rung.why else ""))
    rungs = [_in_time(rung, terms) for rung in rungs]
    known = [rung for rung in rungs if rung.status == "tried"]
    for members in means(known):
        rungs.append(mean_of(members, judged, terms, folds))
        tell(f"{rungs[-1].name}: {METRIC} {rungs[-1].score:.4f}")
    rungs = [_in_time(rung, terms) for rung in rungs]
    chosen, reason = choose(rungs, truth_of(judged, terms.answer), terms, folds)
    chosen = replace(chosen, status="chosen")
    rungs = [chosen if r.name == chosen.name else r for r in rungs]
    tell(f"chosen: {chosen.name}, since {reason}")
    return Ladder(tuple(rungs), chosen, reason, folds, judged, reads)


def _imbalanced(truth: Array) -> bool:
    counts = truth.sum(axis=0)
    counts = counts[counts > 0]
    return bool(counts.max() > 3 * counts.min())


def _refused(way: Way, articles: Columns, terms: Terms) -> str:
    """Say why a way is not even tried; empty where it is."""
    left = terms.deadline_s - terms.clock()
    if left <= 0:
        return "no time is left of the budget"
    encoder = getattr(way, "encoder", None)
    if encoder is None:
        return ""
    making = float(getattr(encoder, "seconds_needed", 0.0))
    if making > left:
        return f"making its table takes about {making:,.0f} s, more than the {left:,.0f} s left"
    per_article = _encoding_s(encoder, articles)
    bound = terms.latency_ms
    if bound is not None and 1000 * per_article > 2 * bound:
        return f"{1000 * per_article:.3g} ms an article is more than {bound:g} ms"
    texts = articles[TEXT].tolist()
    lacking = encoder.cache.lacking(texts) if isinstance(encoder, CachedEncoder) else len(texts)
    needed, left = per_article * lacking, terms.deadline_s - terms.clock()
    if needed > left:
        return (
            f"encoding {lacking:,} articles takes about {needed:,.0f} s, more than the "
            f"{max(left, 0):,.0f} s left of the budget"
        )
    return ""


def _encoding_s(encoder: Encoder, articles: Columns) -> float:
    """Return what one article of usual length takes to encode, whatever a cache holds."""
    plain, probes = computing(encoder), _probes(articles)
    plain.encode(probes[:1])
    begun = time.perf_counter()
    for text in probes:
        plain.encode([text])
    return (time.perf_counter() - begun) / len(probes)


def _probes(articles: Columns) -> list[str]:
    """Return a few articles of usual length."""
    texts = articles[TEXT].tolist()
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    middle = max(0, len(order) // 2 - _PROBES // 2)
    return [texts[row] for row in order[middle : middle + _PROBES]]


def _tried(
    way: Way,
    read: Read,
    settings: Sequence[Setting],
    articles: Columns,
    truth: Array,
    folds: Folds,
    terms: Terms,
    kept: Kept,
    leader: Rung | None,
) -> Rung:
    """Cross-validate a way with each setting; the best one stands for it.

    Parameters
    ----------
    leader
        A dear way is given up after its first fold where it trails this rung clearly.
    """
    margins: dict[Setting, list[FloatArray]] = {setting: [] for setting in settings}
    first: Learner | None = None
    for number, (learn, judge) in enumerate(folds.parts):
        attempt = Attempt(way.name, read, learn, judge, truth, terms, terms.job.child(f"{number}"))
        for setting, found in margins.items():
            found.append(attempt.margins(setting, kept))
        first = first or attempt.learner(settings[0])
        if number == 0 and leader is not None:
            given_up = _trailing(way, margins, judge, truth, leader, terms)
            if given_up is not None:
                return replace(
                    given_up, n_features=first.n_features, latency_ms=_latency(first, articles)
                )
    rungs = [
        measured(way.name, ((way.name, setting),), way.cost, np.concatenate(found), truth, folds,
                  terms)
        for setting, found in margins.items()
    ]  # fmt: skip
    best = max(rungs, key=lambda rung: rung.score)
    assert first is not None
    return replace(best, n_features=first.n_features, latency_ms=_latency(first, articles))


def _leader(rungs: Sequence[Rung]) -> Rung | None:
    """Return the best rung so far; None before the first."""
    return max((r for r in rungs if r.status == "tried"), key=lambda rung: rung.score, default=None)


def _trailing(
    way: Way,
    margins: dict[Setting, list[FloatArray]],
    judge: IntArray,
    truth: Array,
    leader: Rung,
    terms: Terms,
) -> Rung | None:
    """Return the rung as given up where its first fold trails the leader's; None where not."""
    judged, y = truth[judge], truth_of(truth[judge], terms.answer)
    found = []
    for setting, parts in margins.items():
        chances = Chances.fit(parts[0], judged, several=terms.several)
        rung = Rung(way.name, ((way.name, setting),), way.cost, chances.of(parts[0]), (chances,))
        found.append(decided(rung, judged, y, terms))
    best = max(found, key=lambda rung: rung.score)
    assert leader.shares is not None
    ahead = decided(replace(leader, shares=leader.shares[: len(judge)]), judged, y, terms)
    lead = ahead.score - best.score
    if lead < CLEAR or lead < 2 * lead_error(ahead, best, y, terms, None):
        return None
    why = f"given up after one fold, {lead:.3f} behind {leader.name}"
    return replace(best, shares=None, status="given up", why=why)


@dataclass(frozen=True, eq=False)
class Attempt:
    """One fold of one way: features are fitted once, and only where something is not kept yet."""

    way: str
    read: Read
    learn: IntArray
    judge: IntArray
    truth: Array
    terms: Terms
    job: Job

    @cached_property
    def fold(self) -> Fold:
        """The features, fitted on the rows to learn from."""
        return self.read.fold(self.learn, self.truth, self.terms.several, self.job)

    def learner(self, setting: Setting) -> Learner:
        """Learn with a setting."""
        return self.fold.learn(setting, self.job.child(self.way))

    def margins(self, setting: Setting, kept: Kept) -> FloatArray:
        """Return margins of the judged rows, learned only where they are not kept."""
        name = f"{self.way} {setting} {rows_named(self.learn)} {rows_named(self.judge)}"
        return kept.array(name, lambda: self.fold.margins(self.learner(setting), self.judge))


def _latency(learner: Learner, articles: Columns) -> float:
    """Return what one article of usual length takes, in milliseconds: the median of a few."""
    found = []
    if isinstance(learner, OfVectors):
        learner = learner.without_cache()
    for text in _probes(articles):
        row = np.flatnonzero(articles[TEXT] == text)[:1]
        begun = time.perf_counter()
        learner.margins(articles.take(row))
        found.append(1000 * (time.perf_counter() - begun))
    return float(np.median(found))


def _in_time(rung: Rung, terms: Terms) -> Rung:
    bound = terms.latency_ms
    if rung.shares is None or bound is None or rung.latency_ms <= bound:
        return rung
    why = f"{rung.latency_ms:.3g} ms an article is more than {bound:g} ms"
    return replace(rung, status="too slow", why=why)
