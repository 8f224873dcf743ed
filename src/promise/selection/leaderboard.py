"""The answer of a race: every family beside the others, and advice in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.answer import Answer, Class
from promise.data.columns import Array
from promise.metrics.intervals import bootstrap_interval, paired_difference
from promise.metrics.pointwise import Metric
from promise.selection.board import BASELINE
from promise.selection.candidates import Trial
from promise.selection.refit import Refit
from promise.selection.result import ENSEMBLE, RaceResult

TITLES: Mapping[str, str] = {
    "baseline": "the trivial baseline",
    "linear": "a linear model",
    "decision_tree": "a decision tree",
    "random_forest": "a random forest",
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "mlp": "a neural network",
    "lstm": "an LSTM",
    ENSEMBLE: "an ensemble",
}
"""How sentences call the families."""

MEMBERS_SHOWN = 0.005
"""Members of an ensemble below this weight are not named in sentences."""


@dataclass(frozen=True)
class Row:
    """One line of the leaderboard.

    Parameters
    ----------
    score, ci
        The metric on the sealed holdout, with its 95 % interval; None where there is no model.
    validation
        The metric on out-of-fold or validation rows: what models are ordered by.
    tie
        Whether the holdout cannot tell it from the winner.
    predict_ms
        Milliseconds per row, in a batch.
    status
        `"ok"`, `"skipped: …"` or `"failed: …"`.
    note
        What a reader must know about how it was trained.
    """

    name: str
    family: str
    status: str
    score: float | None = None
    ci: tuple[float, float] | None = None
    validation: float | None = None
    tie: bool = False
    fit_seconds: float | None = None
    predict_ms: float | None = None
    size_mb: float | None = None
    rounds: int | None = None
    view: str | None = None
    params: Mapping[str, Any] | None = None
    members: tuple[tuple[str, float], ...] = ()
    note: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the line as JSON; what is not known is null."""
        data = dict(vars(self))
        data["ci"] = None if self.ci is None else list(self.ci)
        data["params"] = None if self.params is None else dict(self.params)
        data["members"] = [{"name": n, "weight": w} for n, w in self.members]
        return {k: known(v) if isinstance(v, float) else v for k, v in data.items()}


@dataclass(frozen=True)
class Leaderboard:
    """All models in validation order, and which one to take.

    Parameters
    ----------
    task
        `"classification"` or `"regression"`.
    split
        How the holdout was chosen, in one sentence.
    best
        The name of the winner, fixed before the holdout was read.
    """

    task: str
    metric: str
    target: str
    rows_used: int
    holdout_rows: int
    split: str
    best: str
    models: tuple[Row, ...]
    recommendation: tuple[str, ...]

    def row(self, name: str) -> Row:
        """Return the line of a model."""
        return next(row for row in self.models if row.name == name)

    def to_json(self) -> dict[str, Any]:
        """Return the leaderboard as `leaderboard.json` holds it."""
        data = {k: v for k, v in vars(self).items() if k not in ("models", "recommendation")}
        return {
            **data,
            "models": [row.to_json() for row in self.models],
            "recommendation": list(self.recommendation),
        }


def build_leaderboard(
    result: RaceResult,
    metric: Metric,
    answer: Answer,
    *,
    target: str,
    split: str,
    y_holdout: Array,
    outputs: Mapping[str, Array],
    refits: Mapping[str, Refit],
    seed: int,
    best: str | None = None,
    predict_ms: Mapping[str, float] | None = None,
    groups: Array | None = None,
) -> Leaderboard:
    """Set every model's holdout score beside its validation score, in validation order.

    Parameters
    ----------
    outputs
        Holdout outputs by name (`"ensemble"` too), temperature applied where there is one.
    best
        The model that is recommended: by default the race's winner; the next in validation order
        where the winner could not be trained again.
    predict_ms
        Milliseconds per row of the whole pipeline by name, where measured.
    groups
        Groups of holdout rows that belong together.
    """
    best = result.winner if best is None else best
    judge = Judge(result, metric, y_holdout, outputs, seed, groups, best)
    timed = predict_ms or {}
    rows = [trial_row(trial, judge, refits.get(trial.name), timed) for trial in result.listed]
    if result.winner == ENSEMBLE:
        rows.insert(0, ensemble_row(judge, refits, timed))
    rows += [Row(f, f, f"skipped: {reason}") for f, reason in result.skipped.items()]
    return Leaderboard(
        task="classification" if isinstance(answer, Class) else "regression",
        metric=metric.name,
        target=target,
        rows_used=result.grounds.train.n_rows + len(y_holdout),
        holdout_rows=len(y_holdout),
        split=split,
        best=best,
        models=tuple(rows),
        recommendation=tuple(recommendation(rows, best, metric, target, len(y_holdout))),
    )


