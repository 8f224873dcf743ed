"""Learning at a moment of the past: what is chosen is chosen on what came later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from promise.data.columns import FloatArray, IntArray
from promise.features.pairs import PAIR
from promise.job import Job
from promise.metrics.ranking import each_request, mean_difference, mean_estimate, recall_at
from promise.models.collaborative import Recommended
from promise.models.graph_filter import FittedGraphFilter
from promise.workloads.matching.arena import Arena, Requests
from promise.workloads.matching.ground import Ground
from promise.workloads.matching.heuristic import DayOne, by_affinity
from promise.workloads.matching.kinds import is_decision, is_positive
from promise.workloads.matching.ladder import METRIC_OF_RUNGS, Climbed, Rung, climb
from promise.workloads.matching.lists import Lists
from promise.workloads.matching.moment import Moment
from promise.workloads.matching.pick import CANDIDATE, CHOOSER, PickPeople
from promise.workloads.matching.presets import Preset, RankerRung
from promise.workloads.matching.ranker import Ranker, Rows, fit_ranker
from promise.workloads.matching.retrieve import Plan
from promise.workloads.matching.rules import Rule, mutual_yes
from promise.workloads.matching.sources import Chosen, choose_source
from promise.workloads.matching.split import TRAIN, VALIDATE
from promise.workloads.matching.tables import Deeds

HEURISTIC, COLLABORATIVE = "heuristic", "collaborative"
Tell = Callable[[str], None]
Scored = Ranker | DayOne
_MOST_ROWS = 60_000
"""Pairs beyond so many teach a ranker of thirty features nothing more."""
_FEW_MATCHES = 30
_LEARNED, _TRIED, _PLANNED = 2_500, 1_000, 500
"""How many requests rungs are learned and measured on, and sources and plans compared on."""


@dataclass(frozen=True)
class Learnt:
    """Everything that was chosen, as it will be fitted again on more.

    Parameters
    ----------
    source
        The collaborative source; None where likes are too few.
    scorer
        What ranks candidates: the highest rung reached.
    rule
        How both directions are joined.
    ladder
        What became of each rung.
    """

    preset: Preset
    source: Chosen | None
    plan: Plan
    scorer: Scored
    rung: str
    rule: Rule
    ladder: tuple[Climbed, ...]
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def pick(self) -> PickPeople:
        """The policy: how long lists are, and how many of their places are kept for chance."""
        preset = self.preset
        return PickPeople(explored=preset.explored, most_shown=preset.most_shown, rule=self.rule)

    @property
    def explored(self) -> int:
        """Places of a list that are kept for chance."""
        return self.preset.explored


def learn(ground: Ground, preset: Preset, job: Job, tell: Tell) -> Learnt:
    """Choose everything on the middle period, from what the first one tells.

    Of whole groups nothing was known before they met, so rankers are judged group by group.
    """
    side = ground.cut.side(ground.deeds)
    before = ground.deeds.take((side == TRAIN) & (not ground.cut.grouped))
    later = ground.deeds.take(side == (TRAIN if ground.cut.grouped else VALIDATE))
    arena = Arena(ground.people, before, groups_of(ground))
    requests = drawn_from(arena.requests(later, job.child("requests").rng()), _LEARNED, job)
    source = None
    if arena.likes.nnz >= preset.collaborative_from and not ground.cut.grouped:
        options = {name: make() for name, make in preset.sources.items()}
        some = drawn_from(requests, _TRIED, job.child("tried"))
        source = choose_source(options, arena, some, job.child("source"), tell)
    model = None if source is None else source.fitted
    moment = Moment(arena, ground.cut.validate_us, model)
    tell("retrieving candidates")
    seen = _best_plan(moment, requests, preset, job)
    n_decisions = int(is_decision(before.kind).sum() + is_decision(later.kind).sum())
    tell("learning to rank")
    rungs, fitted = _rungs(seen, ground, preset, job, n_decisions)
    told, reached = climb(rungs, measured=preset.measured, seed=job.seed)
    scorer = fitted[reached]
    rule, why = _rule(seen, scorer, later, preset, job)
    if isinstance(scorer, Ranker):
        scorer = replace(_calibrated(scorer, seen, later), mutual=rule != "one_sided")
    return Learnt(
        preset=preset,
        source=None if source is None else replace(source, fitted=None),
        plan=seen.plan,
        scorer=scorer,
        rung=reached,
        rule=rule,
        ladder=tuple(told),
        notes={"reciprocity": why, "decisions": n_decisions},
    )


def groups_of(ground: Ground) -> IntArray | None:
    """Return the group of each person where people only meet within their group."""
    if not ground.cut.grouped:
        return None
    found = np.full(ground.people.n, -1, np.int64)
    for who in (ground.deeds.chosen, ground.deeds.chooser):
        found[who] = ground.deeds.group
    return found


def features_read(preset: Preset, moment: Moment) -> tuple[str, ...]:
    """Return the features that a preset's ranker reads of these people."""
    more = moment.names[len(PAIR) :] if preset.extras else ()
    return (*preset.features, *more)


