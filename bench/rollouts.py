"""Simulate rollouts and count wrong rollbacks: python -m bench rollouts [ROLLOUTS]

Every rollout goes through shadow, canary steps, bake and live as the rollout machine would judge
it: at every request within a stage, at every bucket once live. A verdict depends on the counts
alone, so the counts at which it turns are found once by the judge and then looked up.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from promise.data.columns import Array, FloatArray
from promise.metrics import changes
from promise.metrics.sequential import log_e_above, log_e_below
from promise.promises.spec import RolloutPlan
from promise.promises.verdict import ALPHA, KEPT_ALPHA

BOUND = 0.01
HEALTHY = 0.005
BAKE = 10_000
"""Requests that a version gets while it bakes."""
LIVE = 100_000
"""Requests for which it is then watched."""
BUCKET = 20
"""Requests in a bucket once live."""
PATIENCE = 300_000
"""Requests in one canary step after which a person would step in."""
SHARES = (0.02, 0.05, 0.10, 1.00)

NEVER = np.iinfo(np.int64).max // 4


@dataclass(frozen=True)
class Turns:
    """The counts at which a verdict turns, by the number of bad requests.

    Parameters
    ----------
    broken
        The most requests among which so many bad ones are BROKEN; -1 where never.
    kept
        The fewest requests among which so many bad ones are KEPT.
    """

    broken: Array
    kept: Array

    @classmethod
    def of(cls, bound: float, most_bad: int) -> Turns:
        """Find them by halving, for all numbers of bad requests at once."""
        k = np.arange(most_bad + 1)
        broken = _turn(lambda n: log_e_above(n, k, bound) >= -math.log(ALPHA), k, True)
        kept = _turn(lambda n: log_e_below(n, k, bound) >= -math.log(KEPT_ALPHA), k, False)
        return cls(broken, kept)


def _turn(holds: Callable[[Array], Array], k: Array, early: bool) -> Array:
    """Return the last n that holds (`early`) or the first; n is never below k."""
    low, high = k - 1, np.full(len(k), 1 << 30)
    for _ in range(31):
        middle = (low + high + 1) // 2
        on = holds(np.maximum(middle, k)) == early
        low, high = np.where(on, middle, low), np.where(on, high, middle - 1)
    if early:
        return np.where(low >= np.maximum(k, 1), low, -1)
    return low + 1


@dataclass(frozen=True)
class Ended:
    """How a stage ended in each rollout: requests it took, and whether it broke or was kept."""

    requests: Array
    broken: Array
    kept: Array


def stage(
    rng: np.random.Generator, n_rollouts: int, share: float, turns: Turns, *, most: int, keep: bool
) -> Ended:
    """Run one stage: until BROKEN, until KEPT where that is asked, or for `most` requests."""
    width = len(turns.broken) - 1
    at = rng.geometric(share, size=(n_rollouts, width)).cumsum(axis=1)  # the request of bad one k
    broken = _first(np.where(at <= turns.broken[1:], at, NEVER))
    kept = np.full(n_rollouts, NEVER)
    if keep:
        before = np.hstack([np.zeros((n_rollouts, 1), dtype=np.int64), at[:, :-1]])
        reached = np.maximum(before, turns.kept[:-1])
        kept = _first(np.where(reached < at, reached, NEVER))
    ends = np.minimum(np.minimum(broken, kept), most)
    return Ended(ends, broken == ends, kept == ends)


def _first(at: Array) -> Array:
    return np.asarray(at.min(axis=1))


def watched(
    rng: np.random.Generator, n_rollouts: int, healthy: float, share: float, n: int, more: int
) -> FloatArray:
    """Return when the e-CUSUM alarms: `n` healthy requests, then `more` of another share.

    Counted from the change in requests; negative for a false alarm before it, infinite for none.
    """
    hit, miss = changes.alternatives(BOUND, upwards=True, steps=changes.STEPS)
    state = np.zeros((n_rollouts, len(hit)))
    found = np.full(n_rollouts, np.inf)
    for start in range(-n, more, BUCKET):
        k = rng.binomial(BUCKET, healthy if start < 0 else share, n_rollouts)[:, None]
        state = np.maximum(state, 0.0) + k * hit + (BUCKET - k) * miss
        log_sum = np.log(np.exp(state + changes.LOG_WEIGHTS).sum(axis=1))
        alarm = (log_sum >= math.log(changes.THRESHOLD)) & np.isinf(found)
        found[alarm] = start + BUCKET
        if np.isfinite(found).all():
            break
    return found


@dataclass(frozen=True)
class Outcome:
    """What became of simulated rollouts of one true share of bad requests.

    Parameters
    ----------
    rolled_back, live, waiting
        Shares of the rollouts.
    requests
        Median requests that the candidate answered until it was rolled back, shadow included.
    to_live
        Median requests until it was live.
    """

    rolled_back: float
    live: float
    waiting: float
    requests: float
    to_live: float


def rollouts(
    rng: np.random.Generator,
    n_rollouts: int,
    share: float,
    turns: Turns,
    plan: RolloutPlan,
    live: int = LIVE,
) -> Outcome:
    """Take rollouts through shadow, every canary step, bake and, for `live` requests, live."""
    spent = np.zeros(n_rollouts)
    going = np.ones(n_rollouts, dtype=bool)
    back = np.zeros(n_rollouts, dtype=bool)
    stages = [(plan.shadow, False), *[(PATIENCE, True)] * len(plan.steps), (BAKE, False)]
    for most, keep in stages:
        ended = stage(rng, n_rollouts, share, turns, most=most, keep=keep)
        spent += np.where(going, ended.requests, 0)
        back |= going & ended.broken
        going &= ~ended.broken & (ended.kept | (not keep))
    to_live = float(np.median(spent[going])) if going.any() else math.nan
    if going.any() and live:
        alarms = watched(rng, int(going.sum()), share, share, 0, live)
        spent[going] += np.where(np.isfinite(alarms), alarms, 0)
        back[going] = np.isfinite(alarms)
        going &= ~back
    requests = float(np.median(spent[back])) if back.any() else math.nan
    waiting = 1 - float(back.mean()) - float(going.mean())
    return Outcome(float(back.mean()), float(going.mean()), waiting, requests, to_live)


def naive(rng: np.random.Generator, n_rollouts: int, share: float, n: int = 5000) -> FloatArray:
    """Return when "over 1 % failed, looked at every 50 requests" rolls back; infinite: never."""
    bad = rng.binomial(50, share, size=(n_rollouts, n // 50)).cumsum(axis=1)
    over = bad > BOUND * 50 * np.arange(1, n // 50 + 1)
    return np.where(over.any(axis=1), 50.0 * (over.argmax(axis=1) + 1), np.inf)


def main(arguments: list[str]) -> None:
    """Print false rollbacks and the time to notice, beside the naive rule."""
    n = int(arguments[0]) if arguments else 10_000
    rng, plan = np.random.default_rng(7), RolloutPlan()
    turns = Turns.of(BOUND, 1500)
    print(f"{n:,} rollouts; at most {BOUND:.0%} of requests may fail; shadow {plan.shadow:,}, "
          f"steps {plan.steps}, bake {BAKE:,}, live {LIVE:,} requests\n")  # fmt: skip
    healthy = in_parts(rng, n, HEALTHY, turns, plan)
    plain = naive(rng, n, HEALTHY)
    print(f"healthy model, {HEALTHY:.1%} fail: rolled back by mistake")
    print(f"  {'Promise, whole plan and live':<44}{healthy.rolled_back:>9.2%}")
    print(f"  {'rate above 1 %, every 50 of 5,000 requests':<44}{np.isfinite(plain).mean():>9.2%}")
    print(f"  live in the end {healthy.live:.1%}, still waiting {healthy.waiting:.1%}; "
          f"median requests until live {healthy.to_live:,.0f}")  # fmt: skip
    at_bound = stage(rng, min(n, 5000), BOUND, turns, most=50_000, keep=False).broken.mean()
    print(f"  a model at exactly {BOUND:.0%}, one stage of 50,000 requests: {at_bound:.2%}\n")
    print(f"{'requests until noticed, median':<32}{'in a stage':>12}{'once live':>12}"
          f"{'naive':>10}{'reached live':>14}")  # fmt: skip
    few = min(n, 2000)
    for share in SHARES:
        ended = stage(rng, few, share, turns, most=50_000, keep=False)
        whole = rollouts(rng, few, share, turns, plan, live=0)
        alarms = watched(rng, min(n, 500), HEALTHY, share, 20_000, 50_000)
        late = np.median(alarms[alarms > 0])
        quick = np.median(naive(rng, few, share))
        print(f"{f'{share:.0%} fail':<32}{np.median(ended.requests):>12,.0f}{late:>12,.0f}"
              f"{quick:>10,.0f}{whole.live:>14.2%}")  # fmt: skip


def in_parts(
    rng: np.random.Generator, n: int, share: float, turns: Turns, plan: RolloutPlan
) -> Outcome:
    """Run rollouts a thousand at a time, which bounds the memory."""
    parts = [rollouts(rng, min(1000, n - i), share, turns, plan) for i in range(0, n, 1000)]
    weights = [min(1000, n - i) for i in range(0, n, 1000)]

    def mean(of: Callable[[Outcome], float]) -> float:
        found = np.array([of(part) for part in parts])
        known = np.isfinite(found)
        return float(np.average(found[known], weights=np.array(weights)[known]))

    return Outcome(
        mean(lambda o: o.rolled_back), mean(lambda o: o.live), mean(lambda o: o.waiting),
        math.nan, mean(lambda o: o.to_live),
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
