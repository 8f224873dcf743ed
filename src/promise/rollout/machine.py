"""The rollout as a pure function: a route and an event give the next route, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from promise.errors import ConfigError
from promise.registry.route import BUCKETS, Route
from promise.rollout.breaches import Breaches, breaches, unproven
from promise.rollout.events import Deploy, Event, Experiment, Hold, Look, RollBack

__all__ = [
    "Change", "Deploy", "Event", "Experiment", "Hold", "Look", "RollBack", "broken_invariants",
    "step", "waits_for",
]  # fmt: skip


@dataclass(frozen=True)
class Change:
    """What follows from an event."""

    kind: str
    route: Route
    reason: str


def step(route: Route, event: Event) -> Change | None:
    """Return what follows from an event; None where nothing changes.

    Raises ConfigError where a person asked for what cannot be, e.g. a rollback without a version
    to go back to.

    Examples
    --------
    >>> from datetime import UTC
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
        return f"the end of the bake at {_bake_ends(route):%Y-%m-%d %H:%M:%S}"
    missing = unproven(look.declared, look.candidate, look.kept)
    return "proof of " + ", ".join(missing) if missing else "its first request"


def _deploy(route: Route, event: Deploy) -> Change:
    _refuse_deploy(route, event)
    target = f"{route.name}@{event.version}"
    fresh = replace(
        route, plan=event.plan, revision=event.revision, salt=event.salt, since=event.at, held=""
    )
    if route.live is None or event.forced:
        why = event.reason or "the first version of a name needs only the gate"
        promoted = replace(
            _steady(fresh, event.at), live=event.version, standby=route.live, owed=event.owed,
            experiment={},
        )  # fmt: skip
        return Change("promote", promoted, f"{target} is live at once: {why}")
    standby = None if route.standby == event.version else route.standby
    begun = replace(fresh, candidate=event.version, standby=standby, step=0, share=0)
    if event.plan.shadow > 0:
        why = f"{target} answers {event.plan.shadow:,} requests unseen"
        return Change("deploy", replace(begun, stage="shadow"), _with(event.reason, why))
    canary = _canary(begun, 0, event.at)
    return Change("deploy", canary, _with(event.reason, f"{target} {_gets(canary)}"))


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


def _look(route: Route, event: Look) -> Change | None:
    if route.live is None:
        return None
    # Breaches come first in every stage: waiting must never hide one.
    on_live = breaches(event.declared, event.live)
    if route.candidate is not None:
        on_candidate = breaches(event.declared, event.candidate)
        return (
            _candidate_broke(route, on_candidate, event.at)
            or _live_broke(route, on_live.without(on_candidate), event.at)
            or (None if route.held or on_candidate.all else _advance(route, event))
        )
    return (
        _live_broke(route, on_live, event.at)
        or _experiment_broke(route, event)
        or _settle(route, event)
    )


def _candidate_broke(route: Route, found: Breaches, at: datetime) -> Change | None:
    target = f"{route.name}@{route.candidate}"
    if found.rollback:
        return Change("rollback", _steady(route, at), f"{target}: {found.told(found.rollback)}")
    if route.held:
        return None
    if found.hold:
        why = found.told(found.hold)
        return Change("hold", replace(route, held=why), f"{target}: {why}")
    if found.shared:
        why = f"{found.told(found.shared)}; {route.name}@{route.live} breaks it too"
        return Change("hold", replace(route, held=why), f"{target}: {why}")
    return None


def _live_broke(route: Route, found: Breaches, at: datetime) -> Change | None:
    if route.standby is None:
        return None
    target = f"{route.name}@{route.live}"
    if found.rollback:
        why = f"{target}: {found.told(found.rollback)}; back to {route.name}@{route.standby}"
        return Change("rollback", _back_to(route, route.standby, at), why)
    if found.hold and not route.held and route.candidate is None:
        why = found.told(found.hold)
        return Change("hold", replace(route, held=why), f"{target}: {why}; the standby stays")
    return None


def _experiment_broke(route: Route, event: Look) -> Change | None:
    for version, verdicts in event.experiment.items():
        found = breaches(event.declared, verdicts)
        if found.rollback and version in route.experiment and version != route.live:
            rest = {v: share for v, share in route.experiment.items() if v != version}
            why = f"{route.name}@{version} leaves the experiment: {found.told(found.rollback)}"
            return Change("experiment", replace(route, experiment=rest, since=event.at), why)
    return None


