"""What a race found: trials in order, the blend, and how its output becomes decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from promise.data.columns import Array, IntArray
from promise.kernels.calibrating import apply_temperature, fit_multipliers, fit_temperature
from promise.metrics.pointwise import Metric
from promise.selection.board import BASELINE, Board, Entry
from promise.selection.candidates import Trial, pooled, seen
from promise.selection.ensemble import POOL, blended, choose_blend
from promise.selection.grounds import Grounds

ENSEMBLE = "ensemble"
"""The name of the blend among the models."""

LATENCY_MS = 20.0
"""What the members of a blend may cost together, per row of a batch."""

BLEND_CELLS = 40_000_000
"""Outputs held at once have at most so many cells (320 MB): thousands of classes do not blend."""

TEMPERED_CELLS = 4_000_000
"""A temperature, one number, is fitted on rows × classes of about this many."""

TEMPERED_ROWS = 500
"""But on so many rows at least."""

TUNED_CELLS = 400_000
"""Multipliers are searched on at most so many rows × classes; above, they follow the shares."""


@dataclass(frozen=True)
class Finish:
    """What is applied to a model's output: a temperature, then multipliers for its decisions."""

    temperature: float | None = None
    multipliers: tuple[float, ...] | None = None


@dataclass(frozen=True)
class RaceResult:
    """The outcome of a race, ranked on rows that no model learned from.

    Parameters
    ----------
    trials
        All, best first; those that failed come last.
    listed
        The best of each family, best first: what a leaderboard shows.
    blend
        Members and weights of the best blend; one member of weight one when blending lost.
    winner
        `"ensemble"`, or the name of a trial.
    outputs
        By name, for the blend and the listed trials (only the winner where there are very many
        classes): validation outputs of `grounds.checked`, NaN in folds that it has not seen.
    finish
        By name: temperature and multipliers, fitted on those outputs.
    scores
        By name: the metric on the covered rows, with the finish.
    y
        Labels of `grounds.checked`.
    skipped
        Families that did not race, and why.
    stopped
        `"finished"` or `"interrupted"`.
    """

    trials: tuple[Trial, ...]
    listed: tuple[Trial, ...]
    blend: tuple[tuple[Trial, float], ...]
    winner: str
    outputs: dict[str, Array]
    finish: dict[str, Finish]
    scores: dict[str, float]
    y: Array
    skipped: dict[str, str]
    stopped: str
    grounds: Grounds

    def trial(self, name: str) -> Trial:
        """Return the trial of this name."""
        return next(t for t in self.trials if t.name == name)

    @property
    def best(self) -> Trial:
        """The best single trial."""
        return self.listed[0]

    @property
    def members(self) -> tuple[tuple[Trial, float], ...]:
        """What the winner consists of."""
        if self.winner == ENSEMBLE:
            return self.blend
        return ((self.trial(self.winner), 1.0),)


def conclude(
    grounds: Grounds,
    board: Board,
    skipped: dict[str, str],
    *,
    latency_ms: float | None,
    blends: bool = True,
    stopped: str,
) -> RaceResult:
    """Rank what was fitted, choose the blend, and delete what nobody needs any more."""
    found = [trial_of(grounds, entry) for entry in board.entries.values() if entry.fits]
    trials = rank(found, grounds.metric.sign)
    good = [t for t in trials if t.ok]
    listed = best_of_families(trials)
    names = {t.name for t in listed}
    y, metric = grounds.train.y[grounds.checked], grounds.metric
    neutral = grounds.neutral
    outputs: dict[str, Array] = {}
    blend: tuple[tuple[Trial, float], ...] = ()
    winner = good[0].name if good else ""
    if good:
        blend, output = blend_of(grounds, good, latency_ms) if blends else ((), np.zeros(0))
        if blend:
            winner, outputs[ENSEMBLE] = ENSEMBLE, output
    roomy = len(y) * max(1, grounds.train.n_classes) * len(listed) <= BLEND_CELLS
    for trial in listed:
        if trial.ok and (roomy or trial.name == winner):
            outputs[trial.name] = pooled(trial, grounds.folds)
    # a row that was validated again says nothing new of how to decide
    once = slice(len(y)) if grounds.repeats == 1 else first_times(grounds.checked)
    finish = {n: finish_of(metric, y[once], out[once], neutral, is_winner=n == winner)
              for n, out in outputs.items()}  # fmt: skip
    scores = {n: score_of(metric, y, out, finish[n]) for n, out in outputs.items()}
    plain = Finish(multipliers=None if neutral is None else tuple(neutral.tolist()))
    for trial in listed:
        finish.setdefault(trial.name, plain)
        scores.setdefault(trial.name, trial.score)
    grounds.tidy(
        t.fitted[0] for t in trials if t.fitted and (t.name in names or t in [b for b, _ in blend])
    )
    return RaceResult(
        trials=tuple(trials),
        listed=tuple(listed),
        blend=blend or ((good[0], 1.0),) if good else (),
        winner=winner,
        outputs=outputs,
        finish=finish,
        scores=scores,
        y=y,
        skipped=skipped,
        stopped=stopped,
        grounds=grounds,
    )


