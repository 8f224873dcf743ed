"""Which rung is chosen: the one that new articles will bear out, not the luckiest one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from promise.data.columns import Array
from promise.metrics.intervals import paired_difference
from promise.workloads.articles.rungs import TERMS_BELOW, VECTORS_FROM, Folds, Rung, Terms, moved_by

WORTH = 0.0025
"""A lead that is expected to be smaller, and is within its own error, is left to the cheaper."""

GAIN, SPREAD = 0.11, 0.08
"""Share of its better member's error that a mean of terms and vectors saves as a rule.

Of TF-IDF and MiniLM by logistic regression on AG News: 3, 7, 14 and 21 % with 200, 400, 800 and
2,000 articles.
"""

_RESAMPLES = 200


def choose(rungs: Sequence[Rung], y: Array, terms: Terms, folds: Folds) -> tuple[Rung, str]:
    """Return the rung of the best expected score, or a cheaper one that is as good.

    With few articles a dozen rungs lie within the folds' noise, and the best of them was lucky. So
    the lead of a mean of terms and vectors over its better member is drawn toward what such means
    gain as a rule, the more the less the folds can tell.
    """
    fit = sorted((r for r in rungs if r.status == "tried"), key=lambda rung: rung.cost)
    if not fit:
        fit = sorted((r for r in rungs if r.shares is not None), key=lambda r: r.latency_ms)[:1]
        return fit[0], "no rung keeps the latency that was asked for; this one is the fastest"
    fit = [replace(rung, expected=expected(rung, rungs, y, terms, folds)) for rung in fit]
    best = max(fit, key=lambda rung: rung.expected)
    for rung in fit:
        if rung is best:
            break
        lead = best.expected - rung.expected
        if lead < WORTH and lead <= lead_error(best, rung, y, terms, folds):
            return (
                rung,
                f"{best.name} leads by {lead:.4f} only, which is within noise, and costs more",
            )
    if len(fit) == 1:
        return best, "no other rung was tried"
    second = max((rung for rung in fit if rung is not best), key=lambda rung: rung.expected)
    beside = f"{best.expected - second.expected:+.4f} beside {second.name}"
    if best.expected == best.score:
        return best, f"it is the best, {beside}"
    return best, f"it is expected to be the best, as means of terms and vectors are, {beside}"


def expected(rung: Rung, rungs: Sequence[Rung], y: Array, terms: Terms, folds: Folds) -> float:
    """Return what a rung will reach: what it reached, unless more is known of its kind."""
    names = [way for way, _ in rung.ways]
    members = [
        r for r in rungs if r.shares is not None and [w for w, _ in r.ways] in ([n] for n in names)
    ]
    if len(names) < 2 or len(members) < 2 or not _mixed(members):
        return rung.score
    better = max(members, key=lambda member: member.score)
    wrong = 1.0 - better.score
    error = lead_error(rung, better, y, terms, folds)
    return better.score + shrunk(rung.score - better.score, error, GAIN * wrong, SPREAD * wrong)


def _mixed(members: Sequence[Rung]) -> bool:
    costs = [member.cost for member in members]
    return min(costs) < TERMS_BELOW and max(costs) >= VECTORS_FROM


def shrunk(found: float, error: float, usual: float, spread: float) -> float:
    """Return the mean of what was found and what is usual, each by how sure it is.

    The posterior mean of a normal with a normal prior, at most one error away from what was found:
    what is unlike the rule is not drawn to it (Efron and Morris 1972, limited translation).

    Examples
    --------
    >>> shrunk(0.00, 0.02, 0.01, 0.02), shrunk(0.03, 0.0, 0.01, 0.02)
    (0.005, 0.03)
    >>> shrunk(-0.5, 0.02, 0.01, 0.001)
    -0.48
    """
    if error == 0.0:
        return found
    trust = spread**2 / (spread**2 + error**2)
    drawn = trust * found + (1.0 - trust) * usual
    return min(max(drawn, found - error), found + error)


def lead_error(best: Rung, rung: Rung, y: Array, terms: Terms, folds: Folds | None) -> float:
    """Return the standard error of the lead; each judged row by itself where there is one fold."""
    assert best.shares is not None
    assert rung.shares is not None
    found = paired_difference(
        terms.metric, y, best.shares, rung.shares, seed=terms.job.seed, n=_RESAMPLES,
        level=0.6827, groups=None if folds is None else folds.judged,
        multipliers_a=moved_by(best), multipliers_b=moved_by(rung),
    )  # fmt: skip
    return float(np.asarray(found.high - found.low)) / 2