@dataclass(frozen=True)
class Judge:
    """Scores models on the holdout rows, each beside the winner."""

    result: RaceResult
    metric: Metric
    y: Array
    outputs: Mapping[str, Array]
    seed: int
    groups: Array | None
    best: str

    def multipliers(self, name: str) -> Array | None:
        """Return what moves a model's decisions."""
        finish = self.result.finish.get(name)
        if finish is None or finish.multipliers is None:
            return None
        return np.array(finish.multipliers)

    def judged(self, name: str) -> dict[str, Any]:
        """Return score, interval and tie of a model; nothing where it has no output."""
        if name not in self.outputs:
            return {}
        output, winner = self.outputs[name], self.best
        of_output, of_winner = self.multipliers(name), self.multipliers(winner)
        tie = False
        if name != winner and winner in self.outputs:
            tie = paired_difference(
                self.metric, self.y, self.outputs[winner], output, seed=self.seed,
                multipliers_a=of_winner, multipliers_b=of_output, groups=self.groups,
            ).tie  # fmt: skip
        low, high = bootstrap_interval(
            self.metric, self.y, output, seed=self.seed, multipliers=of_output, groups=self.groups
        )
        score = known(self.metric.score(self.y, output, of_output))
        return {"score": score, "ci": None if math.isnan(low) else (low, high), "tie": tie}


def trial_row(trial: Trial, judge: Judge, refit: Refit | None, timed: Mapping[str, float]) -> Row:
    """Return the line of a family's best trial."""
    if not trial.ok:
        return Row(trial.name, trial.family, trial.status, view=trial.candidate.view)
    judged = judge.judged(trial.name)
    notes = [refit.note] if refit is not None and refit.note else []
    n_folds = len(judge.result.grounds.folds)
    if not trial.complete and n_folds > 1:
        notes.append(f"validated on {len(trial.folds)} of {n_folds} folds")
    if refit is not None and not refit.ok and not judged:
        return Row(trial.name, trial.family, f"failed: {refit.note}", validation=known(trial.score))
    return Row(
        name=trial.name,
        family=trial.family,
        status="ok",
        **judged,
        validation=known(judge.result.scores.get(trial.name, trial.score)),
        fit_seconds=trial.fit_seconds if refit is None else refit.seconds,
        predict_ms=timed.get(trial.name, trial.predict_ms),
        size_mb=trial.size_mb if refit is None else refit.size_mb,
        rounds=trial.refit_rounds if refit is None else refit.rounds,
        view=trial.candidate.view,
        params=trial.candidate.params,
        note="; ".join(notes) or None,
    )


def ensemble_row(judge: Judge, refits: Mapping[str, Refit], timed: Mapping[str, float]) -> Row:
    """Return the line of the ensemble: its members' costs added up."""
    members = judge.result.blend
    own = [refits[t.name] for t, _ in members if t.name in refits]
    notes = sorted({r.note for r in own if r.note})
    return Row(
        name=ENSEMBLE,
        family=ENSEMBLE,
        status="ok",
        **judge.judged(ENSEMBLE),
        validation=known(judge.result.scores[ENSEMBLE]),
        fit_seconds=sum(r.seconds for r in own),
        predict_ms=timed.get(ENSEMBLE, sum(t.predict_ms for t, _ in members)),
        size_mb=sum(r.size_mb for r in own),
        members=tuple((t.name, weight) for t, weight in members),
        note="; ".join(notes) or None,
    )


