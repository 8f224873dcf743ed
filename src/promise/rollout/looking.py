"""What follows from a look at the evidence: a breach first, then an advance, then rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from promise.registry.route import Route
from promise.rollout.breaches import Breaches, breaches, unproven
from promise.rollout.events import Look
from promise.rollout.moves import Change, back_to, bake_ends, canary, gets, steady


def look(route: Route, event: Look) -> Change | None:
    """Return what follows from a look at the evidence; None where nothing changes."""
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
        return Change("rollback", steady(route, at), f"{target}: {found.told(found.rollback)}")
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
        ended = "; the experiment ends" if route.experiment else ""
        back = f"back to {route.name}@{route.standby}{ended}"
        why = f"{target}: {found.told(found.rollback)}; {back}"
        return Change("rollback", back_to(route, route.standby, at), why)
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
            if not rest.keys() - {route.live}:
                rest, why = {}, f"{why}; it ends, nobody is left to compare with"
            return Change("experiment", replace(route, experiment=rest, since=event.at), why)
    return None


def _advance(route: Route, event: Look) -> Change | None:
    target = f"{route.name}@{route.candidate}"
    if route.stage == "shadow":
        if event.requests < route.plan.shadow:
            return None
        first = canary(route, 0, event.at)
        seen = f"{event.requests:,} shadow requests broke no promise"
        return Change("advance", first, f"{target} {gets(first)}: {seen}")
    if route.stage == "canary":
        if event.requests < 1 or unproven(event.declared, event.candidate, event.kept):
            return None
        following = canary(route, route.step + 1, event.at)
        seen = f"every promise due was kept over {event.requests:,} requests"
        return Change("advance", following, f"{target} {gets(following)}: {seen}")
    if event.at < bake_ends(route):
        return None
    promoted = replace(
        steady(route, event.at), live=route.candidate, standby=route.live, owed=_owed(event)
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
    if not owed and route.standby is not None and not route.held and event.at >= bake_ends(route):
        why = "; ".join([*told, f"nothing is owed, {route.name}@{route.standby} is let go"])
        return Change("release", replace(route, owed={}, standby=None), why)
    if gone:
        why = "; ".join(told) or "a promise that was owed is not declared any more"
        return Change("advance", replace(route, owed=owed), why)
    return None
