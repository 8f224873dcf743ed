"""The moves that a route can make, each told by the route after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from promise.registry.route import BUCKETS, Route


@dataclass(frozen=True)
class Change:
    """What follows from an event."""

    kind: str
    route: Route
    reason: str


def steady(route: Route, at: datetime) -> Route:
    """Return the route without its candidate."""
    return replace(route, stage="steady", candidate=None, step=0, share=0, held="", since=at)


def back_to(route: Route, version: int, at: datetime) -> Route:
    """Return the route with an earlier version live; half an experiment would tell nothing."""
    return replace(steady(route, at), live=version, standby=None, owed={}, experiment={})


def canary(route: Route, number: int, at: datetime) -> Route:
    """Return the route at a step of its plan; past the last one it bakes."""
    if number >= len(route.plan.steps):
        return replace(route, stage="bake", step=number, share=BUCKETS, since=at)
    share = min(BUCKETS, route.plan.steps[number] * BUCKETS // 100)
    return replace(route, stage="canary", step=number, share=share, since=at)


def gets(route: Route) -> str:
    """Say what traffic the candidate of a route gets."""
    if route.stage == "bake":
        return "answers everything and bakes"
    return f"answers {route.share * 100 // BUCKETS} % of the traffic"


def bake_ends(route: Route) -> datetime:
    """Return until when a route keeps the version before it loaded at least."""
    assert route.since is not None, "a deployed route knows when its stage began"
    return route.since + timedelta(seconds=route.plan.bake_s)
