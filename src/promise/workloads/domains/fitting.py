"""From parts on disk to a model and its policy: weights, rules, calibration, `unknown`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.features.names_rules import NO_RULES, Rules
from promise.job import Job
from promise.models.hashed import Batch, HashedLinear, Terms
from promise.workloads.domains.background import frontier
from promise.workloads.domains.calibration import LEAST_HELD, calibrated
from promise.workloads.domains.held import joined_batches, names_of, share_of
from promise.workloads.domains.parts import read_ready
from promise.workloads.domains.rules import Tried, chosen
from promise.workloads.domains.split import TRAIN
from promise.workloads.domains.spool import Spool

REJECTED = 0.08
"""Share of held-out names of a class that may be answered `unknown`."""

LIFTS = (0.0, 0.02, 0.04, 0.06)
"""Tried on held-out brands: how much a class that is e times rarer is raised."""

LEAST_LIFTED = 1_000
"""Fewer held-out names do not say which lift is best; then there is none."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Fitted:
    """What was learned.

    Parameters
    ----------
    threshold
        Least confidence of an answer.
    told
        What the details of a training say of it.
    """

    score: HashedLinear
    rules: Rules
    threshold: float
    told: dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    """Names that were not learned from.

    Parameters
    ----------
    apart
        Of brands that are new to the model: for temperature and threshold.
    tune
        Single names: for rules.
    of_no_class
        Names of no class, or None where none were given.
    rejected
        Share of known names that may be rejected.
    unknown_share
        Share of unknown names among those that will be asked.
    counts
        How many names were learned from, by column of the weights, int64 (k,).
    """

    apart: Batch
    tune: Batch
    of_no_class: Batch | None
    rejected: float
    unknown_share: float
    counts: IntArray


def learned(
    score: HashedLinear,
    spool: Spool,
    beside: Batch | None,
    n_rows: int,
    terms: Terms,
    job: Job,
    tell: Tell,
    sides: tuple[int, ...] = (TRAIN,),
) -> HashedLinear:
    """Return the model after all passes over the names to learn from.

    Parameters
    ----------
    beside
        Further names, dealt over the parts: names of no class, names from before an update.
    n_rows
        How many names the parts have to learn from.
    sides
        What they are for.
    """

    def passes() -> Iterator[Iterator[Batch]]:
        for number in range(terms.passes):
            tell(f"learning: pass {number + 1} of {terms.passes}")
            order = np.random.default_rng([job.seed, number]).permutation(spool.n_parts)
            yield _batches(spool, order, beside, sides)

    extra = 0 if beside is None else len(beside.codes)
    return score.learned(passes(), terms.passes * (n_rows + extra), terms, job)


def _batches(
    spool: Spool, order: IntArray, beside: Batch | None, sides: tuple[int, ...]
) -> Iterator[Batch]:
    for number in order.tolist():
        batch = read_ready(spool, number).of(*sides)
        if beside is not None:
            batch = joined_batches([batch, share_of(beside, number, spool.n_parts)])
        yield batch


def finish(score: HashedLinear, candidates: Rules, given: Rules, evidence: Evidence) -> Fitted:
    """Calibrate on held-out brands, choose rules on held-out names, set the threshold.

    Parameters
    ----------
    candidates
        Rules to choose from.
    given
        Rules that hold whatever the names say.
    """
    score = lifted(score, evidence.apart, evidence.counts)
    raised = score.lift is not None and bool(score.lift.any())
    share = evidence.unknown_share
    score = calibrated(score, evidence.apart, evidence.of_no_class, share)
    rules, tried = _rules(score, candidates, evidence.tune)
    n_learned = len(rules)
    rules = given.before(rules) if len(given) else rules
    confidence = _confidence(score, evidence.apart)
    enough = len(confidence) >= LEAST_HELD
    threshold = float(np.quantile(confidence, evidence.rejected)) if enough else 0.0
    unknown: dict[str, Any] = {"threshold": threshold, "false_rejection": evidence.rejected}
    if evidence.of_no_class is not None and enough:
        of_none = _confidence(score, evidence.of_no_class)
        unknown |= {
            "share": share,
            "background": len(of_none),
            "rejected": float((of_none < threshold).mean()),
            "frontier": frontier(confidence, of_none),
        }
    told = {
        "rules": {"learned": n_learned, "given": len(given), **vars(tried)},
        "temperature": score.temperature,
        "lifted": raised,
        "unknown": unknown,
    }
    return Fitted(score, rules, threshold, told)


def settled_on(model: HashedLinear, fitted: Fitted, of_no_class: Batch | None) -> Fitted:
    """Return what was fitted, for the model that has learned the held-out names as well.

    It is surer, so the threshold moves: as before it rejects the same share of the names of no
    class, which neither model has learned from.
    """
    before, threshold = fitted.score, fitted.threshold
    score = replace(
        model,
        temperature=before.temperature,
        lift=before.lift,
        unknown_share=before.unknown_share,
    )
    if of_no_class is None or not threshold:
        return replace(fitted, score=score)
    share = float((_confidence(before, of_no_class) < threshold).mean())
    threshold = float(np.quantile(_confidence(score, of_no_class), share))
    told = {**fitted.told, "unknown": {**fitted.told["unknown"], "threshold": threshold}}
    return Fitted(score, fitted.rules, threshold, told)


def lifted(score: HashedLinear, apart: Batch, counts: IntArray) -> HashedLinear:
    """Return the model with rare classes raised by as much as held-out brands ask for.

    A model that tells each class from all others says rare ones too seldom (Menon et al. 2021,
    "Long-tail learning via logit adjustment"). The lift of the best sum of accuracy and macro-F1 is
    taken, the least of equally good ones.
    """
    if len(apart.codes) < LEAST_LIFTED:
        return score
    rarity = -np.log((counts + 1.0) / (counts.sum() + len(counts)))
    margins = np.log(replace(score, temperature=1.0, lift=None).of(apart).clip(min=1e-300))
    best = max(LIFTS, key=lambda lift: _fit_to(apart.codes, margins + lift * rarity, score))
    return replace(score, lift=(best * rarity).astype(np.float32))


def _fit_to(codes: IntArray, margins: FloatArray, score: HashedLinear) -> float:
    """Return accuracy and macro-F1 together."""
    k = score.n_classes
    said = margins[:, :k].argmax(axis=1)
    hits = np.bincount(codes[said == codes], minlength=k)
    both = np.bincount(codes, minlength=k) + np.bincount(said, minlength=k)
    return float((said == codes).mean() + (2 * hits[both > 0] / both[both > 0]).mean())


def _confidence(score: HashedLinear, batch: Batch) -> FloatArray:
    shares = score.of(batch)[:, : score.n_classes]
    found: FloatArray = shares.max(axis=1, initial=0.0)
    return found


def _rules(score: HashedLinear, candidates: Rules, tune: Batch) -> tuple[Rules, Tried]:
    if not len(tune.codes) or not len(candidates):
        return NO_RULES, Tried(0, 0, None, None)
    model: Array = score.of(tune)[:, : score.n_classes].argmax(axis=1)
    return chosen(candidates, names_of(tune), tune.codes, model)