def first_times(rows: IntArray) -> IntArray:
    """Return where each row is met for the first time, in order."""
    found: IntArray = np.sort(np.unique(rows, return_index=True)[1])
    return found


def blend_of(
    grounds: Grounds, good: Sequence[Trial], latency_ms: float | None
) -> tuple[tuple[tuple[Trial, float], ...], Array]:
    """Choose the blend among trials that cover the same rows; no members where it does not win."""
    checked = grounds.checked
    y = grounds.train.y[checked]
    cells = len(y) * max(1, grounds.train.n_classes)
    pool = diverse(comparable(good), min(POOL, max(1, BLEND_CELLS // cells)))
    if len(pool) < 2:
        return (), np.zeros(0)
    whole = [pooled(t, grounds.folds) for t in pool]
    covered = np.isfinite(whole[0].reshape(len(y), -1)).all(axis=1)
    choice = choose_blend(
        [w[covered] for w in whole],
        y[covered],
        grounds.metric,
        seed=grounds.job.seed,
        costs=np.array([t.predict_ms for t in pool]),
        cost_limit=LATENCY_MS if latency_ms is None else latency_ms,
        multipliers=grounds.neutral,
        rows=checked[covered] if grounds.repeats > 1 else None,
    )
    if not choice.wins:
        return (), whole[0]
    chosen = [(t, float(w)) for t, w in zip(pool, choice.weights, strict=True) if w > 0]
    members = tuple(sorted(chosen, key=lambda member: -member[1]))
    return members, blended(whole, choice.weights)


def diverse(trials: Sequence[Trial], size: int) -> list[Trial]:
    """Return the best of each family, then the best of all, up to a size and in order."""
    bests = [t for t in best_of_families(trials) if t.family != BASELINE][:size]
    rest = [t for t in trials if t not in bests and t.family != BASELINE]
    chosen = {t.name for t in [*bests, *rest][:size]}
    return [t for t in trials if t.name in chosen] or list(trials[:1])


def trial_of(grounds: Grounds, entry: Entry) -> Trial:
    """Sum an entry up: its fits on the largest rung that it reached."""
    fits = [fit for _, fit in sorted(entry.fits.items()) if fit.ok]
    top = max((fit.rung for fit in fits), default=0)
    fits = [fit for fit in fits if fit.rung == top]
    failed = entry.failed
    complete = top == grounds.last_rung and len(fits) == len(grounds.folds)
    trial = Trial(
        candidate=entry.candidate,
        score=float("nan"),
        rank_score=-np.inf,
        fold_scores=tuple(fit.score for fit in fits),
        folds=tuple(fit.fold for fit in fits),
        rung=top,
        rows=max((fit.rows for fit in fits), default=0),
        rounds=tuple(fit.rounds for fit in fits),
        fit_seconds=mean_of(fit.fit_seconds for fit in fits),
        predict_ms=mean_of(fit.predict_ms for fit in fits),
        size_mb=mean_of(fit.size_mb for fit in fits),
        peak_mb=max((fit.peak_mb for fit in fits), default=0.0),
        status="ok" if fits else (failed.status if failed else "stopped: deadline"),
        outputs=tuple(grounds.folder / fit.folder / "output.npy" for fit in fits),
        fitted=tuple(grounds.folder / fit.folder / "fitted" for fit in fits),
        complete=complete,
    )
    if not fits:
        return trial
    if len(fits) == 1:  # it was scored in its own process, on the same rows in the same way
        score = fits[0].score
        return replace(trial, score=score, rank_score=grounds.metric.sign * score)
    output, rows = seen(trial, grounds.folds)
    neutral = grounds.neutral
    finish = Finish(multipliers=None if neutral is None else tuple(neutral.tolist()))
    score = score_of(grounds.metric, grounds.train.y[rows], output, finish)
    return replace(trial, score=score, rank_score=grounds.metric.sign * score)


def rank(trials: Sequence[Trial], sign: int) -> list[Trial]:
    """Order trials by their score, corrected where one has seen only some of the folds.

    The correction adds what the leader gains from those folds to all, less half the folds'
    standard deviation; and no trial passes a complete one that beats it on the folds they share.
    """
    good = [t for t in trials if t.ok and np.isfinite(t.rank_score)]
    bad = [t for t in trials if t not in good]
    if not good:
        return bad
    # trials of a smaller rung were left behind by halving: they rank below all others
    good.sort(key=lambda t: (-t.rung, -len(t.folds), -t.rank_score))
    whole = [t for t in good if t.folds == good[0].folds and t.rung == good[0].rung]
    corrected = [t if t in whole else replace(t, rank_score=cautious(t, whole, sign)) for t in good]
    corrected.sort(key=lambda t: (-t.rung, -t.rank_score))
    return corrected + bad


def cautious(trial: Trial, whole: Sequence[Trial], sign: int) -> float:
    """Return what an incomplete trial may claim beside those that have seen every fold."""
    leader = whole[0]
    shared = [f for f in trial.folds if f in leader.folds]
    if not shared or trial.rung < leader.rung:
        return trial.rank_score

    def mean(other: Trial, folds: Sequence[int]) -> float:
        by_fold = dict(zip(other.folds, other.fold_scores, strict=True))
        return sign * float(np.mean([by_fold[f] for f in folds]))

    gain = mean(leader, leader.folds) - mean(leader, shared)
    claim = trial.rank_score + gain - float(np.std(leader.fold_scores)) / 2
    own = mean(trial, shared)
    better = [t.rank_score for t in whole if mean(t, shared) >= own]
    return float(min([claim, *(np.nextafter(b, -np.inf) for b in better)]))


def comparable(good: Sequence[Trial]) -> list[Trial]:
    """Return the trials that cover all rows that the best covers, on as many training rows."""
    best = good[0]
    return [t for t in good if set(best.folds) <= set(t.folds) and t.rung == best.rung]


def best_of_families(trials: Sequence[Trial]) -> list[Trial]:
    """Return the best trial of each family, in order; a family that only failed has its failure."""
    bests: dict[str, Trial] = {}
    for trial in trials:
        bests.setdefault(trial.family, trial)
    return sorted(bests.values(), key=lambda t: t.family == BASELINE and not t.ok)


def finish_of(
    metric: Metric, y: Array, output: Array, neutral: Array | None, *, is_winner: bool
) -> Finish:
    """Fit temperature and multipliers on the rows that an output covers.

    Accuracy is decided best by the most probable class, so its multipliers stay away; the
    temperature is for the winner, whose probabilities people will see.
    """
    if metric.kind == "number":
        return Finish()
    covered = np.isfinite(output).all(axis=1)
    shown, truth = output[covered], y[covered].astype(np.int64)
    temperature = None
    if is_winner:
        step = -(-len(shown) // max(TEMPERED_ROWS, TEMPERED_CELLS // shown.shape[1])) or 1
        temperature = float(fit_temperature(shown[::step], truth[::step]))
        shown = apply_temperature(shown, temperature)
    if metric.kind != "decision" or metric.name == "accuracy":
        return Finish(temperature)
    multipliers = np.ones(shown.shape[1]) if neutral is None else neutral
    if shown.size <= TUNED_CELLS:
        weighted = shown * multipliers
        weighted /= weighted.sum(axis=1, keepdims=True)
        multipliers = multipliers * np.asarray(fit_multipliers(weighted, truth, metric.name))
    if np.allclose(multipliers, multipliers[0]):
        return Finish(temperature)
    return Finish(temperature, tuple(float(m) for m in multipliers / multipliers.max()))


def score_of(metric: Metric, y: Array, output: Array, finish: Finish) -> float:
    """Score an output on the rows it covers, finished."""
    covered = np.isfinite(output.reshape(len(output), -1)).all(axis=1)
    shown = output[covered]
    if finish.temperature is not None:
        shown = apply_temperature(shown, finish.temperature)
    multipliers = None if finish.multipliers is None else np.array(finish.multipliers)
    return metric.score(y[covered], shown, multipliers)


def mean_of(values: Any) -> float:
    """Return the mean, NaN for nothing."""
    known = list(values)
    return float(np.mean(known)) if known else float("nan")
