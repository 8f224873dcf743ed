"""New configurations near the best so far, once the known-good ones are through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from promise.job import Job
from promise.models.base import Choice, Range, Space
from promise.selection.candidates import Candidate, with_params

EXPLORE = 0.2
"""Share of proposals drawn from the whole space instead of near the best."""

CHANGE_VIEW = 0.15
"""Share of proposals that read another of the family's views."""

GROWING = ("lightgbm", "xgboost")
"""Families that add one small step after the other, until time is up."""

FASTER, FASTEST = 2.5, 0.3
"""How much larger steps become when time is short, and how large at most."""

SHARES = (0.6, 0.25, 0.15)
"""How often the best, second and third candidate are started from."""


def tuned(
    best: Sequence[Candidate], others: Sequence[Candidate], number: int, job: Job
) -> Candidate:
    """Propose a configuration that depends on nothing but these arguments.

    Parameters
    ----------
    best
        Candidates to start from, best first; each has a search space.
    others
        All candidates so far, whose views may be borrowed within a family.
    number
        Which proposal this is.
    """
    rng = job.child(f"tuned-{number}").rng()
    shares = np.array(SHARES[: len(best)])
    parent = best[int(rng.choice(len(shares), p=shares / shares.sum()))]
    space = parent.estimator.space()
    if rng.random() < EXPLORE:
        params = {name: axis.draw(rng) for name, axis in space.items()}
    else:
        params = nearby(parent.params, space, rng)
    estimator = with_params(parent.estimator, params)
    candidate = replace(parent, name=f"{parent.family}-t{number:02d}", estimator=estimator)
    views = {c.view_id: c for c in others if c.family == parent.family}
    if len(views) > 1 and rng.random() < CHANGE_VIEW:
        lender = views[sorted(views)[int(rng.integers(len(views)))]]
        candidate = replace(candidate, view=lender.view, features=lender.features)
    return candidate


def faster(candidate: Candidate) -> Candidate:
    """Return a boosting candidate that takes larger steps, for data on which time ended it early.

    Others are returned as they are.
    """
    rate = candidate.params.get("learning_rate")
    if candidate.family not in GROWING or rate is None or rate >= FASTEST:
        return candidate
    estimator = with_params(candidate.estimator, {"learning_rate": min(FASTEST, FASTER * rate)})
    return replace(candidate, name=f"{candidate.name}f", estimator=estimator)


def nearby(params: dict[str, Any], space: Space, rng: np.random.Generator) -> dict[str, Any]:
    """Move one to three parameters a step away from where they are."""
    names = sorted(space)
    count = min(len(names), int(rng.integers(1, 4)))
    moved = rng.choice(len(names), size=count, replace=False)
    return {names[i]: step(params.get(names[i]), space[names[i]], rng) for i in moved}


def step(value: Any, axis: Choice | Range, rng: np.random.Generator) -> Any:
    """Move one parameter about a fifth of its range, or draw it anew where it has no order.

    Examples
    --------
    >>> 8 <= step(31, Range(8, 256, log=True, integer=True), np.random.default_rng(1)) <= 256
    True
    """
    if isinstance(axis, Choice) or not isinstance(value, int | float):
        return axis.draw(rng)
    low, high = (np.log(axis.low), np.log(axis.high)) if axis.log else (axis.low, axis.high)
    at = np.log(max(value, 1e-12)) if axis.log else value
    moved = float(np.clip(at + rng.normal(0, 0.2 * (high - low)), low, high))
    moved = float(np.clip(np.exp(moved) if axis.log else moved, axis.low, axis.high))
    return round(moved) if axis.integer else moved
