"""What decisions cost in money, and the thresholds that cost least within a review capacity."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.errors import ConfigError, DataError

APPROVE, REVIEW, DECLINE = 0, 1, 2
NEVER = 1.1
"""A cut that no probability reaches."""


@dataclass(frozen=True)
class Costs:
    """What each decision costs, right or wrong, in the money of the amounts.

    Parameters
    ----------
    loss_share, loss_fixed
        An approved fraud costs this share of its amount, and this fee.
    review
        One review, whatever it finds.
    review_misses
        Share of frauds that a review lets pass, in [0, 1].
    decline_share, decline_fixed
        A declined good transaction costs this share of its amount, and this much good will.

    Raises
    ------
    ConfigError
        When a cost is negative or not finite.

    Examples
    --------
    >>> costs = Costs(review=4.0, decline_fixed=20.0)
    >>> costs.expected(np.array([0.5]), np.array([100.0])).tolist()
    [[50.0, 4.0, 10.0]]
    """

    loss_share: float = 1.0
    loss_fixed: float = 0.0
    review: float = 5.0
    review_misses: float = 0.0
    decline_share: float = 0.0
    decline_fixed: float = 20.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"the cost {name} must be a finite number ≥ 0; got {value!r}.")
        if self.review_misses > 1:
            raise ConfigError(f"review_misses is a share in [0, 1]; got {self.review_misses!r}.")

    def expected(self, chance: Array, amount: Array) -> FloatArray:
        """Return the expected cost of approving, reviewing and declining each row: (n, 3).

        Parameters
        ----------
        chance
            Chance of fraud (n,), calibrated; or labels 0 and 1, which give the costs in hindsight.
        amount
            Money at stake (n,), finite; below zero nothing is at stake.
        """
        money = np.maximum(np.asarray(amount, dtype=np.float64), 0.0)
        loss = chance * (self.loss_share * money + self.loss_fixed)
        wrong = (1.0 - chance) * (self.decline_share * money + self.decline_fixed)
        return np.stack([loss, self.review + self.review_misses * loss, wrong], axis=1)


@dataclass(frozen=True)
class Cuts:
    """Two thresholds on a calibrated score: approve below `review`, decline from `decline` on.

    Examples
    --------
    >>> Cuts().actions(np.array([0.1, 0.2, 0.7, np.nan])).tolist()
    [0, 1, 2, 1]
    """

    review: float = 0.2
    decline: float = 0.7

    def __post_init__(self) -> None:
        if not 0 <= self.review <= self.decline:
            raise ConfigError(
                f"thresholds must rise from 0: review at {self.review!r} ≤ decline at "
                f"{self.decline!r}."
            )

    def actions(self, score: Array) -> IntArray:
        """Return action codes (n,); a score that is not a number is for a person to look at."""
        codes = (score >= self.review).astype(np.int64) + (score >= self.decline)
        return np.where(np.isnan(score), REVIEW, codes)


@dataclass(frozen=True)
class Outcome:
    """What decisions did on rows whose truth is known.

    Parameters
    ----------
    cost, cost_of_approving_all
        In money, over all rows; `saved` is their difference.
    reviews_per_day
        Mean review load.
    caught
        Share of frauds that were reviewed or declined.
    review_reduction
        Share of reviews spared against reviewing rows at random until as many frauds are caught;
        NaN where none was caught.
    declined_good
        Share of good rows declined.
    """

    rows: int
    cost: float
    cost_of_approving_all: float
    reviews_per_day: float
    caught: float
    review_reduction: float
    declined_good: float

    @property
    def saved(self) -> float:
        """Money saved against approving everything."""
        return self.cost_of_approving_all - self.cost


def outcome(actions: Array, y: Array, amount: Array, costs: Costs, days: float) -> Outcome:
    """Return what the decisions cost and caught, in hindsight.

    Examples
    --------
    >>> found = outcome(np.array([0, 1, 2]), np.array([0, 1, 1]), np.full(3, 50.0), Costs(), 1.0)
    >>> found.cost, found.saved, found.caught
    (5.0, 95.0, 1.0)
    """
    table = costs.expected(y, amount)
    fraud, reviewed = y == 1, actions == REVIEW
    caught = float((actions[fraud] != APPROVE).mean()) if fraud.any() else math.nan
    blind = caught * len(y)
    return Outcome(
        rows=len(y),
        cost=float(np.take_along_axis(table, np.asarray(actions)[:, None], axis=1).sum()),
        cost_of_approving_all=float(table[:, APPROVE].sum()),
        reviews_per_day=float(reviewed.sum()) / days,
        caught=caught,
        review_reduction=1.0 - float(reviewed.sum()) / blind if blind > 0 else math.nan,
        declined_good=float((actions[~fraud] == DECLINE).mean()) if (~fraud).any() else math.nan,
    )


def reviews_allowed(capacity_per_day: float | None, days: float, rows: int) -> int:
    """Return how many rows of a block may be reviewed; None: as many as there are.

    Raises
    ------
    ConfigError
        When the capacity is negative or the block has no length.
    """
    if days <= 0 or (capacity_per_day is not None and not capacity_per_day >= 0):
        raise ConfigError(
            "a review capacity is a number ≥ 0 per day over a block of more than 0 days; got "
            f"{capacity_per_day!r} and {days!r}."
        )
    if capacity_per_day is None or capacity_per_day * days >= rows:
        return rows
    return math.floor(capacity_per_day * days)


def cheapest_cuts(
    score: Array,
    amount: Array,
    costs: Costs,
    *,
    days: float = 1.0,
    capacity_per_day: float | None = None,
    chance: Array | None = None,
) -> Cuts:
    """Return the two thresholds that cost least on a block, among all that keep to the capacity.

    Every pair of places between two distinct scores is covered by prefix sums and a sliding
    minimum, in the time of one sort.

    Parameters
    ----------
    score
        Calibrated scores (n,), on which the thresholds are set.
    chance
        Chance of fraud that costs are taken of; None: the score itself. Labels 0 and 1 choose in
        hindsight, which on few frauds follows luck.
    capacity_per_day
        Most reviews per day, on average over the block; None: no bound.
    """
    _refuse_gaps(score, amount)
    allowed = reviews_allowed(capacity_per_day, days, len(score))
    order = np.argsort(score, kind="stable")
    table = costs.expected(score if chance is None else chance, amount)[order]
    spent = np.concatenate([np.zeros((1, 3)), np.cumsum(table, axis=0)])
    ordered = score[order]
    places = np.concatenate([[0], np.flatnonzero(np.diff(ordered)) + 1, [len(ordered)]])
    start = (spent[places, APPROVE] - spent[places, REVIEW]).tolist()
    end = (spent[places, REVIEW] + spent[-1, DECLINE] - spent[places, DECLINE]).tolist()
    low, high = _cheapest_window(places.tolist(), start, end, allowed)
    return Cuts(_cut(ordered, int(places[low])), _cut(ordered, int(places[high])))


def review_price(
    score: Array,
    amount: Array,
    costs: Costs,
    *,
    days: float = 1.0,
    capacity_per_day: float | None = None,
) -> float:
    """Return the price of a review at which taking the cheapest action keeps to the capacity.

    A review is worth what it saves against the better of approving and declining. With the price
    added, only the most worthwhile are done, as many as there is capacity for: no other choice
    of so many rows has a lower expected cost. Rows exactly at the price are left out.
    """
    _refuse_gaps(score, amount)
    allowed = reviews_allowed(capacity_per_day, days, len(score))
    table = costs.expected(score, amount)
    worth = np.minimum(table[:, APPROVE], table[:, DECLINE]) - table[:, REVIEW]
    if int((worth > 0).sum()) <= allowed:
        return 0.0
    return float(np.partition(-worth, allowed)[allowed]) * -1.0


def cheapest_actions(table: FloatArray, price: float = 0.0) -> IntArray:
    """Return each row's cheapest action; a review must save more than its price.

    Examples
    --------
    >>> cheapest_actions(np.array([[50.0, 4.0, 10.0], [1.0, 4.0, 10.0]]), price=3.0).tolist()
    [1, 0]
    """
    settled = np.where(table[:, DECLINE] < table[:, APPROVE], DECLINE, APPROVE)
    worth = np.minimum(table[:, APPROVE], table[:, DECLINE]) - table[:, REVIEW]
    return np.where(worth > price, REVIEW, settled)


def _refuse_gaps(score: Array, amount: Array) -> None:
    gaps = int((~np.isfinite(score)).sum() + (~np.isfinite(amount)).sum())
    if len(score) == 0 or gaps:
        raise DataError(
            "a policy is chosen on a block of rows with a score and an amount each; got "
            f"{len(score):,} rows and {gaps:,} missing values. Fill amounts in, or drop the rows."
        )


def _cheapest_window(
    places: list[int], start: list[float], end: list[float], allowed: int
) -> tuple[int, int]:
    """Return i ≤ j with the least start[i] + end[j] among those at most `allowed` rows apart."""
    window: deque[int] = deque()
    best, found = math.inf, (0, 0)
    for j, place in enumerate(places):
        while window and start[window[-1]] > start[j]:
            window.pop()
        window.append(j)
        while place - places[window[0]] > allowed:
            window.popleft()
        cost = start[window[0]] + end[j]
        if cost < best:
            best, found = cost, (window[0], j)
    return found


def _cut(ordered: Array, place: int) -> float:
    """Return a threshold that parts the rows before `place` from those at and after it."""
    if place == len(ordered):
        return NEVER
    if place == 0:
        return 0.0
    below, above = float(ordered[place - 1]), float(ordered[place])
    middle = below + (above - below) / 2
    return middle if middle > below else above
