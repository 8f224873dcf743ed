"""Room for what a model of hashed n-grams learns: which terms have weights, and new classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from promise.data.columns import FloatArray, IntArray
from promise.models.hashed import SHARP, HashedLinear

WEIGHTS = 1 << 26
"""At most so many weights are learned (256 MiB): the more classes, the fewer terms have some."""

RARE = 0.5
"""Power of the inverse document frequency that a term counts with."""

STRESS, MOST_STRESS = 0.15, 4.0
"""Names of a class e times rarer take steps 1.16 times as long; none take longer ones than this."""


def empty_model(
    counts: IntArray,
    n_rows: int,
    n_classes: int,
    *,
    background: bool,
    sizes: IntArray | None = None,
) -> HashedLinear:
    """Return a model that has learned nothing yet, over the terms that occur most often.

    Parameters
    ----------
    counts
        How often each bucket occurs, int64 (2 ** BITS,).
    n_rows
        In how many names, those of no class included.
    background
        Whether there is a column for names of no class.
    sizes
        How many names each class has, int64 (n_classes,); without them all count alike.
    """
    columns = n_classes + background
    buckets = frequent(counts, WEIGHTS // columns)
    worth = worth_of(counts[buckets], n_rows)
    return HashedLinear(
        buckets=buckets,
        weights=np.zeros((len(buckets), columns), np.float32),
        worth=worth,
        bias=np.zeros(columns, np.float32),
        n_classes=n_classes,
        temperature=SHARP,
        stress=None if sizes is None else stress_of(sizes, columns),
    )


def stress_of(sizes: IntArray, columns: int) -> FloatArray:
    """Return how much longer steps names of rarer classes take, float32 (columns,).

    Names of no class, in the column beyond the classes, take plain steps.

    Examples
    --------
    >>> [f"{step:.2f}" for step in stress_of(np.array([999, 99, 0]), 4)]
    ['1.00', '1.41', '2.82', '1.00']
    """
    found = np.ones(columns, np.float32)
    rarer = (sizes.max() + 1.0) / (sizes + 1.0)
    found[: len(sizes)] = np.minimum(rarer**STRESS, MOST_STRESS)
    return found


def grown(model: HashedLinear, counts: IntArray, n_rows: int, added: int) -> HashedLinear:
    """Return a model with room for new terms and classes; what it has learned stays.

    Parameters
    ----------
    counts, n_rows
        Of the new rows alone; terms that are known keep their worth.
    added
        How many classes are new; they stand behind the known ones, before the names of no class.
    """
    k, columns = model.n_classes, len(model.bias) + added
    fresh = counts.copy()
    fresh[model.buckets] = 0
    buckets = frequent(fresh, max(0, WEIGHTS // columns - len(model.buckets)))
    worth = worth_of(counts[buckets], n_rows)
    known = len(model.buckets)
    weights = np.zeros((known + len(buckets), columns), np.float32)
    weights[:known, :k] = model.weights[:, :k]
    weights[:known, k + added :] = model.weights[:, k:]
    bias = np.zeros(columns, np.float32)
    bias[:k], bias[k + added :] = model.bias[:k], model.bias[k:]
    if added:  # a class that nobody has seen is no likelier than the least likely one
        bias[k : k + added] = model.bias[:k].min()
    lift = model.lift
    if lift is not None:  # and is raised like the rarest
        lift = np.concatenate([lift[:k], np.full(added, lift[:k].max(), np.float32), lift[k:]])
    stress = model.stress
    if stress is not None:
        stress = np.concatenate([stress[:k], np.ones(added, np.float32), stress[k:]])
    return replace(
        model,
        lift=lift,
        stress=stress,
        buckets=np.concatenate([model.buckets, buckets]),
        worth=np.concatenate([model.worth, worth]),
        weights=weights,
        bias=bias,
        n_classes=k + added,
    )


def worth_of(counts: IntArray, n_rows: int) -> FloatArray:
    """Return what terms of these counts count with, float32."""
    rarity = np.log((n_rows + 1.0) / (counts + 1.0)).clip(min=0.0)
    found: FloatArray = (rarity**RARE).astype(np.float32)
    return found


def frequent(counts: IntArray, limit: int) -> IntArray:
    """Return the buckets that occur, ascending; above the limit the most frequent ones."""
    found = np.flatnonzero(counts)
    if len(found) > limit:
        found = np.sort(found[np.argsort(-counts[found], kind="stable")[:limit]])
    return found.astype(np.int32)
