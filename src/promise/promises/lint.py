"""Promises that cannot be judged at the traffic there will be, told before it comes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

from promise.metrics.drift import rows_for_psi
from promise.metrics.looks import Look
from promise.metrics.sequential import fixed_sample, requests_to_keep
from promise.promises.measures import measure_named, tolerated_share
from promise.promises.spec import ModelFile, Promise, RolloutPlan
from promise.promises.stability import LOOKS
from promise.promises.verdict import ALPHA, KEPT_ALPHA

MARGIN = 0.02
"""How much better than its bound a metric is taken to be when nothing is known."""

_PATIENCE_DAYS = 1.0
_BINS = 11  # deciles and missing
_SHARE_METRICS = ("accuracy", "balanced_accuracy", "f1", "f1_macro", "roc_auc", "average_precision")


@dataclass(frozen=True)
class Advice:
    """That a promise takes long, or for ever, until its first verdict.

    Parameters
    ----------
    needed
        Requests, labels or rows until a verdict; None where no number of them suffices.
    of
        What is needed: `requests`, `labels` or `rows`.
    days
        How long that takes; None where it never comes.
    text
        One sentence for people.
    """

    promise: str
    needed: int | None
    of: str
    days: float | None
    text: str


def lint(
    declared: ModelFile,
    traffic_per_day: float,
    labels_per_day: float,
    *,
    expected: Mapping[str, float] | None = None,
    features: int = 30,
) -> list[Advice]:
    """Return advice on every promise that takes more than a day to judge, or is never judged.

    Parameters
    ----------
    traffic_per_day, labels_per_day
        Requests, and labelled ones, of the model as a whole.
    expected
        Promise to the value that it probably has, e.g. from the version's evaluation. Without
        one, a metric is taken to be `MARGIN` better than its bound, a share half of what is
        tolerated.
    features
        How many features `psi` watches.

    Examples
    --------
    >>> quality = Promise("quality", "accuracy", at_least=0.75, due="live")
    >>> print(lint(ModelFile(promises=(quality,)), 5000, 425)[0].text)
    quality needs 1,270 labels, about 3 days at your rate; judged at every label, as it is while \
