"""Verdicts on metrics of the task, from labelled rows."""

from __future__ import annotations

import math

import numpy as np

from promise.data.answer import Answer, truths
from promise.data.columns import Array
from promise.errors import ConfigError
from promise.kernels import scores
from promise.metrics.bounded import log_e_mean_above, log_e_mean_below, mean_interval
from promise.metrics.intervals import bootstrap_interval
from promise.metrics.looks import FIRST_LOOK, Look
from promise.metrics.pointwise import Metric, metric_named
from promise.metrics.sequential import (
    fixed_sample,
    log_e_above,
    log_e_below,
    requests_to_break,
    requests_to_keep,
    share_interval,
)
from promise.metrics.tails import resampled_ends
from promise.promises.spec import Promise
from promise.promises.verdict import ALPHA, KEPT_ALPHA, Status, Verdict, status_of

MIN_OF_CLASS = 10
"""Labels of either of two classes below which metrics that set them apart are not judged."""

_OF_ALL_ROWS = ("accuracy", "brier", "ece", "positive_calibration_error")
_SEED = 7
_BROKEN, _KEPT = -math.log(ALPHA), -math.log(KEPT_ALPHA)


def judge_metric(
    promise: Promise,
    answer: Answer,
    y: Array,
    output: Array,
    *,
    multipliers: Array | None = None,
    peeking: bool = True,
    groups: Array | None = None,
) -> Verdict:
    """Judge a metric of the task on labelled rows.

    Under peeking, accuracy and the Brier score are judged at every label, by e-processes. Every
    other metric, and rows that hang together in `groups`, are judged at 50, 100, 200, 400, …
    labels, between which the chance of error is shared out; in between the last look stands.
    Without peeking (the gate, which looks once) the interval of that one look decides, each of
    whose ends errs with a chance of `KEPT_ALPHA`.

    Parameters
    ----------
    y, output
        Class codes and probabilities (n, n_classes), or numbers (n,) and numbers (n,); in the
        order in which the labels came.
    multipliers
        Of the decision, shape (n_classes,).
    groups
        Group of each row where rows of a group are not independent.

    Examples
    --------
    >>> from promise.data.answer import Class
    >>> quality = Promise("quality", "accuracy", at_least=0.75)
    >>> right = np.arange(1000) % 5 > 0
    >>> output = np.where(right[:, None], [[0.1, 0.9]], [[0.9, 0.1]])
    >>> judged = judge_metric(
    ...     quality, Class(("no", "yes")), np.ones(1000, dtype=int), output, peeking=False
    ... )
    >>> judged.status, judged.reason
    ('KEPT', 'accuracy is 0.8 on 1,000 labels; at least 0.75 was promised.')
    """
    try:
        metric = metric_named(promise.that, answer)
    except ConfigError as error:
        return Verdict.unknown(promise, str(error), n=len(y))
    if len(y) == 0:
        return Verdict.unknown(promise, "no labelled rows were seen yet.")
    few = _too_few(promise, metric, answer, y)
    if few is not None:
        return few
    if not peeking:
        return _at_once(promise, metric, y, output, multipliers, groups)
    if groups is None and metric.name == "accuracy":
        wrong = int((scores.decide(output, multipliers) != y).sum())
        return _accuracy(promise, len(y), wrong)
    if groups is None and metric.name == "brier":
        return _brier(promise, answer, y, output)
    return _at_looks(promise, metric, y, output, multipliers, groups)


def _too_few(promise: Promise, metric: Metric, answer: Answer, y: Array) -> Verdict | None:
    """Return UNKNOWN where one of two classes is too rare for metrics that set them apart."""
    known = truths(answer)
    if len(known) != 2 or metric.name in _OF_ALL_ROWS:
        return None
    counts = np.bincount(np.asarray(y, dtype=np.int64), minlength=2)
    rare = int(counts.argmin())
    if counts[rare] >= MIN_OF_CLASS:
        return None
    seen = int(counts[rare])
    defined = "" if seen else f"{metric.name} is undefined on these {len(y):,} rows: "
    needed = max(1, math.ceil(len(y) * MIN_OF_CLASS / seen) - len(y)) if seen else None
    reason = (
        f"{defined}{seen} labels of the class {known[rare]!r} were seen; "
        f"{metric.name} is judged from {MIN_OF_CLASS} of each class."
    )
    return Verdict.unknown(promise, reason, n=len(y), needed=needed)


def _at_once(
    promise: Promise,
    metric: Metric,
    y: Array,
    output: Array,
    multipliers: Array | None,
    groups: Array | None,
) -> Verdict:
    measured = metric.score(y, output, multipliers)
    if metric.name == "accuracy" and groups is None:
        low, high = bootstrap_interval(
            metric, y, output, seed=_SEED, level=1 - 2 * KEPT_ALPHA, multipliers=multipliers
        )
    else:
        low, high = resampled_ends(
            metric, y, output, alpha_low=KEPT_ALPHA, alpha_high=KEPT_ALPHA, seed=_SEED,
            multipliers=multipliers, groups=groups,
        )  # fmt: skip
    needed = None
    if status_of(promise, low, high) == "UNKNOWN" and math.isfinite(measured):
        if metric.name == "accuracy" and groups is None:
            total = fixed_sample(1 - promise.bound, 1 - measured, alpha=KEPT_ALPHA)
        else:
            total = rows_for(promise, len(y), measured, low, high)
        needed = None if total is None else max(1, total - len(y))
    return verdict_of(promise, measured, low, high, len(y), needed)


