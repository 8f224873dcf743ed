"""Verdicts on drift: how far inputs and scores have moved from what was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from promise.metrics.drift import ROWS_PER_BIN, SCORE, Drift, drift_of
from promise.promises.spec import Promise
from promise.promises.verdict import ALPHA, Status, Verdict

LOOKS = 1000
"""Windows of rows over which a false alarm may happen with a chance of `ALPHA` in all."""


def judge_psi(
    promise: Promise, reference: Any, counts: Any, *, features: int = 1, looks: int = LOOKS
) -> Verdict:
    """Judge drift of one feature from frozen bins; UNKNOWN while chance alone could break it.

    The population stability index is reported raw. It is judged once there are at least 50 rows
    per bin (less one), and so many that its chi-square quantile without any drift, at `ALPHA`
    shared out over `features` and `looks`, lies below the bound. Before that, or where the
    reference has too few rows for it, an index is BROKEN that lies above that quantile and whose
    lower end is above the bound.

    Parameters
    ----------
    reference
        The feature's entry of `reference.json`; for class probabilities a list of entries.
    counts
        What `count_bins` gives for it.
    features
        How many features are judged side by side.

    Examples
    --------
    >>> entry = {"kind": "number", "edges": [0.0], "rows": 10_000, "known": 10_000}
    >>> drift = Promise("drift", "psi", at_most=0.1)
    >>> judge_psi(drift, entry, {"bins": [900, 100], "unseen": 0, "missing": 0}).status
    'BROKEN'
    >>> judge_psi(drift, entry, {"bins": [9, 1], "unseen": 0, "missing": 0}).status
    'UNKNOWN'
    """
    if isinstance(reference, Sequence):
        judged = [
            judge_psi(promise, entry, each, features=features * len(reference), looks=looks)
            for entry, each in zip(reference, counts, strict=True)
        ]
        return worst(judged)
    found = drift_of(reference, counts)
    if found is None:
        return Verdict.unknown(promise, "no rows were seen yet.")
    alpha = ALPHA / (features * looks)
    total = found.rows_needed(promise.bound, alpha)
    enough = total is not None and found.n_new >= total
    status: Status = "UNKNOWN"
    if enough:
        status = "KEPT" if promise.holds(found.psi) else "BROKEN"
    elif _beyond_chance(promise, found, alpha):
        status = "BROKEN"
    needed = total - found.n_new if total is not None and status == "UNKNOWN" else None
    return Verdict(
        promise.key,
        promise.that,
        status,
        promise.bound,
        measured=found.psi,
        low=found.low,
        high=found.high,
        n=found.n_new,
        needed=needed,
        warns=status != "UNKNOWN" and promise.warn is not None and found.psi > promise.warn,
        reason=_reason(promise, found, status, needed, alpha),
    )


def judge_drift(
    promise: Promise,
    reference: Mapping[str, Any],
    counts: Mapping[str, Any],
    *,
    looks: int = LOOKS,
) -> Verdict:
    """Judge a promise on `psi` whole: on the column that it names, or on all and the score.

    BROKEN where one of them is, KEPT where all are; the numbers are those of the worst.

    Parameters
    ----------
    reference
        A version's whole `reference.json`.
    counts
        Feature to what `count_bins` gives; features that were not counted are left out.
    """
    of = SCORE if promise.of == "score" and "score" not in reference else promise.of
    names = [name for name in reference if of is None or name == of]
    if not names:
        return Verdict.unknown(promise, f"the version has no frozen bins of {promise.of!r}.")
    seen = [name for name in names if name in counts]
    judged = []
    for name in seen:
        found = judge_psi(promise, reference[name], counts[name], features=len(names), looks=looks)
        shown = "the score" if name == SCORE else repr(name)
        judged.append(replace(found, reason=f"{shown}: {found.reason}"))
    if not judged:
        return Verdict.unknown(promise, "no rows were seen yet.")
    return worst(judged)


def _beyond_chance(promise: Promise, found: Drift, alpha: float) -> bool:
    """Say whether few rows are enough, since chance does not explain how far off they lie."""
    return (
        found.n_new >= ROWS_PER_BIN * (found.n_bins - 1)
        and found.psi > found.by_chance(alpha)
        and not promise.holds(found.low)
    )


def worst(judged: Sequence[Verdict]) -> Verdict:
    """Return the verdict that stands for all of them: the gravest, then the largest."""
    grave = {"BROKEN": 0, "UNKNOWN": 1, "KEPT": 2}
    return min(judged, key=lambda verdict: (grave[verdict.status], -(verdict.measured or 0.0)))


def _reason(
    promise: Promise, found: Drift, status: Status, needed: int | None, alpha: float
) -> str:
    seen = f"psi is {found.psi:.3g} on {found.n_new:,} rows (chance alone: {found.null_mean:.2g})"
    if status != "UNKNOWN":
        return f"{seen}; at most {promise.bound:g} was promised."
    if needed is None:
        return (
            f"{seen}; the {found.n_reference:,} rows of the reference are too few to tell "
            f"{promise.bound:g} from chance, however many rows come."
        )
    least = ROWS_PER_BIN * (found.n_bins - 1)
    why = f"chance alone reaches {found.by_chance(alpha):.2g}"
    if found.by_chance(alpha) <= promise.bound:
        why = f"{found.n_bins} bins need {least:,} rows"
    return f"{seen}; {why}, and about {needed:,} more rows will tell."
