"""Which samples a learning curve is measured on: doubling sizes, several seeds, within a limit."""

from __future__ import annotations

import math
from collections.abc import Callable

from promise.selection.candidates import Trial

SMALLEST = 64
"""The smallest sample has at least so many rows."""

DOUBLINGS = 6
"""At most so many doublings up to all rows."""

SEEDS = 3
"""Nested samples are drawn so often, when there is time."""

POINT_S = 0.3
"""What one point costs beside its fit."""


def curve_sizes(n_rows: int) -> list[int]:
    """Return doubling sizes that end at all rows.

    Examples
    --------
    >>> curve_sizes(1000)
    [125, 250, 500, 1000]
    """
    halvings = range(min(DOUBLINGS, max(0, int(math.log2(max(1, n_rows / SMALLEST))))) + 1)
    return [n_rows // 2**k for k in reversed(halvings)]


def planned_by_time(trial: Trial, n_rows: int, seconds: float) -> list[tuple[int, int]]:
    """Return the samples, as (rows, seed), that are expected to take at most so many seconds."""

    def cost(size: int) -> float:
        return POINT_S + 1.3 * trial.fit_seconds * size / max(1, trial.rows)

    return within(seconds, n_rows, cost)


def planned_by_rows(trial: Trial, n_rows: int) -> list[tuple[int, int]]:
    """Return the samples to learn from without a clock: together as many rows as the race's fits.

    So the curve takes about as long as the race took over this model, at most, and is the same
    whatever the machine's speed and the number of threads.
    """
    return within(trial.rows * max(1, len(trial.fold_scores)), n_rows, float)


def within(limit: float, n_rows: int, cost: Callable[[int], float]) -> list[tuple[int, int]]:
    """Return (rows, seed) of nested samples, seed by seed, whose costs stay within a limit.

    Examples
    --------
    >>> within(900, 1000, float)
    [(125, 0), (250, 0), (500, 0)]
    >>> within(1000, 1000, float)  # a small one of the next seed fits, too
    [(125, 0), (250, 0), (500, 0), (125, 1)]
    """
    chosen = []
    for seed in range(SEEDS):
        for size in curve_sizes(n_rows)[:-1]:
            if cost(size) <= limit:
                limit -= cost(size)
                chosen.append((size, seed))
    return chosen
