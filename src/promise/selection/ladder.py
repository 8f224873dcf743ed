"""How much evidence a table of a given size can pay for: folds, and rungs of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from promise.data.columns import IntArray
from promise.kernels.rows import row_hash

SMALLEST_RUNG = 6000
"""Fewer rows than this rank candidates too noisily to be worth the saving."""

STEP = 4
"""Each rung has this many times the rows of the one below."""


@dataclass(frozen=True)
class Stage:
    """One hurdle of the race: which share of the rows, which folds."""

    rung: int
    folds: tuple[int, ...]


REPEATS = 3
"""Folds of a small table are drawn so often, each time otherwise."""

SMALL = 500
"""Below this many rows a single draw of the folds is mostly luck."""


def n_folds(
    n_rows: int, *, n_columns: int = 20, n_classes: int = 0, repeatable: bool = True
) -> tuple[int, int]:
    """Return how many folds to validate on, and how often to draw them; 1 means a single split.

    Small tables need every row as validation evidence, several times (Molinaro et al. 2005,
    "Prediction error estimation"); on large ones a single split is precise enough and leaves the
    time for more candidates. Wide or many-classed tables count as larger.

    Parameters
    ----------
    repeatable
        Whether another draw gives other folds: windows of time and whole groups do not.

    Examples
    --------
    >>> [n_folds(n) for n in (200, 5000, 30000, 100000)]
    [(5, 3), (5, 1), (3, 1), (1, 1)]
    >>> n_folds(200, repeatable=False)
    (10, 1)
    """
    if n_rows < SMALL:
        return (5, REPEATS) if repeatable else (10, 1)
    work = n_rows * max(1.0, n_columns / 50) * max(1.0, n_classes / 5)
    if work <= 25_000:
        return 5, 1
    return (3 if work <= 60_000 and n_rows <= 60_000 else 1), 1


def rungs(n_train: int) -> tuple[int, ...]:
    """Return the row counts to race on, growing up to all rows.

    Examples
    --------
    >>> rungs(80000)
    (20000, 80000)
    >>> rungs(9000)
    (9000,)
    """
    sizes = [n_train]
    while sizes[0] // STEP >= SMALLEST_RUNG:
        sizes.insert(0, sizes[0] // STEP)
    return tuple(sizes)


def stages(n_rungs: int, folds: int, repeats: int = 1) -> tuple[Stage, ...]:
    """Return the hurdles in order: rungs of rows on the first fold, then the other folds.

    Folds that are drawn several times are a hurdle of their own: every draw but the first.

    Examples
    --------
    >>> stages(2, 3)
    (Stage(rung=0, folds=(0,)), Stage(rung=1, folds=(0,)), Stage(rung=1, folds=(1, 2)))
    >>> [stage.folds for stage in stages(1, 6, repeats=3)]
    [(0,), (1,), (2, 3, 4, 5)]
    """
    found = [Stage(rung, (0,)) for rung in range(n_rungs)]
    first = folds // repeats
    for part in (range(1, first), range(first, folds)):
        if part:
            found.append(Stage(n_rungs - 1, tuple(part)))
    return tuple(found)


def nested_subset(positions: IntArray, rows: IntArray, size: int, seed: int) -> IntArray:
    """Return `size` of the positions, in order; a larger subset contains the smaller.

    Parameters
    ----------
    positions
        Where the rows to choose from are.
    rows
        The row numbers of all rows, which the hash is taken of.
    """
    if size >= len(positions):
        return positions
    hashes = row_hash(np.asarray(rows[positions], dtype=np.int64), seed)
    chosen: IntArray = np.sort(positions[np.argsort(hashes, kind="stable")[:size]])
    return chosen
