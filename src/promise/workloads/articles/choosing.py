"""Which rung is chosen: the best, or a cheaper one that is as good as far as articles can tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from promise.data.columns import Array
from promise.metrics.intervals import paired_difference
from promise.workloads.articles.rungs import Folds, Rung, Terms, moved_by

SMALL = 0.005
"""A lead that is surely smaller is left to the cheaper rung."""

_KINDS = 3
"""A mean of so many stands for all, where articles cannot tell which of them is the best."""

_RESAMPLES = 200


def choose(rungs: Sequence[Rung], y: Array, terms: Terms, folds: Folds) -> tuple[Rung, str]:
    """Return the rung that promises most, or a cheaper one that is surely as good.

    Of many rungs that a few articles judge the one that comes out best owes part of its lead to
    chance. So a mean of terms, a table and a sentence encoder is taken wherever the best does not
    lead it by more than a standard error (as Breiman et al. 1984 prune, but towards the mean, which
    varies least). Left to a cheaper rung is a lead that, a standard error added, is still small; a
    lead is known to one article at best.
    """
    fit = sorted((r for r in rungs if r.status == "tried"), key=lambda rung: rung.cost)
    if not fit:
        fit = sorted((r for r in rungs if r.shares is not None), key=lambda r: r.latency_ms)[:1]
        return fit[0], "no rung keeps the latency that was asked for; this one is the fastest"
    if len(fit) == 1:
        return fit[0], "no other rung was tried"

    best = max(fit, key=lambda rung: rung.score)
    second = max((rung for rung in fit if rung is not best), key=lambda rung: rung.score)
    taken, why = best, f"it is the best, {best.score - second.score:+.4f} beside {second.name}"
    means = [rung for rung in fit if len(rung.ways) >= _KINDS and rung is not best]
    for mean in means:
        lead = best.score - mean.score
        if lead <= lead_error(best, mean, y, terms, folds):
            taken = mean
            why = f"{best.name} leads by {lead:.4f}, which may be chance; a mean of all is surer"
    finest = 1 / len(np.unique(folds.judged))  # where rungs agree on all, one more may part them
    for rung in fit[: fit.index(taken)]:
        lead = taken.score - rung.score
        if lead + max(finest, lead_error(taken, rung, y, terms, folds)) < SMALL:
            return rung, f"{taken.name} surely leads by less than {SMALL:g}, and costs more"
    return taken, why


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
