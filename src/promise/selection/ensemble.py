"""A weighted mean of a few models, chosen greedily on rows that none of them learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from promise.data.columns import Array, FloatArray
from promise.kernels.scores import log_loss_rows
from promise.metrics.pointwise import Metric

MEMBERS = 5
"""A blend has at most so many distinct members."""

STEPS = 20
"""Greedy additions: weights are multiples of one over this."""

POOL = 14
"""Only so many of the best candidates compete for a place."""

ROWS = 20_000
"""Rows looked at while choosing; more do not change the choice, only its time."""

CELLS = 1_000_000
"""Rows × classes looked at, likewise."""

SMOOTH = 0.1
"""How much log loss counts beside a decision metric, whose steps are coarse and noisy."""


@dataclass(frozen=True)
class Choice:
    """The weights of a blend, and whether it deserves to win.

    Parameters
    ----------
    weights
        One per output, zero for those left out; sums to one.
    nested
        The blend's objective on halves of the rows that its weights were not chosen on.
    nested_single
        The same for the best single output, chosen on the other half too.
    """

    weights: FloatArray
    nested: float
    nested_single: float

    @property
    def wins(self) -> bool:
        """Whether blending helped where it had not looked, and more than one model is in it."""
        return int((self.weights > 0).sum()) > 1 and self.nested > self.nested_single


def objective(metric: Metric, y: Array, output: Array, multipliers: Array | None = None) -> float:
    """Return the utility to choose by: the metric's, smoothed where it counts decisions.

    Examples
    --------
    >>> metric = Metric("r2", greater_is_better=True, kind="number")
    >>> objective(metric, np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    1.0
    """
    value = metric.utility(y, output, multipliers)
    if metric.kind == "decision":
        value -= SMOOTH * float(log_loss_rows(y, output).mean())
    return value if np.isfinite(value) else -np.inf


def blended(outputs: Sequence[Array], weights: FloatArray) -> Array:
    """Return the weighted mean of the outputs, leaving zero weights out."""
    total: Array | None = None
    for output, weight in zip(outputs, weights, strict=True):
        if weight > 0:
            part = weight * output
            total = part if total is None else total + part
    if total is None:
        raise ValueError("a blend needs at least one weight above zero")
    return total


def greedy_weights(
    outputs: Sequence[Array],
    y: Array,
    metric: Metric,
    *,
    costs: FloatArray | None = None,
    cost_limit: float = np.inf,
    multipliers: Array | None = None,
) -> FloatArray:
    """Add one output at a time, with replacement, as long as it helps most.

    Caruana et al., "Ensemble selection from libraries of models" (ICML 2004), section 2; the
    best prefix of the additions is kept, and no more than `MEMBERS` outputs take part.

    Parameters
    ----------
    outputs
        Per model (n,) numbers or (n, k) probabilities for the same rows.
    costs, cost_limit
        Milliseconds per prediction; the members' sum stays within the limit.
    """
    costs = np.zeros(len(outputs)) if costs is None else costs
    counts = np.zeros(len(outputs), dtype=np.int64)
    total = np.zeros_like(outputs[0], dtype=np.float64)
    best_value, best_counts = -np.inf, counts
    for step in range(1, STEPS + 1):
        members = counts > 0
        room = cost_limit - costs[members].sum()
        allowed = [
            i
            for i in range(len(outputs))
            if members[i] or (members.sum() < MEMBERS and (costs[i] <= room or step == 1))
        ]
        values = [objective(metric, y, (total + outputs[i]) / step, multipliers) for i in allowed]
        top = int(np.argmax(values))
        counts = counts + (np.arange(len(outputs)) == allowed[top])
        total += outputs[allowed[top]]
        if values[top] > best_value + 1e-12:
            best_value, best_counts = values[top], counts
    return np.asarray(best_counts / best_counts.sum(), dtype=np.float64)


def choose_blend(
    outputs: Sequence[Array],
    y: Array,
    metric: Metric,
    *,
    seed: int,
    costs: FloatArray | None = None,
    cost_limit: float = np.inf,
    multipliers: Array | None = None,
    rows: Array | None = None,
) -> Choice:
    """Choose a blend on all rows, and judge on exchanged halves whether blending helps.

    Parameters
    ----------
    outputs
        Best first; those past `POOL` are not looked at.
    rows
        Which row an output is of, where some have several: these stay in one half.
    """
    rng = np.random.default_rng(seed)
    classes = 1 if outputs[0].ndim == 1 else outputs[0].shape[1]
    shuffled = rng.permutation(len(y))[: max(500, min(ROWS, CELLS // classes))]
    costs = np.zeros(len(outputs)) if costs is None else costs
    pool = [np.asarray(o, dtype=np.float64)[shuffled] for o in outputs[:POOL]]
    y = y[shuffled]

    def weigh(rows: Array) -> FloatArray:
        return greedy_weights(
            [o[rows] for o in pool],
            y[rows],
            metric,
            costs=costs[: len(pool)],
            cost_limit=cost_limit,
            multipliers=multipliers,
        )

    halves = np.arange(len(y)) % 2
    if rows is not None:
        of_row = np.unique(rows[shuffled], return_inverse=True)[1]
        halves = (rng.permutation(int(of_row.max()) + 1) % 2)[of_row]
    pooled_blend, pooled_single = np.empty_like(pool[0]), np.empty_like(pool[0])
    for half in (0, 1):
        known, unseen = np.flatnonzero(halves != half), np.flatnonzero(halves == half)
        pooled_blend[unseen] = blended([o[unseen] for o in pool], weigh(known))
        single = int(np.argmax([objective(metric, y[known], o[known], multipliers) for o in pool]))
        pooled_single[unseen] = pool[single][unseen]
    weights = np.zeros(len(outputs))
    weights[: len(pool)] = weigh(np.arange(len(y)))
    return Choice(
        weights=weights,
        nested=objective(metric, y, pooled_blend, multipliers),
        nested_single=objective(metric, y, pooled_single, multipliers),
    )
