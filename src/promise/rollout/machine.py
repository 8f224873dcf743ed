"""The rollout as a pure function: a route and an event give the next route, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from promise.errors import ConfigError
from promise.registry.route import BUCKETS, Route
from promise.rollout.breaches import breaches, unproven
from promise.rollout.events import Deploy, Event, Experiment, Hold, Look, RollBack
from promise.rollout.looking import look
from promise.rollout.moves import Change, back_to, bake_ends, canary, gets, steady

__all__ = [
    "Change", "Deploy", "Event", "Experiment", "Hold", "Look", "RollBack", "broken_invariants",
    "step", "waits_for",
]  # fmt: skip


def step(route: Route, event: Event) -> Change | None:
    """Return what follows from an event; None where nothing changes.

    Raises ConfigError where a person asked for what cannot be, e.g. a rollback without a version
    to go back to.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from promise.promises.spec import RolloutPlan
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> first = step(Route("churn"), Deploy(1, RolloutPlan(), 1, "s", at, {}))
    >>> first.kind, first.route.stage, first.route.live
    ('promote', 'steady', 1)
    >>> second = step(first.route, Deploy(2, RolloutPlan(), 1, "t", at, {}))
    >>> second.kind, second.route.stage, second.route.live, second.route.candidate
    ('deploy', 'shadow', 1, 2)
    """
    return _STEPS[type(event)](route, event)


def broken_invariants(route: Route) -> list[str]:
    """Return every rule that a route breaks, in words; an empty list for a sound one.

    Examples
    --------
    >>> broken_invariants(Route("churn", stage="steady"))
    ['churn is steady and no version is live']
    """
    roles = [v for v in (route.live, route.standby, route.candidate) if v is not None]
    rules = {
        f"is {route.stage} and no version is live": route.stage != "empty" and route.live is None,
        "is empty and a version is live": route.stage == "empty" and bool(roles),
        "has one version in two roles": len(set(roles)) < len(roles),
        f"is {route.stage} and {'has a' if route.candidate else 'has no'} candidate": (
            (route.candidate is None) != (route.stage in ("empty", "steady"))
        ),
        f"gives {route.share} buckets to a candidate while {route.stage}": (
            route.share != 0 and route.stage not in ("canary", "bake")
        ),
        f"has a share of {route.share} of {BUCKETS} buckets": not 0 <= route.share <= BUCKETS,
        "runs an experiment beside a rollout": bool(route.experiment and route.candidate),
        "gives an experiment more than all traffic": sum(route.experiment.values()) > BUCKETS,
    }
    return [f"{route.name} {rule}" for rule, broken in rules.items() if broken]


def waits_for(route: Route, look: Look) -> str:
    """Say what a rollout waits for; empty where nothing is on its way.

    Examples
    --------
    >>> from datetime import datetime
    >>> from promise.promises.spec import ModelFile, RolloutPlan
    >>> at = datetime(2026, 1, 1)
    >>> route = Route("churn", "shadow", live=1, candidate=2, plan=RolloutPlan(shadow=1000))
    >>> waits_for(route, Look(at, ModelFile(), requests=400))
    '600 more shadow requests'
    """
    if route.candidate is None:
        return ""
    if route.held:
        return f"a person: {route.held}"
    broken = breaches(look.declared, look.candidate).all
    if broken:
        return "broken promises: " + ", ".join(v.promise for v in broken)
    if route.stage == "shadow":
        return f"{route.plan.shadow - look.requests:,} more shadow requests"
    if route.stage == "bake":
        return f"the end of the bake at {bake_ends(route):%Y-%m-%d %H:%M:%S}"
    missing = unproven(look.declared, look.candidate, look.kept)
    return "proof of " + ", ".join(missing) if missing else "its first request"


def _deploy(route: Route, event: Deploy) -> Change:
    _refuse_deploy(route, event)
    target = f"{route.name}@{event.version}"
    fresh = replace(
        route, plan=event.plan, revision=event.revision, salt=event.salt, since=event.at, held=""
    )
    if route.live is None or event.forced:
        why = "the first version of a name needs only the gate"
        if event.reason:
            why = event.reason if event.forced else f"{why} ({event.reason})"
        promoted = replace(
            steady(fresh, event.at), live=event.version, standby=route.live, owed=event.owed,
            experiment={},
        )  # fmt: skip
        return Change("promote", promoted, f"{target} is live at once: {why}")
    standby = None if route.standby == event.version else route.standby
    begun = replace(fresh, candidate=event.version, standby=standby, step=0, share=0)
    if event.plan.shadow > 0:
        why = f"{target} answers {event.plan.shadow:,} requests unseen"
        return Change("deploy", replace(begun, stage="shadow"), _with(event.reason, why))
    first = canary(begun, 0, event.at)
    return Change("deploy", first, _with(event.reason, f"{target} {gets(first)}"))


def _refuse_deploy(route: Route, event: Deploy) -> None:
    name, back = route.name, f"promise rollback {route.name}"
    if event.version == route.live:
        more = f"; to stop {name}@{route.candidate}: {back}" if route.candidate else ""
        raise ConfigError(f"{name}@{event.version} is live already{more}.")
    if event.forced:
        return
    if route.candidate is not None:
        raise ConfigError(
            f"{name}@{route.candidate} is on its way ({route.stage}); wait for it, drop it with "
            f"`{back}`, or skip the rollout with --now --reason R."
        )
    if route.experiment:
        raise ConfigError(
            f"{name} runs an experiment between {_versions(route)}, and a rollout would change "
            "who gets which version; end it first (deploy the live version with a promise.toml "
            "without [experiment]), or skip the rollout with --now --reason R."
        )


def _roll_back(route: Route, event: RollBack) -> Change:
    if route.candidate is not None and event.to is None:
        why = f"{route.name}@{route.candidate} is dropped: {event.reason}"
        return Change("rollback", steady(route, event.at), why)
    target = route.standby if event.to is None else event.to
    ended = "; the experiment ends" if route.experiment else ""
    if target is None and route.experiment:
        alone = replace(route, experiment={}, since=event.at)
        why = f"{route.name}@{route.live} answers alone{ended}: {event.reason}"
        return Change("rollback", alone, why)
    if target is None or route.live is None:
        raise ConfigError(
            f"{route.name} has no version to go back to; "
            + (
                "nothing is live yet."
                if route.live is None
                else f"only {route.live} was ever live."
            )
        )
    if target in (route.live, route.candidate):
        role = "live already" if target == route.live else "on its way: nothing to go back to"
        raise ConfigError(f"{route.name}@{target} is {role}.")
    back = f"back from {route.name}@{route.live} to {route.name}@{target}{ended}"
    why = f"{back}: {event.reason}"
    return Change("rollback", back_to(route, target, event.at), why)


def _hold(route: Route, event: Hold) -> Change | None:
    if route.live is None:
        raise ConfigError(f"{route.name} has nothing to hold: no version is live yet.")
    if event.held:
        if route.held:
            return None
        why = event.reason or "held by a person"
        return Change("hold", replace(route, held=why), why)
    if not route.held:
        return None
    # What led to the hold was seen and accepted: only evidence from now on counts.
    resumed = replace(route, held="", since=event.at)
    return Change("resume", resumed, event.reason or "resumed by a person")


def _experiment(route: Route, event: Experiment) -> Change | None:
    if route.live is None:
        raise ConfigError(f"{route.name} has no live version yet; deploy one, then split traffic.")
    split = {v: round(percent * BUCKETS / 100) for v, percent in event.split.items()}
    if any(share <= 0 for share in split.values()) or sum(split.values()) > BUCKETS:
        raise ConfigError(
            f"the shares of the experiment are {event.split}: each must be above 0 %, "
            "all together at most 100 %."
        )
    if split == route.experiment:
        return None
    if route.candidate is not None and split:
        raise ConfigError(
            f"{route.name}@{route.candidate} is on its way ({route.stage}), and an experiment "
            "would change who gets it; wait for it or `promise rollback` it first."
        )
    changed = replace(route, experiment=split, salt=event.salt, since=event.at)
    shown = ", ".join(f"{v} gets {share / BUCKETS:.4g}" for v, share in split.items())
    why = f"traffic is split: {shown} of it" if split else "the experiment ended"
    return Change("experiment", changed, _with(event.reason, why))


_STEPS: dict[type[Any], Callable[[Route, Any], Change | None]] = {
    Deploy: _deploy,
    Look: look,
    RollBack: _roll_back,
    Hold: _hold,
    Experiment: _experiment,
}


def _versions(route: Route) -> str:
    return ", ".join(str(v) for v in route.experiment)


def _with(reason: str, what: str) -> str:
    return f"{what}: {reason}" if reason else what
