"""What a name's chain of transitions tells of its versions and stages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from promise.errors import ConfigError
from promise.promises.verdict import Verdict
from promise.registry.lifecycle import Transition
from promise.registry.route import Route


def verdicts_of(link: Transition) -> dict[int, tuple[Verdict, ...]]:
    """Return the verdicts that a transition rested on, by version."""
    found: dict[str, Any] = dict(link.evidence.get("verdicts", {}))
    gates = link.evidence.get("gates", {})
    found |= {version: gate["verdicts"] for version, gate in gates.items()}
    gate = link.evidence.get("gate")
    if gate is not None:
        found[str(gate["version"])] = gate["verdicts"]
    return {int(v): tuple(Verdict(**each) for each in listed) for v, listed in found.items()}


def kept_before(history: Sequence[Transition], version: int) -> frozenset[str]:
    """Return the promises that were KEPT on a version since it was last deployed.

    What the gate found, and what each step found whose end the chain tells.
    """
    kept: set[str] = set()
    for link in reversed(history):
        judged = verdicts_of(link).get(version, ())
        kept |= {verdict.promise for verdict in judged if verdict.status == "KEPT"}
        if (link.evidence.get("gate") or {}).get("version") == version:
            break
    return frozenset(kept)


def made_live(history: Sequence[Transition], link: Transition) -> Transition | None:
    """Return the transition that made live what was live after `link`."""
    made = None
    for each in reversed(history[: link.seq]):
        if each.route.live != link.route.live:
            break
        made = each
    return made


def live_since(history: Sequence[Transition], route: Route) -> datetime | None:
    """Return since when a route's live version is judged on what it does while live.

    That is since it became live; or since a hold on it was lifted, where what had led to the hold
    was seen and accepted.
    """
    begun = None
    for link in reversed(history):
        if link.route.live != route.live:
            break
        begun = link.route.since
        if link.kind == "resume" and link.route.candidate is None:
            break
    return begun or route.since


def live_before(history: Sequence[Transition], live: int | None) -> int | None:
    """Return the last version before that no broken promise has taken out since it was live.

    Raises
    ------
    ConfigError
        Where a broken promise took out each of them.
    """
    earlier: dict[int, Transition | None] = {}  # in the order in which they were live last
    for before, link in pairwise(history):
        left = before.route.live
        if left is not None and left != link.route.live:
            broke = link.kind == "rollback" and link.actor == "reconciler"
            earlier.pop(left, None)
            earlier[left] = link if broke else None
    earlier.pop(live or 0, None)
    sound = [version for version, taken_out in earlier.items() if taken_out is None]
    if earlier and not sound:
        version, taken_out = list(earlier.items())[-1]
        assert taken_out is not None, "none of them is sound"
        raise ConfigError(
            f"{taken_out.name} has no version to go back to: {taken_out.reason} "
            f"({taken_out.at:%Y-%m-%d %H:%M:%S}). `promise deploy {taken_out.name}@{version} --now "
            "--reason R` makes it live all the same."
        )
    return sound[-1] if sound else None


def stage_of(route: Route) -> tuple[object, ...]:
    """Return what tells one stage of a name from every other."""
    # By its time alone it could be told wrong: two steps may follow within one tick of a clock.
    return route.since, route.stage, route.step, route.live, route.candidate
