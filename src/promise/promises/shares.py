"""Verdicts on shares of requests: those that failed, those that took longer than promised."""

from __future__ import annotations

import math
from collections.abc import Sequence

from promise.errors import ConfigError
from promise.metrics.changes import THRESHOLD, watch_share
from promise.metrics.comparison import compare_shares
from promise.metrics.sequential import (
    log_e_above,
    log_e_below,
    requests_to_break,
    requests_to_keep,
    share_interval,
)
from promise.promises.measures import amount, tolerated_share
from promise.promises.spec import Promise
from promise.promises.verdict import ALPHA, KEPT_ALPHA, Status, Verdict


def judge_share(
    promise: Promise,
    n: int,
    k: int,
    *,
    stable: tuple[int, int] | None = None,
    tolerated: float | None = None,
    k_warn: int | None = None,
    n_warn: int | None = None,
) -> Verdict:
    """Judge `k` bad among `n` requests since the stage began, at any look.

    For `request_errors` the tolerated share is the bound; for `latency_pQ` it is 1 - Q/100 and `k`
    counts answers slower than the bound. BROKEN where the share is proven above, KEPT where it is
    proven below, else UNKNOWN with the requests that are still needed: by mixture e-processes,
    which are wrong with a chance of `ALPHA` and `KEPT_ALPHA` over all looks together.

    Parameters
    ----------
    stable
        The same counts of the concurrent stable version; sets `shared` where it breaks the
        promise too and the candidate is not proven worse.
    tolerated
        Another share than the measure's own.
    k_warn
        Answers slower than the latency that warns; without it a latency never warns.
    n_warn
        Requests of which that was counted; all of them unless given.

    Examples
    --------
    >>> errors = Promise("errors", "request_errors", at_most=0.01)
    >>> judge_share(errors, 300, 12).reason
    '12 of 300 requests failed (4 %); at most 1 % may.'
    >>> judge_share(errors, 380, 0).status, judge_share(errors, 100, 0).needed
    ('KEPT', 275)
    """
    share = _tolerated(promise, tolerated)
    if n <= 0:
        needed = requests_to_keep(share, 0.0, alpha=KEPT_ALPHA)
        return Verdict.unknown(promise, "no requests were seen yet.", needed=needed)
    status: Status = "UNKNOWN"
    if log_e_above(n, k, share) >= -math.log(ALPHA):
        status = "BROKEN"
    elif log_e_below(n, k, share) >= -math.log(KEPT_ALPHA):
        status = "KEPT"
    shared = status == "BROKEN" and stable is not None and _also_broken((n, k), stable, share)
    warns = _warns(promise, (n, k), (n if n_warn is None else n_warn, k_warn), share)
    interval = share_interval(n, k, alpha_low=ALPHA, alpha_high=KEPT_ALPHA)
    return _verdict(promise, status, (n, k), share, interval, warns=warns, shared=shared)


def judge_live_share(
    promise: Promise,
    buckets: Sequence[tuple[int, int]],
    *,
    tolerated: float | None = None,
    warned: Sequence[tuple[int, int]] = (),
) -> Verdict:
    """Judge a long-running version by e-CUSUM over (n, k) buckets in time order.

    BROKEN from the alarm until the share has proven to be back; the numbers are those since the
    share rose. Without a rise, requests pass in the order of ten million before a false alarm.

    Parameters
    ----------
    warned
        The same buckets with the answers slower than the latency that warns.

    Examples
    --------
    >>> errors = Promise("errors", "request_errors", at_most=0.01)
    >>> judge_live_share(errors, [(1000, 4)] * 500 + [(100, 8)] * 5).status
    'BROKEN'
    """
    share = _tolerated(promise, tolerated)
    watched = watch_share(buckets, share)
    n, k = watched.n, watched.k
    if n <= 0:
        return Verdict.unknown(promise, "no requests were seen yet.")
    status: Status = "BROKEN" if watched.alarmed else "UNKNOWN"
    if not watched.alarmed and log_e_below(n, k, share) >= -math.log(KEPT_ALPHA):
        status = "KEPT"
    warns = watched.alarmed
    if promise.warn is not None and promise.that == "request_errors":
        warns = warns or watch_share(buckets, promise.warn).alarmed
    elif promise.warn is not None and warned:
        warns = warns or watch_share(warned, share).alarmed
    interval = share_interval(n, k, alpha_low=1 / THRESHOLD, alpha_high=KEPT_ALPHA)
    return _verdict(promise, status, (n, k), share, interval, warns=warns)


def _verdict(
    promise: Promise,
    status: Status,
    seen: tuple[int, int],
    share: float,
    interval: tuple[float, float],
    *,
    warns: bool,
    shared: bool = False,
) -> Verdict:
    """Return the verdict on (n, k) requests, with its reason and how many are still needed."""
    n, k = seen
    needed = _needed(n, k, share) if status == "UNKNOWN" else None
    return Verdict(
        promise.key,
        promise.that,
        status,
        promise.bound,
        measured=k / n,
        low=interval[0],
        high=interval[1],
        n=n,
        needed=needed,
        warns=warns,
        shared=shared,
        reason=_reason(promise, status, n, k, share, needed, shared),
        tolerated=share,
    )


def _tolerated(promise: Promise, given: float | None) -> float:
    share = tolerated_share(promise.that, promise.bound) if given is None else given
    if share is None:
        raise ConfigError(f"{promise.that!r} is no share of requests; judge it by its own measure.")
    return share


def _also_broken(canary: tuple[int, int], stable: tuple[int, int], share: float) -> bool:
    """Say whether the surroundings are to blame: the stable version fails alike."""
    if log_e_above(*stable, share) < -math.log(KEPT_ALPHA):
        return False
    return not compare_shares(canary, stable, alpha=KEPT_ALPHA).worse


def _needed(n: int, k: int, share: float) -> int | None:
    """Return about how many more requests settle it, if the share stays what it was."""
    observed = k / n
    if observed < share:
        total = requests_to_keep(share, observed, alpha=KEPT_ALPHA)
    else:
        total = requests_to_break(share, observed, alpha=ALPHA)
    return None if total is None else max(1, total - n)


def _warns(
    promise: Promise, bad: tuple[int, int], slow: tuple[int, int | None], share: float
) -> bool:
    if promise.warn is None:
        return False
    if promise.that == "request_errors":
        return bool(log_e_above(*bad, promise.warn) >= -math.log(ALPHA))
    return slow[1] is not None and bool(log_e_above(*slow, share) >= -math.log(ALPHA))


def _reason(
    promise: Promise, status: Status, n: int, k: int, share: float, needed: int | None, shared: bool
) -> str:
    what = "requests failed"
    if promise.that != "request_errors":
        what = f"answers took longer than {amount(promise.that, promise.bound)}"
    seen = f"{k:,} of {n:,} {what} ({100 * k / n:.3g} %)"
    allowed = f"at most {100 * share:.3g} % may"
    if status != "UNKNOWN":
        also = " The stable version fails alike, so a rollback would not help." if shared else ""
        return f"{seen}; {allowed}.{also}"
    if needed is None:
        return f"{seen}; {allowed}, and that is too near to tell on which side it lies."
    return f"{seen}; {allowed}. About {needed:,} more requests will tell."
