"""What a name's chain of transitions tells of its versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from promise.promises.verdict import Verdict
from promise.registry.lifecycle import Transition


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
