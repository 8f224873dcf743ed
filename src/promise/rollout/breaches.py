"""Which broken promises ask for what, and which promises still lack their proof."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from promise.promises.spec import ModelFile
from promise.promises.verdict import Verdict


@dataclass(frozen=True)
class Breaches:
    """The BROKEN verdicts on one version, by what they ask for.

    Parameters
    ----------
    rollback, hold
        Broken by this version alone, with that action declared.
    shared
        With one of these actions, but the concurrent stable version breaks them, too.
    other
        Those that only alert or retrain; they block an advance like all others.
    """

    rollback: tuple[Verdict, ...] = ()
    hold: tuple[Verdict, ...] = ()
    shared: tuple[Verdict, ...] = ()
    other: tuple[Verdict, ...] = ()

    @property
    def all(self) -> tuple[Verdict, ...]:
        """Every breach."""
        return (*self.rollback, *self.hold, *self.shared, *self.other)

    def without(self, also: Breaches) -> Breaches:
        """Leave out what another version breaks as well: the surroundings are to blame."""
        keys = {v.promise for v in also.all}

        def alone(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
            return tuple(v for v in verdicts if v.promise not in keys)

        return Breaches(
            alone(self.rollback), alone(self.hold), alone(self.shared), alone(self.other)
        )

    @staticmethod
    def told(verdicts: Iterable[Verdict]) -> str:
        """Say which promises are broken and how.

        Examples
        --------
        >>> Breaches.told([Verdict("speed", "latency_p99", "BROKEN", 12.0, 0.08, n=500)])
        'speed is broken (latency_p99 0.08 over 500)'
        """
        return "; ".join(f"{v.promise} is broken ({v.reason or _numbers(v)})" for v in verdicts)


def _numbers(verdict: Verdict) -> str:
    measured = "unmeasured" if verdict.measured is None else f"{verdict.measured:.4g}"
    return f"{verdict.that} {measured} over {verdict.n:,}"


def breaches(declared: ModelFile, verdicts: Iterable[Verdict]) -> Breaches:
    """Sort the broken promises of one version by what was declared to follow.

    A verdict on a promise that is not declared any more asks for nothing.
    """
    actions = {p.key: p.on_break for p in declared.promises}
    found: dict[str, list[Verdict]] = {"rollback": [], "hold": [], "shared": [], "other": []}
    for verdict in verdicts:
        if verdict.status != "BROKEN" or verdict.promise not in actions:
            continue
        asked = [a for a in ("rollback", "hold") if a in actions[verdict.promise]]
        kind = "other" if not asked else "shared" if verdict.shared else asked[0]
        found[kind].append(verdict)
    return Breaches(**{kind: tuple(verdicts) for kind, verdicts in found.items()})


def unproven(
    declared: ModelFile, verdicts: Iterable[Verdict], kept: frozenset[str]
) -> tuple[str, ...]:
    """Return the promises that a canary step still waits for.

    One due in the canary must be KEPT on this step's evidence. One due at the gate stands on what
    was `kept` before, until newer evidence says otherwise; one due live blocks no step.
    """
    status = {v.promise: v.status for v in verdicts}
    waiting = []
    for promise in declared.promises:
        found = status.get(promise.key, "UNKNOWN")
        stands = promise.due == "gate" and found == "UNKNOWN" and promise.key in kept
        if promise.due != "live" and found != "KEPT" and not stands:
            waiting.append(promise.key)
    return tuple(waiting)
