"""From blocks of rows to a calibrated blend and a policy that knows what errors cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.answer import Class, Decision
from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.features.keyed import VIEW
from promise.job import Job
from promise.kernels.calibrating import log_odds
from promise.kernels.dense import sigmoid
from promise.kernels.rows import row_hash
from promise.models.base import MATRIX, Examples, Fitted
from promise.models.blend import Member, matrix_column
from promise.models.calibrate import Calibrated, Platt, sum_in_order
from promise.pipeline.decision import Cheapest, DecisionPolicy, Exploration
from promise.workloads.fraud.recipe import Part, Recipe
from promise.workloads.fraud.terms import Terms

_WEIGHTS = tuple(i / 10 for i in range(11))


@dataclass(frozen=True)
class Rows:
    """Rows of a block: float32 (n, d), labels 0 and 1, and their numbers in the source."""

    matrix: FloatArray
    y: IntArray
    numbers: IntArray

    def take(self, positions: IntArray) -> Rows:
        """Return the rows at these positions."""
        return Rows(self.matrix[positions], self.y[positions], self.numbers[positions])

    def examples(self, names: tuple[str, ...]) -> Examples:
        """Return the rows as estimators read them."""
        columns = Columns({MATRIX: self.matrix})
        return Examples(columns, self.y, Class(("0", "1")), rows=self.numbers, names=names)


@dataclass(frozen=True)
class Scorer:
    """A calibrated blend and what is known of its making.

    Parameters
    ----------
    notes
        JSON-ready: weights, rounds, rows, what the training part was changed by.
    """

    score: Calibrated
    notes: dict[str, Any]


def learn(
    train: Rows,
    calibration: Rows,
    names: tuple[str, ...],
    recipe: Recipe,
    *,
    job: Job,
    tell: Callable[[str], None],
) -> Scorer:
    """Train the members, weigh them and calibrate the blend on the later block.

    Parameters
    ----------
    names
        Of the matrix's columns.
    """
    thinned = train if recipe.train_rows is None else thin(train, recipe.train_rows, job.seed)
    examples = thinned.examples(names)
    if recipe.smote is not None:
        examples = recipe.smote.grown(examples, job)
    watched = calibration
    if recipe.watch_rows is not None:
        watched = thin(calibration, recipe.watch_rows, job.seed, all_frauds=False)
    fitted: list[Fitted] = []
    for part, own in shared_out(recipe, job, tell):
        tell(f"training {part.kind} on {examples.n_rows:,} rows")
        fitted.append(part.estimator.fit(examples, watched.examples(names), own))
    score = joined(fitted, calibration, recipe)
    notes = notes_of(
        score,
        train_rows=len(train.y),
        learned=len(thinned.y),
        made_up=examples.n_rows - len(thinned.y),
    )
    return Scorer(score, notes | sampled(len(train.y), thinned.y))


def shared_out(recipe: Recipe, job: Job, tell: Callable[[str], None]) -> Iterator[tuple[Part, Job]]:
    """Yield each member's job: an equal share of the time that is left when its turn comes.

    Parameters
    ----------
    tell
        Told of members whose time was over before they began: they learn one round.

    Examples
    --------
    >>> recipe = Recipe((Part("lightgbm"), Part("xgboost")))
    >>> [(part.kind, own.name) for part, own in shared_out(recipe, Job(), print)]
    [('lightgbm', 'job/lightgbm'), ('xgboost', 'job/xgboost')]
    """
    for left, part in zip(range(len(recipe.parts), 0, -1), recipe.parts, strict=True):
        until_s = job.deadline_s
        if until_s is not None:
            now = time.monotonic()
            if until_s <= now:
                tell(
                    f"the budget was over before {part.kind} could learn, so it learns one round "
                    "only; give more by --set budget=SECONDS"
                )
            until_s = now + (until_s - now) / left
        yield part, job.child(part.kind, deadline_s=until_s)


def notes_of(score: Calibrated, *, train_rows: int, learned: int, made_up: int) -> dict[str, Any]:
    """Return a JSON-ready account of a blend."""
    return {
        "train_rows": train_rows,
        "learned_rows": learned,
        "made_up_rows": made_up,
        "members": [
            {"kind": m.fitted.kind, "weight": m.weight, "rounds": getattr(m.fitted, "rounds", None)}
            for m in score.members
        ],
        "scale": score.scale,
        "platt": vars(score.platt),
    }


def sampled(train_rows: int, y: IntArray) -> dict[str, str]:
    """Return a note of which training rows these labels are of, where they are not all."""
    if len(y) == train_rows:
        return {}
    return {
        "sampled": f"every fraud and, by the hash of their row numbers, {int((y == 0).sum()):,} "
        f"others of {train_rows:,} training rows"
    }


def thin(rows: Rows, most: int, seed: int, *, all_frauds: bool = True) -> Rows:
    """Return at most so many rows: the frauds, and others with the smallest hashes.

    Where the frauds alone are more, they are drawn by hash too.
    """
    return rows.take(drawn(rows.numbers, most, seed, rows.y == 1 if all_frauds else None))


def drawn(numbers: IntArray, most: int, seed: int, first: Array | None = None) -> IntArray:
    """Return rising positions of at most so many rows: those with the smallest hashes.

    Parameters
    ----------
    numbers
        Row numbers in the source, which are hashed.
    first
        Rows that come before all others; None: none do.

    Examples
    --------
    >>> drawn(np.arange(100), 3, seed=7).size, drawn(np.arange(2), 3, seed=7).tolist()
    (3, [0, 1])
    """
    if len(numbers) <= most:
        return np.arange(len(numbers))
    rank = row_hash(numbers.astype(np.int64), seed).astype(np.float64)
    if first is not None:
        rank = np.where(first, rank - 2.0**64, rank)
    return np.sort(np.argpartition(rank, most - 1)[:most])


def joined(fitted: list[Fitted], calibration: Rows, recipe: Recipe) -> Calibrated:
    """Return the members with their weights, given or measured, and the line of Platt."""
    block = Columns({MATRIX: calibration.matrix})
    shares = [np.asarray(one.predict(block), dtype=np.float64) for one in fitted]
    weights = [part.weight for part in recipe.parts]
    known = [weight for weight in weights if weight is not None]
    chosen = known if len(known) == len(weights) else best_weights(shares, calibration.y)
    kept = [(one, weight) for one, weight in zip(fitted, chosen, strict=True) if weight > 0]
    members = tuple(Member(VIEW, weight, one) for one, weight in kept)
    named = Columns({matrix_column(VIEW): calibration.matrix})
    return Calibrated(members, recipe.scale).calibrated(named, calibration.y)


def best_weights(shares: list[Array], y: Array) -> list[float]:
    """Return the weights of log-odds whose calibrated log-loss is least, by tenths.

    Members are added one after the other, each against the blend so far: the first ones are
    stronger by the order of the recipe, and a later one that does not help gets nothing.
    """
    weights, blend = [1.0], log_odds(shares[0])
    for part in shares[1:]:
        odds = log_odds(part)
        losses = [_calibrated_loss((1 - w) * blend + w * odds, y) for w in _WEIGHTS]
        share = _WEIGHTS[int(np.argmin(losses))]
        blend = sum_in_order([(1 - share) * blend, share * odds])
        weights = [(1 - share) * w for w in weights] + [share]
    return weights


def policy_of(
    answer: Decision,
    recipe: Recipe,
    terms: Terms,
    *,
    amount: str,
    key: str | None,
    score: FloatArray,
    money: FloatArray,
    days: float,
) -> DecisionPolicy:
    """Return what is done at which score: fixed thresholds, or the least expected cost.

    Parameters
    ----------
    amount, key
        Columns of the money at stake and of the event's id.
    score, money, days
        Calibrated chances on the calibration block, amounts there, and its length.
    """
    explored = None
    if terms.explore and key is not None:
        explored = Exploration(terms.explore, key, terms.explore_most)
    if recipe.cuts is not None:
        return DecisionPolicy(answer, recipe.cuts, amount, explored)
    blank = DecisionPolicy(answer, Cheapest(terms.costs), amount, explored)
    return blank.chosen(score, money, terms.costs, days=days, capacity_per_day=terms.review_per_day)


def _calibrated_loss(margins: FloatArray, y: Array) -> float:
    chance = np.clip(sigmoid(Platt.fit(margins, y).apply(margins)), 1e-12, 1 - 1e-12)
    return float(-np.where(y == 1, np.log(chance), np.log1p(-chance)).mean())
