"""What asks for a retraining, in words, and when the next one is due: pure functions of facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from promise.retraining.runs import CONCLUDED, Kind, Run
from promise.retraining.schedule import next_fire

FAILED_S = 300.0
"""How long the first failure rests; each further one twice as long, up to a day."""
LENIENT_S = 86_400.0
"""How long a promise that stays broken rests after a retraining; after each further one twice."""

_LONGEST_FAILED_S = 86_400.0
_LONGEST_LENIENT_S = 32 * 86_400.0
_LENIENT: tuple[Kind, ...] = ("broken", "drift")


@dataclass(frozen=True)
class Due:
    """A retraining that should run now.

    Parameters
    ----------
    kind
        The strongest of what asks for it.
    reason
        All that asks for it, in words.
    """

    kind: Kind
    reason: str

    @property
    def lenient(self) -> bool:
        """Whether a new version may go on its way that is not proven better, only not worse."""
        return self.kind in _LENIENT


@dataclass(frozen=True)
class Facts:
    """Everything that decides whether a name is trained again.

    Parameters
    ----------
    retrain
        As `[retrain]` declares it: `every_rows`, `schedule`, `on_drift`.
    live, trained_at
        The live version and when it was trained; None before the first deployment.
    declared_at
        When the promises were declared last.
    candidate
        The version that is on its way; nothing is trained meanwhile.
    new_labels
        Labelled rows that came since the last training; without any the schedule asks in vain.
    unit
        What `new_labels` counts.
    broken
        Sentences on the promises that are broken and ask for a retraining when they are.
    drifted
        Keys of the `psi` promises that are broken on the live version.
    asked
        Why somebody asked by hand; None where nobody did.
    runs
        Ended retrainings of the name, newest first.
    """

    name: str
    now: datetime
    retrain: Mapping[str, Any] = field(default_factory=dict)
    live: int | None = None
    trained_at: datetime | None = None
    declared_at: datetime | None = None
    candidate: int | None = None
    new_labels: int = 0
    unit: str = "labelled rows"
    broken: tuple[str, ...] = ()
    drifted: tuple[str, ...] = ()
    asked: str | None = None
    runs: tuple[Run, ...] = ()

    @property
    def of_live(self) -> tuple[Run, ...]:
        """The runs that started from the version that is live now."""
        return tuple(run for run in self.runs if run.live == self.live)

    @property
    def waiting(self) -> Run | None:
        """The last run, where its version waits for a gate that could not come to its end."""
        last = next(iter(self.of_live), None)
        return last if last is not None and last.waits else None


def due(facts: Facts) -> Due | None:
    """Return the retraining that should run now; None where none should.

    A failed one rests, and so does a promise that a retraining did not mend; only a person's word
    is always heard.

    Examples
    --------
    >>> from datetime import UTC
    >>> at = datetime(2026, 3, 1, tzinfo=UTC)
    >>> due(Facts("churn", at, {"every_rows": 200}, live=1, trained_at=at, new_labels=210))
    Due(kind='rows', reason='210 new labelled rows (asked: every 200)')
    """
    if facts.live is None or facts.candidate is not None:
        return None
    found = _asking(facts)
    if resting_until(facts) > facts.now:
        found = {} if facts.asked is None else {"hand": facts.asked}
    if lenient_until(facts) > facts.now:
        found = {kind: reason for kind, reason in found.items() if kind not in _LENIENT}
    if not found:
        return None
    return Due(next(iter(found)), "; ".join(found.values()))


def outlook(facts: Facts) -> str:
    """Say when the next retraining is due, or what would make it so.

    Examples
    --------
    >>> from datetime import UTC
    >>> at = datetime(2026, 3, 1, tzinfo=UTC)
    >>> outlook(Facts("churn", at, {"every_rows": 200}, live=1, trained_at=at, new_labels=80))
    'after 120 more labelled rows'
    """
    if facts.live is None:
        return f"never while nothing is live: run `promise deploy {facts.name}`"
    if facts.candidate is not None:
        return f"not before {facts.name}@{facts.candidate} is live or dropped"
    now = due(facts)
    if now is not None:
        return f"now: {now.reason}"
    asking = _asking(facts)
    if asking:
        rest = resting_until(facts)
        until = rest if rest > facts.now else lenient_until(facts)
        return f"at {until:%Y-%m-%d %H:%M} UTC again: {'; '.join(asking.values())}"
    return " or ".join(_awaited(facts)) or (
        "when somebody asks: `promise.toml` declares no [retrain]"
    )


def resting_until(facts: Facts) -> datetime:
    """Return until when failures keep the name from being trained again.

    A run that was killed begins again at once; a second one in a row waits as failed ones do, so
    that a training that takes its machine down does not do so for ever.
    """
    failures = 0
    for run in facts.of_live:
        if run.state in CONCLUDED:
            break
        failures += 1
    if failures == 0:
        return facts.now
    last = facts.of_live[0]
    if last.state == "interrupted":
        failures -= 1
    wait_s = 0.0 if failures == 0 else doubled(FAILED_S, failures, _LONGEST_FAILED_S)
    return (last.ended or last.started) + timedelta(seconds=wait_s)


def lenient_until(facts: Facts) -> datetime:
    """Return until when promises that stay broken ask in vain."""
    tried = [run for run in facts.of_live if run.kind in _LENIENT and run.state in CONCLUDED]
    if not tried:
        return facts.now
    wait_s = doubled(LENIENT_S, len(tried), _LONGEST_LENIENT_S)
    return (tried[0].ended or tried[0].started) + timedelta(seconds=wait_s)


def doubled(first_s: float, times: int, longest_s: float) -> float:
    """Return a wait that doubles each time, bounded.

    Examples
    --------
    >>> [doubled(300.0, times, 1000.0) for times in (1, 2, 3, 999)]
    [300.0, 600.0, 1000.0, 1000.0]
    """
    return float(min(longest_s, first_s * 2.0 ** min(times - 1, 60)))


def _asking(facts: Facts) -> dict[Kind, str]:
    """Return what asks for a retraining and why, the strongest first."""
    found: dict[Kind, str] = {}
    if facts.broken:
        found["broken"] = "; ".join(facts.broken)
    if facts.retrain.get("on_drift") and facts.drifted:
        found["drift"] = f"the data drifted: {', '.join(facts.drifted)} is broken"
    if facts.asked is not None:
        found["hand"] = facts.asked
    if facts.waiting is not None:  # its reason was heard and noted as such, but not yet served
        found.setdefault(facts.waiting.kind, facts.waiting.reason)
    fire = _fire(facts)
    if fire is not None and fire <= facts.now and facts.new_labels:
        found["schedule"] = f"the schedule {facts.retrain['schedule']} (UTC) has come"
    every = facts.retrain.get("every_rows")
    if every and facts.new_labels >= every:
        found["rows"] = f"{facts.new_labels:,} new {facts.unit} (asked: every {every:,})"
    return found


def _fire(facts: Facts) -> datetime | None:
    """Return when the schedule asks next, seen from the last training."""
    schedule = facts.retrain.get("schedule")
    if not schedule:
        return None
    begun = [run.started for run in facts.runs if run.state in CONCLUDED]
    since = [moment for moment in (facts.trained_at, facts.declared_at, *begun[:1]) if moment]
    return next_fire(schedule, max(since, default=facts.now))


def _awaited(facts: Facts) -> list[str]:
    words = []
    every, fire = facts.retrain.get("every_rows"), _fire(facts)
    if every:
        words.append(f"after {every - facts.new_labels:,} more {facts.unit}")
    if fire is not None and fire > facts.now:
        words.append(f"at {fire:%Y-%m-%d %H:%M} UTC")
    elif fire is not None:
        words.append(
            f"with the next labelled row (the schedule {facts.retrain['schedule']} has come, and "
            "there is nothing new to learn from)"
        )
    if facts.retrain.get("on_drift"):
        words.append("on drift")
    return words