def _advance(route: Route, event: Look) -> Change | None:
    target = f"{route.name}@{route.candidate}"
    if route.stage == "shadow":
        if event.requests < route.plan.shadow:
            return None
        canary = _canary(route, 0, event.at)
        seen = f"{event.requests:,} shadow requests broke no promise"
        return Change("advance", canary, f"{target} {_gets(canary)}: {seen}")
    if route.stage == "canary":
        if event.requests < 1 or unproven(event.declared, event.candidate, event.kept):
            return None
        following = _canary(route, route.step + 1, event.at)
        seen = f"every promise due was kept over {event.requests:,} requests"
        return Change("advance", following, f"{target} {_gets(following)}: {seen}")
    if event.at < _bake_ends(route):
        return None
    promoted = replace(
        _steady(route, event.at), live=route.candidate, standby=route.live, owed=_owed(event)
    )
    return Change("promote", promoted, f"{target} is live: it baked without a breach")


def _owed(event: Look) -> dict[str, datetime]:
    """Return what the new live version owes: due live, or never kept before, and not kept now."""
    kept = {v.promise for v in event.candidate if v.status == "KEPT"}
    return {
        p.key: event.at + timedelta(seconds=p.grace_s)
        for p in event.declared.promises
        if p.key not in kept and (p.due == "live" or p.key not in event.kept)
    }


def _settle(route: Route, event: Look) -> Change | None:
    """Cross off what was owed, then let the standby go."""
    declared = {p.key for p in event.declared.promises}
    kept = {v.promise for v in event.live if v.status == "KEPT"}
    first = [key for key in route.owed if key in kept]
    late = [key for key, end in route.owed.items() if key not in kept and event.at >= end]
    gone = {*first, *late, *(key for key in route.owed if key not in declared)}
    owed = {key: end for key, end in route.owed.items() if key not in gone}
    told = [f"{key} was kept for the first time" for key in first]
    told += [f"the grace of {key} ended without a verdict" for key in late]
    if not owed and route.standby is not None and not route.held and event.at >= _bake_ends(route):
        why = "; ".join([*told, f"nothing is owed, {route.name}@{route.standby} is let go"])
        return Change("release", replace(route, owed={}, standby=None), why)
    if gone:
        why = "; ".join(told) or "a promise that was owed is not declared any more"
        return Change("advance", replace(route, owed=owed), why)
    return None


def _roll_back(route: Route, event: RollBack) -> Change:
    if route.candidate is not None and event.to is None:
        why = f"{route.name}@{route.candidate} is dropped: {event.reason}"
        return Change("rollback", _steady(route, event.at), why)
    target = route.standby if event.to is None else event.to
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
    why = f"back from {route.name}@{route.live} to {route.name}@{target}: {event.reason}"
    return Change("rollback", _back_to(route, target, event.at), why)


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
    Look: _look,
    RollBack: _roll_back,
    Hold: _hold,
    Experiment: _experiment,
}


def _steady(route: Route, at: datetime) -> Route:
    """Return the route without its candidate."""
    return replace(route, stage="steady", candidate=None, step=0, share=0, held="", since=at)


def _back_to(route: Route, version: int, at: datetime) -> Route:
    """Return the route with an earlier version live; what it leaves gets no traffic any more."""
    rest = {v: share for v, share in route.experiment.items() if v != route.live}
    return replace(_steady(route, at), live=version, standby=None, owed={}, experiment=rest)


def _canary(route: Route, number: int, at: datetime) -> Route:
    """Return the route at a step of its plan; past the last one it bakes."""
    if number >= len(route.plan.steps):
        return replace(route, stage="bake", step=number, share=BUCKETS, since=at)
    share = min(BUCKETS, route.plan.steps[number] * BUCKETS // 100)
    return replace(route, stage="canary", step=number, share=share, since=at)


def _gets(route: Route) -> str:
    if route.stage == "bake":
        return "answers everything and bakes"
    return f"answers {route.share * 100 // BUCKETS} % of the traffic"


def _bake_ends(route: Route) -> datetime:
    assert route.since is not None, "a deployed route knows when its stage began"
    return route.since + timedelta(seconds=route.plan.bake_s)


def _versions(route: Route) -> str:
    return ", ".join(str(v) for v in route.experiment)


def _with(reason: str, what: str) -> str:
    return f"{what}: {reason}" if reason else what