def rows_of(seen: Lists, job: Job) -> Rows:
    """Return candidates to learn from, and whether the chooser said yes to them later."""
    rows = Rows(seen.there, seen.wanted.astype(np.int64), seen.request_of)
    if len(rows.yes) <= _MOST_ROWS:
        return rows
    kept = job.rng().permutation(seen.requests.n)
    share = int(seen.requests.n * _MOST_ROWS / len(rows.yes))
    return rows.take(np.isin(rows.request, kept[:share]))


def _best_plan(moment: Moment, requests: Requests, preset: Preset, job: Job) -> Lists:
    """Return the requests with the plan that finds most among the candidates of some of them."""
    plans = [
        plan
        for plan in preset.plans[: 1 if moment.arena.group is not None else None]
        # others' vectors say all that they know of a history
        if plan.by != "history" or isinstance(moment.model, FittedGraphFilter)
    ]
    some = drawn_from(requests, _PLANNED, job)
    shares = []
    for plan in plans if len(plans) > 1 else ():
        found = some.wanted.found(Lists.of(moment, some, plan, job.seed).codes)
        share = recall_at(found, some.wanted.counts, found.shape[1])
        shares.append(float(np.nanmean(share)) if len(share) else 0.0)
    best = plans[int(np.argmax(shares))] if shares else plans[0]
    return Lists.of(moment, requests, best, job.seed)


def drawn_from(requests: Requests, most: int, job: Job) -> Requests:
    """Return at most so many of the requests, drawn by the seed."""
    if requests.n <= most:
        return requests
    places = job.child("drawn").rng().choice(requests.n, most, replace=False)
    return requests.take(np.sort(places))


def _rungs(
    seen: Lists,
    ground: Ground,
    preset: Preset,
    job: Job,
    n_decisions: int,
) -> tuple[list[Rung], dict[str, Scored]]:
    """Return every rung with its scores on people it had not learned from, and what it fitted."""
    day_one = DayOne(seen.moment.names)
    scores = seen.scores(day_one.chances(seen.there))
    rungs = [Rung(HEURISTIC, "nothing", True, scores)]
    fitted: dict[str, Scored] = {HEURISTIC: day_one}
    if seen.moment.model is not None:
        affinity = by_affinity(seen.moment.names)
        fitted[COLLABORATIVE] = affinity
        scores = seen.scores(affinity.chances(seen.there))
        needs = f"{preset.collaborative_from} likes"
        rungs.append(Rung(COLLABORATIVE, needs, True, scores))
    days = max(1.0, _days(ground))
    for one in preset.rungs:
        needs, carried = _carried(one, n_decisions, ground.people.n, ground.n_decisions / days)
        measured: FloatArray | None = None
        if carried:
            values, fitted[one.name] = _crossed(one, seen, preset, job)
            measured = seen.scores(values)
        rungs.append(Rung(one.name, needs, carried, measured))
    return rungs, fitted


