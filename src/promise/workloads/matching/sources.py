"""Which collaborative source finds most of whom people liked later."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.columns import FloatArray
from promise.errors import PromiseError
from promise.job import Job
from promise.metrics.ranking import Estimate, mean_difference, mean_estimate, recall_at
from promise.models.collaborative import Recommended, Recommender
from promise.workloads.matching.arena import Arena, Requests

POOL = 100
"""How many candidates are retrieved for one request."""
_FAR = 0.1
"""Share of the leader's recall that a source must surely lack to be far behind."""
_USUAL_MB, _MEMORY_SHARE = 6_000.0, 0.5
"""What training keeps to where no bound is told, and how much of a bound one fit may take."""


@dataclass(frozen=True)
class Tried:
    """What one source found on requests that it had not seen the answers of."""

    name: str
    recall_at_100: Estimate
    recall_at_20: Estimate
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "source": self.name,
            "recall_at_100": self.recall_at_100.to_json(),
            "recall_at_20": self.recall_at_20.to_json(),
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class Chosen:
    """The source that found most, as fitted on the arena, and everything that was tried.

    What was fitted is let go of once all is chosen: it is learned anew from more.
    """

    name: str
    estimator: Recommender
    fitted: Recommended | None
    tried: tuple[Tried, ...]
    told: tuple[str, ...] = ()


def choose_source(
    options: Mapping[str, Recommender],
    arena: Arena,
    requests: Requests,
    job: Job,
    tell: Callable[[str], None],
) -> Chosen:
    """Fit each source that fits into memory and time, and keep the one of most recall at 100.

    The first option is fitted whatever the time. A further one of a kind is left out where the
    first of the kind is far behind: what is larger takes long, and seldom gains so much.
    """
    best: Chosen | None = None
    tried: list[Tried] = []
    told: list[str] = []
    of_kind: dict[str, tuple[str, FloatArray]] = {}
    leading: FloatArray = np.empty(0)
    for name, estimator in options.items():
        why = _refused(estimator, arena, job) if best is not None else None
        if why is None and estimator.kind in of_kind:
            why = _far_behind(*of_kind[estimator.kind], leading, job.seed)
        if why is not None:
            told.append(f"{name} was not tried: {why}")
            continue
        tell(f"collaborative source: {name}")
        begun = time.perf_counter()
        fitted = estimator.fit(arena.likes, job.child(name))
        lists = arena.lists(fitted.scores, requests.rows, POOL)
        found, counts = requests.wanted.found(lists), requests.wanted.counts
        shares = recall_at(found, counts, POOL)
        of_kind.setdefault(estimator.kind, (name, shares))
        one = Tried(
            name=name,
            recall_at_100=mean_estimate(shares, seed=job.seed),
            recall_at_20=mean_estimate(recall_at(found, counts, 20), seed=job.seed),
            seconds=time.perf_counter() - begun,
        )
        tried.append(one)
        leader = max(tried, key=lambda t: t.recall_at_100.value)
        if best is None or leader is one:
            best, leading = Chosen(name, estimator, fitted, ()), shares
        del fitted  # one that lost makes room for the next
    if best is None:
        raise PromiseError("no collaborative source was offered to choose from.")
    return Chosen(best.name, best.estimator, best.fitted, tuple(tried), tuple(told))


def _far_behind(name: str, shares: FloatArray, leading: FloatArray, seed: int) -> str | None:
    """Say that a source finds far fewer than the leading one, over the same requests, or None."""
    gain = mean_difference(shares, leading, seed=seed)
    if gain.n and gain.high < -_FAR * float(np.nanmean(leading)):
        return f"{name} is far behind: {gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
    return None


def _refused(estimator: Recommender, arena: Arena, job: Job) -> str | None:
    """Say why a source is not tried, or None."""
    if job.deadline_s is not None and time.monotonic() > job.deadline_s:
        return "the time for choosing was used up"
    need = estimator.memory_mb(arena.n, arena.n, arena.likes.nnz)
    bound = job.memory_mb or _USUAL_MB
    if need > _MEMORY_SHARE * bound:
        return f"it needs about {need:,.0f} MB of {bound:,.0f} MB (--memory)"
    return None
