"""From the gate to users and back: `deploy`, `rollback`, `hold` and `resume`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from promise.clock import Clock
from promise.errors import ConfigError, PromiseError
from promise.promises.read import read_model_file
from promise.promises.spec import ModelFile
from promise.registry.lifecycle import Transition
from promise.registry.revisions import Revision
from promise.registry.route import Route
from promise.registry.versions import Version
from promise.rollout.desk import Desk
from promise.rollout.events import Deploy, Experiment, Hold, RollBack
from promise.rollout.gate import Gate, run_gate
from promise.rollout.machine import step
from promise.rollout.table import table_text
from promise.settings import Settings
from promise.state.failpoints import reach


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
    """

    transition: Transition
    gate: Gate | None
    declared: ModelFile


class GateRefused(PromiseError):
    """A version did not pass the gate; carries what the gate found."""

    def __init__(self, version: Version, declared: ModelFile, gate: Gate) -> None:
        super().__init__(
            f"{version} does not pass the gate: {', '.join(gate.blocking)}.\n"
            + table_text(declared, gate.verdicts, gate.blocking)
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
        A `promise.toml`; what it declares is the name's next revision.
    now
        Skip shadow and canary. The gate runs and is recorded all the same, but does not block.
    reason
        Why; needed with `now`, and to loosen a promise.
    gate_seconds
        How long the load test lasts.

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
        return _deploy(desk, reference, config, now, reason, gate_seconds)


def _deploy(
    desk: Desk,
    reference: str,
    config: Path | str | None,
    now: bool,
    reason: str,
    gate_seconds: float,
) -> Deployment:
    version = desk.registry.find(reference)
    revision = _revision(desk, version, config, reason)
    declared, route = revision.declared, desk.lifecycle.route(version.name)
    if route.live == version.number and config is not None:
        return _same_version(desk, route, revision, reason, gate_seconds)
    if route.candidate == version.number and route.held and not now:
        return Deployment(_resumed(desk, version.name, reason), None, declared)
    step(route, _event(desk, version, revision, None, now, reason))  # refuses before the gate runs
    gate = run_gate(version, declared, seconds=gate_seconds)
    if not gate.passed and not now:
        raise GateRefused(version, declared, gate)
    reach("deploy.gated")
    desk.verdicts.record(version.name, version.number, "gate", list(gate.verdicts))
    reach("deploy.recorded")
    event = _event(desk, version, revision, gate, now, reason)
    made = desk.commit(version.name, event, {"gate": {**gate.to_json(), "version": version.number}})
    assert made is not None, "a deployment that is not refused changes the route"
    if made.kind == "promote" and declared.experiment:
        _split(desk, made.route, revision, reason, gate_seconds)
    return Deployment(made, gate, declared)


def rollback(
    name: str,
    *,
    reason: str = "",
    to: int | None = None,
    settings: Settings | None = None,
    clock: Clock | None = None,
) -> Transition:
    """Go back to the version before, at once: drop the candidate, or make the standby live.

    Where the standby was let go already, the last version that was live before is taken.
    """
    with Desk.open(settings, clock) as desk:
        route = desk.lifecycle.route(name)
        if route.live is None:
            desk.registry.find(name)  # an unknown name is told with its near matches
        if to is None and route.candidate is None and route.standby is None:
            to = _live_before(desk.lifecycle.history(name), route.live)
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


def _resumed(desk: Desk, name: str, reason: str) -> Transition:
    made = desk.commit(name, Hold(desk.clock.now(), reason, held=False))
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
    return desk.revisions.declare(version.name, declared, reason=reason)


def _event(
    desk: Desk, version: Version, revision: Revision, gate: Gate | None, now: bool, reason: str
) -> Deploy:
    at = desk.clock.now()
    return Deploy(
        version=version.number,
        plan=revision.declared.rollout,
        revision=revision.number,
        salt=desk.salt(version.name, version.number),
        at=at,
        owed=_owed(revision.declared, gate, at),
        forced=now,
        reason=reason,
    )


def _owed(declared: ModelFile, gate: Gate | None, at: datetime) -> dict[str, datetime]:
    """Return what a version owes that goes live straight from the gate."""
    kept = {v.promise for v in gate.verdicts if v.status == "KEPT"} if gate else set()
    return {
        p.key: at + timedelta(seconds=p.grace_s)
        for p in declared.promises
        if p.due != "gate" or p.key not in kept
    }


def _same_version(
    desk: Desk, route: Route, revision: Revision, reason: str, gate_seconds: float
) -> Deployment:
    """Set the experiment that the declaration asks for; promises were declared already."""
    made = _split(desk, route, revision, reason, gate_seconds)
    last = made or desk.lifecycle.last(route.name)
    assert last is not None, "a live name has a transition"
    return Deployment(last, None, revision.declared)


def _split(
    desk: Desk, route: Route, revision: Revision, reason: str, gate_seconds: float
) -> Transition | None:
    """Split traffic between versions that exist and pass the gate."""
    declared, name = revision.declared, route.name
    at, salt = desk.clock.now(), desk.salt(name, revision.number)
    event = Experiment(at, dict(declared.experiment), salt, reason)
    if step(route, event) is None:
        return None
    gates = {}
    for number in declared.experiment:
        version = desk.registry.find(f"{name}@{number}")
        if number in (route.live, *route.experiment):
            continue
        gate = run_gate(version, declared, seconds=gate_seconds)
        if not gate.passed:
            raise GateRefused(version, declared, gate)
        desk.verdicts.record(name, number, "gate", list(gate.verdicts))
        gates[str(number)] = gate.to_json()
    return desk.commit(name, event, {"gates": gates})


def _live_before(history: list[Transition], live: int | None) -> int | None:
    found = [link.route.live for link in history if link.route.live not in (None, live)]
    return found[-1] if found else None
