"""Verdicts on how differently groups of people are treated."""

from __future__ import annotations

import math
from dataclasses import replace

from promise.data.answer import Answer, Class, Decision, truths
from promise.data.columns import Array
from promise.kernels import scores
from promise.metrics.fairness import MIN_ROWS, Disparity, disparity, group_names
from promise.metrics.looks import FIRST_LOOK, Look
from promise.promises.quality import alphas, labels_to_look, rows_for, verdict_of
from promise.promises.spec import Promise
from promise.promises.verdict import KEPT_ALPHA, Verdict, status_of


def judge_fairness(
    promise: Promise,
    answer: Answer,
    y: Array | None,
    output: Array,
    group: Array,
    *,
    multipliers: Array | None = None,
    peeking: bool = True,
) -> Verdict:
    """Judge a difference or ratio between groups; groups with too few rows are left out by name.

    Under peeking it is judged at 50, 100, 200, … rows, as other metrics are; the gate looks once.

    Parameters
    ----------
    y
        Class codes, shape (n,); None where nothing is known, which is enough for
        `demographic_parity_*` alone.
    output
        Probabilities, shape (n, n_classes).
    multipliers
        Of the decision; of several actions they say which rows are not simply let through.
    group
        The protected column's values, shape (n,); a number of many values is cut into quarters.
    """
    if isinstance(answer, Decision) and multipliers is None:
        reason = f"{promise.that} needs the score from which the policy acts; it names none."
        return Verdict.unknown(promise, reason)
    if not isinstance(answer, Class | Decision):
        kind = type(answer).__name__
        return Verdict.unknown(
            promise, f"{promise.that} compares decisions between classes; this answer is a {kind}."
        )
    if y is None and not promise.that.startswith("demographic_parity"):
        return Verdict.unknown(promise, f"{promise.that} needs labels, and none were seen yet.")
    n = len(output)
    look = Look.reached(n) if peeking else Look(n, 0)
    if look.rows == 0:
        reason = f"{n:,} of the {FIRST_LOOK} rows of the first look were seen."
        return Verdict.unknown(promise, reason, n=n, needed=FIRST_LOOK - n)
    ends = alphas(promise) if peeking else (KEPT_ALPHA, KEPT_ALPHA)
    low, high = (look.share_of(end) if peeking else end for end in ends)
    found = disparity(
        promise.that,
        None if y is None else y[: look.rows],
        scores.decide(output, multipliers)[: look.rows],
        group_names(group)[: look.rows],
        n_classes=len(truths(answer)),
        alpha_low=low,
        alpha_high=high,
    )
    return _verdict(promise, found, n, look if peeking else None)


def _verdict(promise: Promise, found: Disparity, n: int, look: Look | None) -> Verdict:
    left_out = ""
    if found.left_out:
        named = ", ".join(found.left_out[:10]) + (" …" if len(found.left_out) > 10 else "")
        left_out = f" Left out, with under {MIN_ROWS} rows: {named}."
    if math.isnan(found.value):
        reason = f"fewer than two groups of {promise.of!r} can be compared."
        needed = None if look is None else look.following - n
        return Verdict.unknown(promise, reason + left_out, n=found.n, needed=needed)
    needed = None
    if status_of(promise, found.low, found.high) == "UNKNOWN":
        if look is not None:
            needed = labels_to_look(promise, look, n, found.value, found.low, found.high)
        else:
            total = rows_for(promise, n, found.value, found.low, found.high)
            needed = None if total is None else max(1, total - n)
    judged = verdict_of(promise, found.value, found.low, found.high, found.n, needed)
    assert found.worst is not None, "a defined disparity is one of two groups"
    behind, ahead = found.worst
    between = f" Furthest apart in {promise.of!r}: {behind} behind {ahead}."
    return replace(judged, reason=judged.reason.replace("labels", "rows") + between + left_out)
