"""Suffix rules learned from labelled names, kept where they hold on names that were held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from promise.data.columns import Array, FloatArray
from promise.features.names import Names
from promise.features.names_rules import NO_RULES, Rules

AGREE = 0.9
"""Share of an ending's names that its class must have."""

SUPPORTS = (1, 2, 3, 5, 10)
"""Least numbers of names that an ending was learned from, tried from the smallest."""

LEAST_MATCHED = 10


@dataclass(frozen=True)
class Tried:
    """How rules fared on held-out names, beside the model on the same names.

    Parameters
    ----------
    support
        Least number of names behind a rule; 0 where no rule is kept.
    """

    support: int
    matched: int
    precision: float | None
    model: float | None


def candidates(endings: tuple[Array, Array, Array]) -> Rules:
    """Return a rule for every ending whose names agree.

    Parameters
    ----------
    endings
        Hash, class and count, sorted by hash.
    """
    hashes, codes, counts = endings
    if not len(hashes):
        return NO_RULES
    starts = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1]]))
    totals = np.add.reduceat(counts, starts)
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(hashes))))
    order = np.lexsort((codes, -counts, group))
    best = order[starts]
    agree = counts[best] / totals
    kept = agree >= AGREE
    return Rules(
        hashes[starts][kept],
        codes[best][kept].astype(np.int32),
        totals[kept].astype(np.int32),
        agree[kept],
    )


def chosen(rules: Rules, names: Names, codes: Array, model: Array) -> tuple[Rules, Tried]:
    """Keep the rules of the least support at which they err no more often than the model.

    Parameters
    ----------
    names, codes
        Held-out names with their classes.
    model
        What the model says of them: class codes.
    """
    for support in SUPPORTS:
        kept = rules.where(rules.rows >= support)
        rule = kept.matched(names)[:, 0] - 1 if len(kept) else np.full(len(names), -1)
        at = np.flatnonzero(rule >= 0)
        if len(at) < LEAST_MATCHED:
            break
        right = kept.codes[rule[at]] == codes[at]
        alone = float((model[at] == codes[at]).mean())
        if right.mean() >= alone:
            sure = _measured(kept, rule[at], right)
            tried = Tried(support, len(at), float(right.mean()), alone)
            return Rules(kept.hashes, kept.codes, kept.rows, sure), tried
    return NO_RULES, Tried(0, 0, None, None)


def _measured(rules: Rules, matched: Array, right: Array) -> FloatArray:
    """Return how often rules of like support were right, of a rule's own agreement at most."""
    groups = np.searchsorted(SUPPORTS, rules.rows, side="right")
    of = groups[matched]
    hits = np.bincount(of, weights=right, minlength=len(SUPPORTS) + 1)
    tries = np.bincount(of, minlength=len(SUPPORTS) + 1)
    overall = (right.sum() + 1.0) / (len(right) + 2.0)
    shares = (hits + 5.0 * overall) / (tries + 5.0)
    found: FloatArray = np.minimum(shares[groups], rules.sure)
    return found
