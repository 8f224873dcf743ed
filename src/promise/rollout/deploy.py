"""From the gate to users and back: `deploy`, `rollback`, `hold` and `resume`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from promise.clock import Clock
from promise.errors import ConfigError, PromiseError
from promise.pipeline.order import workload_named
from promise.promises.lint import Advice
from promise.promises.read import read_model_file
from promise.promises.spec import ModelFile, Promise
from promise.registry.lifecycle import Transition
from promise.registry.revisions import Revision, loosened
from promise.registry.route import Route
from promise.registry.versions import Version
from promise.rollout.advice import advice
from promise.rollout.chain import live_before
from promise.rollout.desk import Desk
from promise.rollout.events import Deploy, Experiment, Hold, RollBack
from promise.rollout.gate import Gate, run_gate
from promise.rollout.machine import step
from promise.rollout.measures import evidence_of
from promise.rollout.table import table_text
from promise.settings import Settings
from promise.state.failpoints import reach

OnGate = Callable[[Version], None]


@dataclass(frozen=True)
class Deployment:
    """What a deployment did.

    Parameters
    ----------
    transition
        The link that was added to the name's chain.
    gate
        What the gate found; None where nothing new had to pass it.
    declared
        The promises that the gate judged.
    advice
        Promises that take long to judge at the traffic and the labels that the name has.
    """

    transition: Transition
    gate: Gate | None
    declared: ModelFile
    advice: tuple[Advice, ...] = ()


class GateRefused(PromiseError):
    """A version did not pass the gate; carries what the gate found."""

    def __init__(self, version: Version, declared: ModelFile, gate: Gate) -> None:
        failed = str(gate.evidence.get("load", {}).get("failed", "")).rstrip(".")
        super().__init__(
            f"{version} does not pass the gate: {', '.join(gate.blocking)}.\n"
            + table_text(declared, gate.verdicts, gate.blocking)
            + (f"\nThere was no load test: {failed}." if failed else "")
            + "\nTrain a better version, or deploy it all the same with --now --reason R."
        )
        self.gate = gate
        self.declared = declared


def deploy(
    reference: str,
    *,
    config: Path | str | None = None,
    now: bool = False,
    reason: str = "",
    settings: Settings | None = None,
    clock: Clock | None = None,
    gate_seconds: float = 3.0,
    on_gate: OnGate | None = None,
) -> Deployment:
    """Bring a version to users: gate, shadow, canary shares, bake, live.

    A name's first version is live as soon as it passes the gate. Deploying the candidate of a
    held rollout again resumes it. Deploying the live version again with a `promise.toml` declares
    its promises and sets the experiment that it asks for.

    Parameters
    ----------
    reference
        `NAME@V`, or `NAME` for its newest version.
    config
        A `promise.toml`; what it declares is the name's next revision, kept together with the
        transition: a deployment that is refused leaves the promises as they were.
    now
        Skip shadow and canary. The gate runs and is recorded all the same, but does not block.
    reason
        Why; needed with `now`, and to loosen a promise: then it is kept with the promises.
    gate_seconds
        How long the load test lasts.
    on_gate
        Told of each version before its gate runs.

    Raises
    ------
    GateRefused
        When a promise that is due at the gate is not KEPT; carries the table.
    ConfigError
        When what was asked for cannot be, in words.
    """
    if now and not reason:
        raise ConfigError("--now skips the rollout; say why with --reason R, it is recorded.")
    with Desk.open(settings, clock) as desk:
        version = desk.registry.find(reference)
        revision = _revision(desk, version, config, reason)
        if not now and _loosens(desk, revision):
            reason = ""  # it says why the promises were loosened, not why the version is deployed
        return _Deploying(desk, revision, reason, gate_seconds, on_gate).run(
            version, now=now, declares=config is not None
        )


@dataclass(frozen=True)
class _Deploying:
    """One deployment, by promises that are kept as soon as it is accepted, and not before."""

    desk: Desk
    revision: Revision
    reason: str
    gate_seconds: float
    on_gate: OnGate | None

    def run(self, version: Version, *, now: bool, declares: bool) -> Deployment:
        """Bring a version on its way; one that is live already gets what is declared anew."""
        desk, declared = self.desk, self.revision.declared
        route = desk.lifecycle.route(version.name)
        if route.live == version.number and declares:
            return self._same_version(route)
        if route.candidate == version.number and route.held and not now:
            resumed = _resumed(desk, version.name, self.reason, self.revision)
            return Deployment(resumed, None, declared)
        step(route, self._event(version, None, now))  # refuses before the gate runs
        gate = self._gated(version)
        if not gate.passed and not now:
            raise GateRefused(version, declared, gate)
        reach("deploy.gated")
        desk.verdicts.record(version.name, version.number, "gate", list(gate.verdicts))
        reach("deploy.recorded")
        found: dict[str, object] = {"gate": {**gate.to_json(), "version": version.number}}
        event = self._event(version, gate, now)
        made = desk.commit(version.name, event, found, self.revision)
        assert made is not None, "a deployment that is not refused changes the route"
        if made.kind == "promote" and declared.experiment:
            self._split(made.route)
        told = advice(desk.database, version, declared, gate, desk.clock.now())
        return Deployment(made, gate, declared, told)

    def _gated(self, version: Version) -> Gate:
        """Run the gate and keep what it found, whatever follows."""
        if self.on_gate is not None:
            self.on_gate(version)
        gate = run_gate(version, self.revision.declared, seconds=self.gate_seconds)
        self.desk.gates.record(version.name, version.number, gate.passed, gate.to_json())
        return gate

    def _event(self, version: Version, gate: Gate | None, now: bool) -> Deploy:
        at = self.desk.clock.now()
        return Deploy(
            version=version.number,
            plan=self.revision.declared.rollout,
            revision=self.revision.number,
            salt=self.desk.salt(version.name, version.number),
            at=at,
            owed=_owed(self.revision.declared, gate, at),
            forced=now,
            reason=self.reason,
        )

    def _same_version(self, route: Route) -> Deployment:
        """Declare the promises, and set the experiment that the declaration asks for."""
        last = self._split(route) or self.desk.lifecycle.last(route.name)
        assert last is not None, "a live name has a transition"
        return Deployment(last, None, self.revision.declared)

    def _split(self, route: Route) -> Transition | None:
        """Split traffic between versions that exist and pass the gate."""
        desk, declared, name = self.desk, self.revision.declared, route.name
        at, salt = desk.clock.now(), desk.salt(name, self.revision.number)
        event = Experiment(at, dict(declared.experiment), salt, self.reason)
        if step(route, event) is None:
            return desk.commit(name, event, revision=self.revision)
        gates = {}
        for number in declared.experiment:
            version = desk.registry.find(f"{name}@{number}")
            if number in (route.live, *route.experiment):
                continue
            gate = self._gated(version)
            if not gate.passed:
                raise GateRefused(version, declared, gate)
            desk.verdicts.record(name, number, "gate", list(gate.verdicts))
            gates[str(number)] = gate.to_json()
        return desk.commit(name, event, {"gates": gates}, self.revision)


def rollback(
    name: str,
    *,
    reason: str = "",
    to: int | None = None,
    settings: Settings | None = None,
    clock: Clock | None = None,
) -> Transition:
    """Go back to the version before, at once: drop the candidate, or make the standby live.

    Where the standby was let go already, the last version that was live before is taken, unless a
    broken promise took it out. A lasting experiment ends with it; of a name's first version that is
    all that there is to take back.
    """
    with Desk.open(settings, clock) as desk:
        route = desk.lifecycle.route(name)
        if route.live is None:
            desk.registry.find(name)  # an unknown name is told with its near matches
        if to is None and route.candidate is None and route.standby is None:
            to = live_before(desk.lifecycle.history(name), route.live)
        if to is not None:
            desk.registry.find(f"{name}@{to}")
        made = desk.commit(name, RollBack(desk.clock.now(), reason or "no reason was given", to))
    assert made is not None, "a rollback that is not refused changes the route"
    return made


def hold(
    name: str, *, reason: str, settings: Settings | None = None, clock: Clock | None = None
) -> Transition | None:
    """Keep a rollout where it is until `resume`; a breach still rolls it back."""
    with Desk.open(settings, clock) as desk:
        return desk.commit(name, Hold(desk.clock.now(), reason))


def resume(
    name: str, *, reason: str = "", settings: Settings | None = None, clock: Clock | None = None
) -> Transition:
    """Let a held rollout go on, judged on evidence from now on."""
    with Desk.open(settings, clock) as desk:
        return _resumed(desk, name, reason)


def _resumed(desk: Desk, name: str, reason: str, revision: Revision | None = None) -> Transition:
    event = Hold(desk.clock.now(), reason, held=False)
    made = desk.commit(name, event, revision=revision)
    if made is None:
        raise ConfigError(f"{name} is not held; there is nothing to resume.")
    return made


def _revision(desk: Desk, version: Version, config: Path | str | None, reason: str) -> Revision:
    if config is None:
        return desk.revisions.current(version.name)
    declared = read_model_file(Path(config))
    for what, said, known in (
        ("name", declared.name, version.name),
        ("workload", declared.workload, version.workload),
    ):
        if said is not None and said != known:
            raise ConfigError(f"{config} says {what} = {said!r}, but {version} has {known!r}.")
    if not any(evidence_of(promise) == "metric" for promise in declared.promises):
        declared = replace(declared, promises=(*declared.promises, *_quality_of(version.workload)))
    return desk.revisions.proposed(version.name, declared, reason=reason)


def _quality_of(workload: str) -> tuple[Promise, ...]:
    """Return how good a workload's models must be where a declaration says nothing of it."""
    with contextlib.suppress(PromiseError):
        own = workload_named(workload).promised
        return tuple(promise for promise in own if evidence_of(promise) == "metric")
    return ()


def _loosens(desk: Desk, revision: Revision) -> bool:
    before = desk.revisions.current(revision.name)
    return before.number > 0 and bool(loosened(before.declared, revision.declared))


def _owed(declared: ModelFile, gate: Gate | None, at: datetime) -> dict[str, datetime]:
    """Return what a version owes that goes live straight from the gate."""
    kept = {v.promise for v in gate.verdicts if v.status == "KEPT"} if gate else set()
    return {
        p.key: at + timedelta(seconds=p.grace_s)
        for p in declared.promises
        if p.due != "gate" or p.key not in kept
    }