live, about 6,520, which takes 15 days.
    """
    known = expected or {}
    found = []
    for promise in declared.promises:
        kind = measure_named(promise.that).kind
        value = known.get(promise.key)
        if kind in ("errors", "latency"):
            found.append(_share(promise, declared.rollout, traffic_per_day, value))
        elif kind == "metric" and promise.that in _SHARE_METRICS:
            found.append(_metric(promise, labels_per_day, value))
        elif kind == "fairness":
            found.append(_fairness(promise, labels_per_day, value))
        elif kind == "psi":
            found.append(_psi(promise, traffic_per_day, 1 if promise.of else features))
    return [each for each in found if each.days is None or each.days > _PATIENCE_DAYS]


def _share(promise: Promise, plan: RolloutPlan, per_day: float, expected: float | None) -> Advice:
    """Advise on a share of requests: the first canary step sees the least traffic."""
    share = tolerated_share(promise.that, promise.bound)
    assert share is not None, "errors and latencies are shares"
    part = plan.steps[0] / 100 if promise.due == "canary" else 1.0
    observed = share / 2 if expected is None else expected
    needed = requests_to_keep(share, observed, alpha=KEPT_ALPHA)
    clean = requests_to_keep(share, 0.0, alpha=KEPT_ALPHA)
    if needed is None:
        return _never(promise, "requests", f"{100 * observed:.3g} % bad requests", f"{share:.3g}")
    days = _days(needed, per_day * part)
    where = f" at {plan.steps[0]} % of your traffic" if promise.due == "canary" else ""
    return Advice(
        promise.key, needed, "requests", days,
        f"{promise.key} needs {_tens(needed)} requests ({_tens(clean or 0)} if all are good), "
        f"{_span(days, 'traffic')}{where}.",
    )  # fmt: skip


def _metric(promise: Promise, per_day: float, expected: float | None) -> Advice:
    better = MARGIN if promise.at_least is not None else -MARGIN
    value = min(promise.bound + better, 0.999) if expected is None else expected
    if not promise.holds(value) or value == promise.bound:
        return _never(promise, "labels", f"{promise.that} {value:.4g}", f"{promise.bound:g}")
    once = fixed_sample(1 - promise.bound, 1 - value, alpha=KEPT_ALPHA)
    assert once is not None, "the value is better than the bound"
    if promise.that == "accuracy":
        always = requests_to_keep(1 - promise.bound, 1 - value, alpha=KEPT_ALPHA)
        when = "judged at every label"
    else:
        always, when = _first_look(once), "judged at 50, 100, 200, … labels"
    days = _days(once, per_day)
    text = f"{promise.key} needs {_tens(once)} labels, {_span(days, 'labels')}"
    if promise.due == "gate":
        return Advice(promise.key, once, "labels", days, f"{text}; the holdout counts as well.")
    later = _span(_days(always, per_day), "labels") if always else "never enough"
    later = later.replace("about ", "which takes ").removesuffix(" at your rate")
    stage = "while live" if promise.due == "live" else "in the canary"
    return Advice(
        promise.key, always, "labels", _days(always, per_day) if always else None,
        f"{text}; {when}, as it is {stage}, about {_tens(always or 0)}, {later}.",
    )  # fmt: skip


def _first_look(once: int) -> int:
    """Return the first planned look whose stricter interval is narrow enough."""
    normal = NormalDist()
    for index in range(40):
        look = Look(Look.reached(50 << index).rows, index)
        ratio = normal.inv_cdf(look.share_of(KEPT_ALPHA)) / normal.inv_cdf(KEPT_ALPHA)
        if look.rows >= once * ratio**2:
            return look.rows
    return 50 << 40


def _fairness(promise: Promise, per_day: float, expected: float | None) -> Advice:
    """Advise by the worst case: two groups with rates about one half."""
    ideal = 1.0 if promise.at_least is not None else 0.0
    value = (promise.bound + ideal) / 2 if expected is None else expected
    if not promise.holds(value) or value == promise.bound:
        return _never(promise, "labels", f"{promise.that} {value:.4g}", f"{promise.bound:g}")
    z = NormalDist().inv_cdf(1 - KEPT_ALPHA)
    needed = math.ceil(z * z * 0.5 / (value - promise.bound) ** 2)
    days = _days(2 * needed, per_day)
    return Advice(
        promise.key, needed, "labels", days,
        f"{promise.key} needs up to {_tens(needed)} labels in each group of {promise.of!r}, "
        f"{_span(days, 'labels')} if there are two equal groups.",
    )  # fmt: skip


def _psi(promise: Promise, per_day: float, features: int) -> Advice:
    needed = rows_for_psi(promise.bound, ALPHA / (features * LOOKS), n_bins=_BINS)
    assert needed is not None, "an endless reference is large enough"
    days = _days(needed, per_day)
    return Advice(
        promise.key, needed, "rows", days,
        f"{promise.key} needs {_tens(needed)} rows before chance alone stays under "
        f"{promise.bound:g}, {_span(days, 'traffic')}.",
    )  # fmt: skip


def _never(promise: Promise, of: str, value: str, bound: str) -> Advice:
    text = f"{promise.key} will not be kept: {value} is expected, and the bound is {bound}."
    return Advice(promise.key, None, of, None, text)


def _days(needed: int, per_day: float) -> float | None:
    return needed / per_day if per_day > 0 else None


def _tens(n: int) -> str:
    """Round up, as befits an estimate."""
    return f"{-(-n // 10) * 10:,}"


def _span(days: float | None, of: str) -> str:
    if days is None:
        return f"and there is no {of}" if of == "traffic" else f"and there are no {of}"
    if days >= 1.5:
        return f"about {days:,.0f} days at your rate"
    return f"about {max(1, round(24 * days)):,} hours at your rate"