def _accuracy(promise: Promise, n: int, wrong: int) -> Verdict:
    """Judge the share of wrong decisions, at every label."""
    share, observed = 1 - promise.bound, wrong / n
    status: Status = "UNKNOWN"
    if log_e_above(n, wrong, share) >= _BROKEN:
        status = "BROKEN"
    elif log_e_below(n, wrong, share) >= _KEPT:
        status = "KEPT"
    low, high = share_interval(n, wrong, alpha_low=ALPHA, alpha_high=KEPT_ALPHA)
    if observed < share:
        total = requests_to_keep(share, observed, alpha=KEPT_ALPHA)
    else:
        total = requests_to_break(share, observed, alpha=ALPHA)
    needed = max(1, total - n) if status == "UNKNOWN" and total is not None else None
    return verdict_of(promise, 1 - observed, 1 - high, 1 - low, n, needed, status)


def _brier(promise: Promise, answer: Answer, y: Array, output: Array) -> Verdict:
    """Judge a mean of bounded losses, at every label."""
    widest = 1.0 if len(truths(answer)) == 2 else 2.0
    losses = np.clip(scores.brier_rows(y, output) / widest, 0.0, 1.0)
    measured, bound = float(losses.mean()) * widest, promise.bound / widest
    status: Status = "UNKNOWN"
    if bound < 1 and log_e_mean_above(losses, bound) >= _BROKEN:
        status = "BROKEN"
    elif bound >= 1 or log_e_mean_below(losses, bound) >= _KEPT:
        status = "KEPT"
    low, high = mean_interval(losses, alpha_low=ALPHA, alpha_high=KEPT_ALPHA)
    low, high = low * widest, high * widest
    total = rows_for(promise, len(y), measured, low, high)
    needed = max(1, total - len(y)) if status == "UNKNOWN" and total is not None else None
    return verdict_of(promise, measured, low, high, len(y), needed, status)


def _at_looks(
    promise: Promise,
    metric: Metric,
    y: Array,
    output: Array,
    multipliers: Array | None,
    groups: Array | None,
) -> Verdict:
    look, n = Look.reached(len(y)), len(y)
    if look.rows == 0:
        reason = f"{n:,} of the {FIRST_LOOK} labels of the first look were seen."
        return Verdict.unknown(promise, reason, n=n, needed=FIRST_LOOK - n)
    y, output = y[: look.rows], output[: look.rows]
    groups = None if groups is None else groups[: look.rows]
    alpha_low, alpha_high = alphas(promise)
    low, high = resampled_ends(
        metric, y, output, alpha_low=look.share_of(alpha_low),
        alpha_high=look.share_of(alpha_high), seed=_SEED, multipliers=multipliers, groups=groups,
    )  # fmt: skip
    measured = metric.score(y, output, multipliers)
    needed = None
    if status_of(promise, low, high) == "UNKNOWN":
        needed = labels_to_look(promise, look, n, measured, low, high)
    return verdict_of(promise, measured, low, high, look.rows, needed)


def alphas(promise: Promise) -> tuple[float, float]:
    """Return the chances that the interval's ends err with: the end that accuses is stricter."""
    return (ALPHA, KEPT_ALPHA) if promise.at_most is not None else (KEPT_ALPHA, ALPHA)


def rows_for(promise: Promise, n: int, measured: float, low: float, high: float) -> int | None:
    """Return about how many rows in all would settle it, since intervals shrink with their root."""
    margin = abs(measured - promise.bound)
    half = measured - low if measured > promise.bound else high - measured
    if not margin > 0 or not math.isfinite(half):
        return None
    total = n * (half / margin) ** 2
    return math.ceil(total) if total < 1e9 else None


def labels_to_look(
    promise: Promise, look: Look, n: int, measured: float, low: float, high: float
) -> int | None:
    """Return how many more rows reach the look that is likely to settle it."""
    total = rows_for(promise, look.rows, measured, low, high)
    if total is None and math.isfinite(measured):
        return None
    following = look.following
    while total is not None and following < total:
        following *= 2
    return following - n


def verdict_of(
    promise: Promise,
    measured: float,
    low: float,
    high: float,
    n: int,
    needed: int | None,
    status: Status | None = None,
) -> Verdict:
    """Return the verdict on a metric, in words."""
    if not math.isfinite(measured):
        return Verdict.unknown(
            promise, f"{promise.that} is undefined on these {n:,} rows.", n=n, needed=needed
        )
    status = status or status_of(promise, low, high)
    side = "at most" if promise.at_most is not None else "at least"
    reason = (
        f"{promise.that} is {measured:.4g} on {n:,} labels; {side} {promise.bound:g} was promised"
    )
    if status == "UNKNOWN":
        more = "too near to tell" if needed is None else f"about {needed:,} more labels will tell"
        reason += f", and {more}"
    warns = promise.warn is not None and (
        measured > promise.warn if promise.at_most is not None else measured < promise.warn
    )
    return Verdict(
        promise.key, promise.that, status, promise.bound, measured=measured, low=_finite(low),
        high=_finite(high), n=n, needed=needed, warns=warns, reason=f"{reason}.",
    )  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
