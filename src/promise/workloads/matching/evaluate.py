"""How good the lists are on the sealed period: full ranking, beside what needs no learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.job import Job
from promise.kernels.scores import binary_roc_auc
from promise.metrics.ranking import (
    Estimate,
    Logged,
    Wanted,
    coverage,
    each_request,
    exposure_gini,
    mean_estimate,
    off_policy,
    recall_at,
)
from promise.workloads.matching.arena import Arena, Requests
from promise.workloads.matching.baselines import by_chance, content, popularity
from promise.workloads.matching.ground import Ground
from promise.workloads.matching.kinds import IMPRESSION, is_decision, is_positive
from promise.workloads.matching.learn import Learnt, drawn_from, groups_of, refitted
from promise.workloads.matching.lists import Lists
from promise.workloads.matching.moment import Moment
from promise.workloads.matching.rules import joint, mutual_yes
from promise.workloads.matching.sources import POOL
from promise.workloads.matching.split import TEST
from promise.workloads.matching.tables import Deeds

METRIC = "recall_at_20"
SHOWN = 20
_LEAST_LOGGED = 20
_COMPARED, _LOGGED = 1_000, 2_000
"""How many requests baselines are judged on, and how many choosers of a log's showings."""
_RESAMPLES = 1_000


@dataclass(frozen=True, eq=False)
class Judged:
    """What the sealed period says.

    Parameters
    ----------
    each
        Scores of each request, by metric.
    metrics
        Means, and what is told of all lists together.
    intervals
        Metric to its 95 % interval.
    """

    requests: Requests
    each: Mapping[str, FloatArray]
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    details: dict[str, Any] = field(default_factory=dict)


def judge(ground: Ground, learnt: Learnt, job: Job) -> Judged:
    """Judge what was learned on the sealed period, the source learned anew until it begins."""
    side = ground.cut.side(ground.deeds)
    before, later = ground.deeds.take(side < TEST), ground.deeds.take(side == TEST)
    arena = Arena(ground.people, before, groups_of(ground))
    model = refitted(learnt, arena, job)
    moment = Moment(arena, ground.cut.test_us, model)
    requests = arena.requests(later, job.child("judged").rng())
    seen = Lists.of(moment, requests, learnt.plan, job.seed)
    lists = served(seen, learnt)
    judged = judge_lists(lists, seen, later, job.seed)
    some = drawn_from(requests, _COMPARED, job.child("baselines"))
    judged.details["baselines"] = _baselines(arena, some, job.seed)
    judged.details["requests"] = {"judged": requests.n, "baselines": some.n}
    judged.details["stages"] = _stages(seen, lists, learnt, job.seed)
    logged = _off_policy(later, moment, learnt, job)
    if logged is not None:
        judged.details["off_policy"] = logged
    pairs = pair_scores(moment, learnt, later)
    judged.details["decisions"] = pairs.told(job.seed)
    judged.metrics.update({k: v for k, v in pairs.values().items() if np.isfinite(v)})
    return judged


def served(seen: Lists, learnt: Learnt) -> IntArray:
    """Return each request's list as it would be shown: int64 (b, 20)."""
    there = learnt.scorer.chances(seen.there)
    back = np.full(len(there), np.nan)
    if learnt.rule != "one_sided":
        back = learnt.scorer.chances(seen.back)
    return seen.served(learnt.pick, np.column_stack([there, back]))


def judge_lists(lists: IntArray, seen: Lists, later: Deeds, seed: int) -> Judged:
    """Score lists by what people did later, each metric with its interval."""
    requests, n = seen.requests, seen.moment.arena.n
    each = each_request(requests.wanted.found(lists), requests.wanted.counts)
    matches = mutual_yes(requests, seen.moment.arena, later)
    matched = matches.found(lists)
    each["match_recall_at_20"] = recall_at(matched, matches.counts, SHOWN)
    each["match_rate_at_20"] = matched[:, :SHOWN].mean(axis=1) if requests.n else np.empty(0)
    told = {name: mean_estimate(values, seed=seed) for name, values in each.items()}
    metrics = {name: one.value for name, one in told.items() if np.isfinite(one.value)}
    shown = lists[:, :SHOWN]
    metrics |= {"coverage": coverage(shown, n), "exposure_gini": exposure_gini(shown, n)}
    intervals = {name: (one.low, one.high) for name, one in told.items() if name in metrics}
    return Judged(requests, each, metrics, intervals)


@dataclass(frozen=True, eq=False)
class PairScores:
    """Chances of both sides for pairs that were decided on, and what was decided.

    Parameters
    ----------
    match
        1 where both said yes, 0 where one said no; NaN where one did not decide: (n,).
    """

    there: FloatArray
    back: FloatArray
    yes: Array
    match: FloatArray
    chooser: IntArray

    def values(self) -> dict[str, float]:
        """Return how well yeses, and matches by one side or by both, are told apart."""
        known = np.isfinite(self.match)
        return {
            "yes_roc_auc": _auc(self.yes, self.there),
            "match_roc_auc_one_sided": _auc(self.match[known] > 0, self.there[known]),
            "match_roc_auc": _auc(
                self.match[known] > 0, joint(self.there, self.back, "harmonic")[known]
            ),
        }

    def told(self, seed: int) -> dict[str, Any]:
        """Return the values with the paired interval of what the second side adds.

        Whole choosers are resampled, since what one person decides hangs together.
        """
        known = np.isfinite(self.match)
        if not known.any():
            return {"pairs": len(self.yes), "matches": 0}
        y = self.match[known] > 0
        one, both = self.there[known], joint(self.there, self.back, "harmonic")[known]
        drawn = _by_chooser(self.chooser[known], seed)
        gains = np.array([_auc(y[rows], both[rows]) - _auc(y[rows], one[rows]) for rows in drawn])
        gains = gains[np.isfinite(gains)]
        low, high = np.quantile(gains, [0.025, 0.975]) if len(gains) else (np.nan, np.nan)
        gain = Estimate(_auc(y, both) - _auc(y, one), float(low), float(high), int(known.sum()))
        return {
            "pairs": len(self.yes),
            "matches": int(y.sum()),
            "gain_of_both_sides": gain.to_json(),
            "tie": not (low > 0 or high < 0),
        }