def known(value: float | None) -> float | None:
    """Return a number JSON can hold, None for one that is undefined."""
    return None if value is None or not math.isfinite(value) else float(value)


def recommendation(
    rows: Sequence[Row], best: str, metric: Metric, target: str, n_holdout: int
) -> list[str]:
    """Say which model to take, how far to trust it, and what else would do."""
    row = next((r for r in rows if r.name == best), None)
    if row is not None and row.score is None and row.validation is not None:
        return [
            f"The race was stopped early: `{best}` leads with {metric.name} "
            f"{shown(row.validation)} on validation rows, and nothing is judged on the holdout yet."
        ]
    if row is None or row.score is None:
        return [f"No model could be recommended for `{target}`: see the status of each family."]
    interval = f", 95 % interval {shown(row.ci[0])} to {shown(row.ci[1])}" if row.ci else ""
    if row.family == BASELINE:
        return [
            f"No model predicts `{target}` better than always giving the same answer does "
            f"({metric.name} {shown(row.score)} on {n_holdout:,} rows{interval}): these columns "
            "say little about it, so look for others before anyone relies on a model."
        ]
    said = [
        f"Take `{best}`, {described(row)}: it predicts `{target}` with {metric.name} "
        f"{shown(row.score)} on {n_holdout:,} rows it had never seen{interval}."
    ]
    trivial = next((r for r in rows if r.family == BASELINE and r.score is not None), None)
    if trivial is not None and trivial.name != best and trivial.score is not None:
        said.append(beside_baseline(row, trivial, metric, target))
    ties = [r for r in rows if r.tie and r.name != best and r.family != BASELINE]
    if ties:
        said.append(about_ties(row, ties))
    return said


def described(row: Row) -> str:
    """Return what a model is, in words."""
    if row.family != ENSEMBLE:
        return TITLES.get(row.family, row.family)
    parts = [f"{w:.0%} {name}" for name, w in row.members if w >= MEMBERS_SHOWN]
    return "a weighted mean of " + ", ".join(parts)


def beside_baseline(row: Row, trivial: Row, metric: Metric, target: str) -> str:
    """Say what the model gains over always giving the same answer."""
    if trivial.tie:
        return (
            f"This is no better than chance allows over the trivial baseline "
            f"({shown(trivial.score)}): these columns say little about `{target}`."
        )
    direction = "above" if metric.greater_is_better else "below"
    gap = abs((row.score or 0.0) - (trivial.score or 0.0))
    return (
        f"Always giving the same answer scores {shown(trivial.score)}; the model is "
        f"{shown(gap)} {direction} it."
    )


def about_ties(row: Row, ties: Sequence[Row]) -> str:
    """Name the models that the holdout cannot tell from the winner, and what they cost."""
    parts = []
    for tied in ties:
        faster = ratio(row.predict_ms, tied.predict_ms)
        smaller = ratio(row.size_mb, tied.size_mb)
        gains = [
            f"{value:.0f} times {word}"
            for value, word in ((faster, "faster"), (smaller, "smaller"))
            if value >= 2
        ]
        parts.append(f"`{tied.name}`" + (f" ({' and '.join(gains)})" if gains else ""))
    return (
        "The holdout cannot tell it from " + ", ".join(parts) + ": a tie, so take a simpler one "
        "where speed or size matters more."
    )


def ratio(a: float | None, b: float | None) -> float:
    """Return a / b; 0 where either is unknown."""
    return a / b if a and b else 0.0


def shown(value: float | None) -> str:
    """Return a score with the digits that matter.

    Examples
    --------
    >>> shown(0.91234), shown(1234.5678)
    ('0.912', '1,235')
    """
    if value is None:
        return "unknown"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
