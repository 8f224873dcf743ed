"""What is live, since when and why, now or before, and whether it keeps its promises."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from promise.clock import Clock
from promise.errors import DataError, PromiseError
from promise.monitoring.decided import Decided, decided
from promise.promises.spec import ModelFile
from promise.promises.verdict import Verdict
from promise.records.labels import Labels
from promise.records.moments import moment_of
from promise.registry.gates import Gated
from promise.registry.lifecycle import Transition
from promise.registry.route import BUCKETS, Route
from promise.rollout.case import Arm
from promise.rollout.chain import kept_before, made_live, verdicts_of
from promise.rollout.desk import Desk
from promise.rollout.events import Look
from promise.rollout.experiment import Difference, differences
from promise.rollout.machine import waits_for
from promise.rollout.subject import Subject
from promise.settings import Settings
from promise.state.moments import maybe_text, to_text


@dataclass(frozen=True)
class Status:
    """How one name stands, or stood.

    Parameters
    ----------
    at
        The moment that was asked about.
    transition
        The link that was in force then: its route, reason and evidence.
    made_live
        The link that made the live version live; None before the first.
    verified
        Whether the name's whole chain of transitions is unbroken.
    verdicts
        Version to its newest verdicts, or those of the evidence that the transition rested on.
    requests
        What the candidate answered in this stage.
    evidence_until
        Requests are counted up to here; what came later is on its way. None where none came.
    waits_for
        What the rollout waits for; empty where nothing is on its way.
    experiment
        The differences of a lasting experiment, metric by metric.
    gate
        The last gate that any version of the name came to by then.
    history
        The chain up to the transition, oldest first.
    decided
        What was decided lately, where its answers are decisions; None of the past.
    """

    name: str
    at: datetime
    transition: Transition
    made_live: Transition | None
    verified: bool
    verdicts: dict[int, tuple[Verdict, ...]]
    declared: ModelFile
    requests: int = 0
    evidence_until: datetime | None = None
    waits_for: str = ""
    experiment: tuple[Difference, ...] = ()
    gate: Gated | None = None
    history: tuple[Transition, ...] = ()
    decided: Decided | None = None

    @property
    def route(self) -> Route:
        """Who answers, or answered."""
        return self.transition.route

    def to_json(self) -> dict[str, Any]:
        """Return what `promise status --json` prints of a name."""
        made = self.made_live
        return {
            "name": self.name,
            "at": to_text(self.at),
            "live": self.route.live,
            "live_since": None if made is None else to_text(made.at),
            "live_because": None if made is None else made.reason,
            "stage": self.route.stage,
            "share": self.route.share / BUCKETS,
            "candidate": self.route.candidate,
            "standby": self.route.standby,
            "held": self.route.held,
            "owed": {key: to_text(end) for key, end in self.route.owed.items()},
            "experiment": {str(v): n / BUCKETS for v, n in self.route.experiment.items()},
            "differences": [each.to_json() for each in self.experiment],
            "requests": self.requests,
            "evidence_until": maybe_text(self.evidence_until),
            "waits_for": self.waits_for,
            "verdicts": {str(v): [x.to_json() for x in e] for v, e in self.verdicts.items()},
            "decisions": None if self.decided is None else self.decided.to_json(),
            "gate": None if self.gate is None else self.gate.to_json(),
            "transition": self.transition.to_json(),
            "verified": self.verified,
        }


def status(
    name: str,
    at: datetime | str | None = None,
    *,
    settings: Settings | None = None,
    clock: Clock | None = None,
) -> Status:
    """Say what is live for a name and why, now or at a moment before.

    Parameters
    ----------
    at
        A moment, or text that `promise.records.moments.moment_of` reads: `2026-11-21 10:00` (UTC
        where no zone is given), `13:40`, `yesterday`, `2h ago`.

    Raises
    ------
    DataError
        When the name was never deployed, or not yet at that moment.
    """
    with Desk.reading(settings, clock) as desk:
        moment = desk.clock.now() if at is None else moment_of(at, desk.clock.now())
        link = desk.lifecycle.at(name, moment)
        if link is None or link.route.live is None:
            raise DataError(_not_live(desk, name, moment))
        found = _status(desk, link, moment, past=at is not None)
        return found if at is not None else replace(found, decided=_decided(desk, found))


def _not_live(desk: Desk, name: str, moment: datetime) -> str:
    version = desk.registry.find(name)
    first = next((each for each in desk.lifecycle.history(name) if each.route.live), None)
    if first is None:
        return f"{name} was never deployed; run `promise deploy {version}`."
    return (
        f"{name} was not live at {moment:%Y-%m-%d %H:%M:%S} UTC; it went live first at "
        f"{first.at:%Y-%m-%d %H:%M:%S}."
    )


def statuses(*, settings: Settings | None = None, clock: Clock | None = None) -> list[Status]:
    """Say how every name stands that was ever deployed, by name."""
    with Desk.reading(settings, clock) as desk:
        links = [desk.lifecycle.last(name) for name in desk.lifecycle.routes()]
        now = desk.clock.now()
        return [_status(desk, link, now, past=False) for link in links if link is not None]


def _status(desk: Desk, link: Transition, moment: datetime, *, past: bool) -> Status:
    name, route = link.name, link.route
    history = desk.lifecycle.history(name)
    number = link.evidence.get("revision", route.revision) if past else None
    known = desk.revisions.current(name)
    declared = known.declared
    if number is not None and 0 < number != known.number:
        declared = desk.revisions.get(name, number).declared
    if past:
        verdicts = verdicts_of(link)
    else:
        verdicts = {
            version: tuple(j.verdict for j in desk.verdicts.current(name, version))
            for version in route.loaded
        }
    requests = 0 if past else _requests(desk, route)
    on_candidate = verdicts.get(route.candidate or 0, ())
    kept = kept_before(history, route.candidate or 0)
    look = Look(moment, declared, on_candidate, requests=requests, kept=kept)
    return Status(
        name=name,
        at=moment,
        transition=link,
        made_live=made_live(history, link),
        verified=desk.lifecycle.verify(name) is None,
        verdicts=verdicts,
        declared=declared,
        requests=requests,
        evidence_until=None if past else desk.evidence.counted_until(name),
        waits_for="" if past else waits_for(route, look),
        experiment=() if past else _experiment(desk, route, declared),
        gate=desk.gates.last(name, at=moment),
        history=tuple(history[: link.seq]),
    )


def _experiment(desk: Desk, route: Route, declared: ModelFile) -> tuple[Difference, ...]:
    if not route.experiment:
        return ()
    subjects = {}
    for version in route.loaded:
        with contextlib.suppress(PromiseError):  # such a version is compared by counts alone
            subjects[version] = Subject.of(desk.registry.find(f"{route.name}@{version}"))
    return tuple(differences(desk.evidence, route, declared, subjects))


def _decided(desk: Desk, found: Status) -> Decided | None:
    """Return what the log of this machine tells; nothing where the live version cannot be read."""
    with contextlib.suppress(PromiseError):
        live = desk.registry.find(f"{found.name}@{found.route.live}")
        labels = Labels(desk.database, desk.clock)
        return decided(desk.settings.records, live, labels, now=found.at)
    return None


def _requests(desk: Desk, route: Route) -> int:
    if route.candidate is None:
        return 0
    arm: Arm = "shadow" if route.stage == "shadow" else "canary"
    found = desk.evidence.counts(route.name, route.candidate, arm, route.since)
    return sum(bucket.requests for bucket in found)