def pair_scores(moment: Moment, learnt: Learnt, later: Deeds) -> PairScores:
    """Score the pairs that were decided on later, seen from the moment before."""
    decided = later.take(is_decision(later.kind))
    decided = decided.take(slice(0, 200_000))
    a, b = decided.chooser.astype(np.int64), decided.chosen.astype(np.int64)
    there = learnt.scorer.chances(moment.features(a, b, None))
    back = learnt.scorer.chances(moment.features(b, a, None))
    yes = is_positive(decided.kind)
    n = moment.arena.n
    keys, other = a * n + b, b * n + a
    order = np.argsort(keys, kind="stable")
    place = np.minimum(np.searchsorted(keys[order], other), max(0, len(keys) - 1))
    met = keys[order][place] == other if len(keys) else np.zeros(0, dtype=bool)
    answer = yes[order][place] if len(keys) else yes
    match = np.where(met, (yes & answer).astype(np.float64), np.nan)
    return PairScores(there, back, yes, match, a)


def _baselines(arena: Arena, requests: Requests, seed: int) -> dict[str, dict[str, Any]]:
    """Return the metrics of rankings that need no learning, over all eligible people."""
    scorers = {
        "popularity": popularity(arena),
        "content": content(arena.people),
        "random": by_chance(arena, seed),
    }
    found = {}
    for name, scorer in scorers.items():
        lists = arena.lists(scorer, requests.rows, POOL)
        hits, counts = requests.wanted.found(lists), requests.wanted.counts
        each = each_request(hits, counts)
        found[name] = {
            **{k: mean_estimate(v, seed=seed).to_json() for k, v in each.items()},
            "recall_at_100": mean_estimate(recall_at(hits, counts, POOL), seed=seed).to_json(),
            "coverage": coverage(lists[:, :SHOWN], arena.n),
            "exposure_gini": exposure_gini(lists[:, :SHOWN], arena.n),
        }
    return found


def _stages(seen: Lists, lists: IntArray, learnt: Learnt, seed: int) -> dict[str, Any]:
    """Return what is still there after each stage."""
    wanted = seen.requests.wanted

    def kept(lists: IntArray, k: int) -> dict[str, Any]:
        share = recall_at(wanted.found(lists), wanted.counts, k)
        return {"k": k, "recall": mean_estimate(share, seed=seed).to_json()}

    there, back = (learnt.scorer.chances(side) for side in (seen.there, seen.back))
    return {
        "retrieve": kept(seen.codes, seen.plan.size),
        "rank": kept(seen.joint(there, back, learnt.rule), SHOWN),
        "decide": kept(lists, SHOWN),
    }


def _off_policy(later: Deeds, moment: Moment, learnt: Learnt, job: Job) -> dict[str, Any] | None:
    """Estimate the rate of yeses that the lists would earn, from logged propensities."""
    shown = later.take((later.kind == IMPRESSION) & (later.propensity > 0))
    if shown.n < _LEAST_LOGGED:
        return None
    rows = np.unique(shown.chooser).astype(np.int64)
    if len(rows) > _LOGGED:
        rows = np.sort(job.child("logged").rng().choice(rows, _LOGGED, replace=False))
        shown = shown.take(np.isin(shown.chooser, rows))  # whose lists are made anew, no others
    empty = Wanted.of_pairs(np.empty(0, np.int64), np.empty(0, np.int64), len(rows))
    seen = Lists.of(moment, Requests(rows, empty), learnt.plan, job.seed)
    lists = served(seen, learnt)
    yes = later.take(is_positive(later.kind))
    n = moment.arena.n
    liked = np.isin(
        shown.chooser.astype(np.int64) * n + shown.chosen,
        yes.chooser.astype(np.int64) * n + yes.chosen,
    )
    row_of = np.full(n, -1, np.int64)
    row_of[rows] = np.arange(len(rows))
    logged = Logged(
        shown.chooser.astype(np.int64),
        shown.chosen.astype(np.int64),
        shown.propensity.astype(np.float64),
        liked.astype(np.float64),
        shown.at_us,
    )
    found = off_policy(logged, lists, row_of, seed=job.seed)
    return {k: v.to_json() if isinstance(v, Estimate) else v for k, v in found.items()}


def _auc(yes: Array, score: FloatArray) -> float:
    both = len(yes) and yes.any() and not yes.all()
    return float(binary_roc_auc(yes, score)) if both else float("nan")


def _by_chooser(chooser: IntArray, seed: int) -> list[IntArray]:
    """Return rows of resamples of whole choosers."""
    order = np.argsort(chooser, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(chooser[order])) + 1)
    rng, n = np.random.default_rng(seed), _RESAMPLES
    if len(chooser) > 20_000:
        n = 200
    draws = (rng.integers(0, len(groups), len(groups)) for _ in range(n))
    return [np.concatenate([groups[i] for i in draw.tolist()]) for draw in draws]