def _carried(one: RankerRung, decisions: int, people: int, per_day: float) -> tuple[str, bool]:
    needs = f"{one.decisions:,} decisions"
    if one.people:
        needs += f", {one.people:,} people and {one.per_day:,} decisions a day"
    enough = decisions >= one.decisions and people >= one.people and per_day >= one.per_day
    return needs, enough


def _crossed(one: RankerRung, seen: Lists, preset: Preset, job: Job) -> tuple[FloatArray, Ranker]:
    """Return scores by rankers that had not seen the request, and the ranker of all requests."""
    names, read = seen.moment.names, features_read(preset, seen.moment)
    rows = rows_of(seen, job)
    group = seen.moment.arena.group
    fold = np.arange(seen.requests.n) % 2 if group is None else group[seen.requests.rows] % 5
    values = np.empty(len(seen.there))
    for part in np.unique(fold).tolist():
        others = rows.take(fold[rows.request] != part)
        ranker = fit_ranker(one.estimator(), others, names, read, job)
        here = fold[seen.request_of] == part
        values[here] = ranker.chances(seen.there[here])
    return values, fit_ranker(one.estimator(), rows, names, read, job)


def _rule(
    seen: Lists, scorer: Scored, later: Deeds, preset: Preset, job: Job
) -> tuple[Rule, dict[str, Any]]:
    """Return how both directions are joined: the rule that finds most matches, if it surely does.

    A match is a yes of both. Where they are too few to tell, or rules tie, the first rule is kept.
    """
    first = preset.rules[0]
    if len(preset.rules) == 1 or not isinstance(scorer, Ranker):
        return first, {"rule": first, "why": "only one rule is tried here"}
    matches = mutual_yes(seen.requests, seen.moment.arena, later)
    n = int(matches.counts.sum())
    if n < _FEW_MATCHES:
        return first, {"rule": first, "why": f"{n} matches are too few to choose by"}
    there, back = scorer.chances(seen.there), scorer.chances(seen.back)
    scores = {}
    for rule in preset.rules:
        lists = seen.joint(there, back, rule)
        scores[rule] = each_request(matches.found(lists), matches.counts)[METRIC_OF_RUNGS]
    best = max(preset.rules[1:], key=lambda rule: float(np.nanmean(scores[rule])))
    gain = mean_difference(scores[best], scores[first], seed=job.seed)
    kept = best if gain.low > 0 else first
    return kept, {
        "rule": kept,
        "matches": n,
        **{rule: mean_estimate(value, seed=job.seed).to_json() for rule, value in scores.items()},
        "gain": gain.to_json(),
        "why": f"{best} finds {gain.value:+.4f} more ({gain.low:+.4f} to {gain.high:+.4f})",
    }


def _calibrated(ranker: Ranker, seen: Lists, later: Deeds) -> Ranker:
    """Return the ranker with chances that hold for candidates who were decided on later."""
    decided = later.take(is_decision(later.kind))
    n = seen.moment.arena.n
    keys = decided.chooser.astype(np.int64) * n + decided.chosen
    pairs = seen.columns[CHOOSER] * n + seen.columns[CANDIDATE]
    order = np.argsort(keys, kind="stable")
    place = np.minimum(np.searchsorted(keys[order], pairs), max(0, len(keys) - 1))
    if not len(keys):
        return ranker
    known = keys[order][place] == pairs
    yes = is_positive(decided.kind)[order][place]
    if known.sum() < 50:
        return ranker
    return ranker.with_calibration(seen.there[known], yes[known])


def _days(ground: Ground) -> float:
    at = ground.deeds.at_us
    return float(at[-1] - at[0]) / 86_400e6 if len(at) else 0.0


def refitted(learnt: Learnt, arena: Arena, job: Job) -> Recommended | None:
    """Return the chosen source learned anew from what an arena tells."""
    if learnt.source is None:
        return None
    return learnt.source.estimator.fit(arena.likes, job.child("source").child(learnt.source.name))
