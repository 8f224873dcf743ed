"""Which rung is chosen: the best, or a cheaper one that is as good as far as articles can tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from promise.data.columns import Array
from promise.metrics.intervals import paired_difference
from promise.workloads.articles.rungs import Folds, Rung, Terms, moved_by

SMALL = 0.005
"""A lead smaller than this, and than its own standard error, is left to the cheaper rung."""

_RESAMPLES = 200


def choose(rungs: Sequence[Rung], y: Array, terms: Terms, folds: Folds) -> tuple[Rung, str]:
    """Return the best rung, or a cheaper one that is as good as far as these articles can tell."""
    fit = sorted((r for r in rungs if r.status == "tried"), key=lambda rung: rung.cost)
    if not fit:
        fit = sorted((r for r in rungs if r.shares is not None), key=lambda r: r.latency_ms)[:1]
        return fit[0], "no rung keeps the latency that was asked for; this one is the fastest"
    best = max(fit, key=lambda rung: rung.score)
    for rung in fit:
        if rung is best:
            break
        lead = best.score - rung.score
        if lead < SMALL and lead <= lead_error(best, rung, y, terms, folds):
            return rung, (
                f"{best.name} leads by {lead:.4f} only, which is within noise, and costs more"
            )
    if len(fit) == 1:
        return best, "no other rung was tried"
    second = max((rung for rung in fit if rung is not best), key=lambda rung: rung.score)
    return best, f"it is the best, {best.score - second.score:+.4f} beside {second.name}"


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
