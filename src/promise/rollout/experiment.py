"""What a lasting experiment shows: the difference in every metric, with intervals that hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from promise.errors import ConfigError
from promise.metrics.comparison import compare_shares
from promise.metrics.looks import Look
from promise.metrics.pointwise import Metric, metrics_for
from promise.metrics.tails import resampled_ends
from promise.promises.spec import ModelFile, Promise
from promise.records.evidence import EvidenceStore
from promise.registry.route import Route
from promise.rollout.case import Arm, Counted
from promise.rollout.measures import evidence_of
from promise.rollout.outcomes import Outcomes, outcomes_of
from promise.rollout.subject import Subject

ALPHA = 0.05
_SEED = 7


@dataclass(frozen=True)
class Difference:
    """One metric of one version beside that of the live version.

    Parameters
    ----------
    value, baseline
        Of the version and of the live one; None where nothing was seen.
    difference, low, high
        The version minus the live one, with a 95 % interval that holds at every look.
    better
        Whether the version is proven better (True) or worse (False); None for a tie so far.
    n, n_baseline
        Requests or labelled rows of each.
    """

    metric: str
    version: int
    value: float | None
    baseline: float | None
    difference: float | None
    low: float | None
    high: float | None
    better: bool | None
    n: int
    n_baseline: int

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return dict(vars(self))


@dataclass(frozen=True)
class Side:
    """What one version of an experiment did: counts, and labelled rows where there are any."""

    version: int
    counted: Counted
    outcomes: Outcomes | None
    subject: Subject | None


def differences(
    store: EvidenceStore,
    route: Route,
    declared: ModelFile,
    subjects: dict[int, Subject],
) -> list[Difference]:
    """Compare every version of an experiment with the live one, metric by metric."""
    if route.live is None or not route.experiment:
        return []
    live = _side(store, route, route.live, subjects)
    found: list[Difference] = []
    for version in route.experiment:
        if version == route.live:
            continue
        side = _side(store, route, version, subjects)
        found += [_by_counts(promise, side, live) for promise in _counted_promises(declared)]
        found += list(_by_labels(side, live))
    return found


def _counted_promises(declared: ModelFile) -> Iterator[Promise]:
    yield Promise("errors", "request_errors", at_most=0.01)
    for promise in declared.promises:
        if evidence_of(promise) == "latency":
            yield promise


def _side(store: EvidenceStore, route: Route, version: int, subjects: dict[int, Subject]) -> Side:
    """Read what a version did; the live one may have a share of its own beside the rest."""
    arms: tuple[Arm, ...] = ("live", "experiment") if version == route.live else ("experiment",)
    buckets = [
        bucket for arm in arms for bucket in store.counts(route.name, version, arm, route.since)
    ]
    seen = store.observed(route.name, version, "outcome", route.since)
    outcomes = outcomes_of(seen, arms=arms, since=route.since)
    return Side(version, Counted(tuple(buckets)), outcomes, subjects.get(version))


def _by_counts(promise: Promise, side: Side, live: Side) -> Difference:
    ours, theirs = side.counted.total(promise), live.counted.total(promise)
    found = compare_shares(ours, theirs, alpha=ALPHA)
    name = promise.that
    if evidence_of(promise) == "latency":
        name = f"slower than {promise.bound:g} ms"
    return Difference(
        metric=name,
        version=side.version,
        value=_share(ours),
        baseline=_share(theirs),
        difference=found.difference,
        low=found.low,
        high=found.high,
        better=True if found.better else False if found.worse else None,
        n=ours[0],
        n_baseline=theirs[0],
    )


def _share(counts: tuple[int, int]) -> float | None:
    return counts[1] / counts[0] if counts[0] else None


def _by_labels(side: Side, live: Side) -> Iterator[Difference]:
    if side.subject is None or live.subject is None:
        return
    try:
        metrics = metrics_for(side.subject.task.answer)
    except ConfigError:  # answers without pointwise metrics are compared by counts alone
        return
    for metric in metrics:
        if side.outcomes is None or live.outcomes is None:
            rows = [0 if s.outcomes is None else len(s.outcomes) for s in (side, live)]
            yield Difference(metric.name, side.version, None, None, None, None, None, None, *rows)
        else:
            yield _by_metric(metric, side, live)


def _by_metric(metric: Metric, side: Side, live: Side) -> Difference:
    """Compare at planned looks alone, between which the error is shared out.

    The interval of the difference is put together from those of the two values (Zou and Donner,
    2008): each end is as far off as both ends of its kind together.
    """
    assert side.outcomes is not None
    assert live.outcomes is not None
    sizes = (len(side.outcomes), len(live.outcomes))
    looks = [Look.reached(n) for n in sizes]
    # Both arms look at their own planned sizes; each spends half of the error.
    ends = [_ends(metric, each, look) for each, look in zip((side, live), looks, strict=True)]
    (value, low, high), (baseline, low_live, high_live) = ends
    if any(math.isnan(v) for v in (value, low, high, baseline, low_live, high_live)):
        nothing = (None, None, None, None, None, None)
        return Difference(metric.name, side.version, *nothing, *sizes)
    difference = value - baseline
    below = difference - math.hypot(value - low, high_live - baseline)
    above = difference + math.hypot(high - value, baseline - low_live)
    better = None if below <= 0 <= above else (below > 0) == metric.greater_is_better
    return Difference(
        metric.name, side.version, value, baseline, difference, below, above, better,
        looks[0].rows, looks[1].rows,
    )  # fmt: skip


def _ends(metric: Metric, side: Side, look: Look) -> tuple[float, float, float]:
    if look.rows == 0:
        return math.nan, math.nan, math.nan
    assert side.outcomes is not None
    assert side.subject is not None
    y, output = side.outcomes.y[: look.rows], side.outcomes.output[: look.rows]
    multipliers = side.subject.multipliers
    part = look.share_of(ALPHA) / 4
    low, high = resampled_ends(
        metric, y, output, alpha_low=part, alpha_high=part, seed=_SEED, multipliers=multipliers
    )
    return metric.score(y, output, multipliers), low, high
