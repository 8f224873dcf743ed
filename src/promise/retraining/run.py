"""One retraining from its reason to its record: gather, train, compare, deploy."""

from __future__ import annotations

import logging
import os
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import sqlalchemy as sa

from promise.clock import Clock, SteadyClock
from promise.errors import DataError, PromiseError
from promise.pipeline.artifact import load_pipeline
from promise.pipeline.order import lists_workload
from promise.records.labels import Labels
from promise.registry.registry import Registry
from promise.registry.versions import Version
from promise.retraining.base import base_of
from promise.retraining.choice import choose
from promise.retraining.facts import BY_HAND, FactReader, named
from promise.retraining.gather import Gathered, gather, gathered_in
from promise.retraining.isolated import Bounds, Errand, train_apart
from promise.retraining.lease import Hold, LeaseLost, lease_key
from promise.retraining.lists import GatheredEvents, events_in, gather_events
from promise.retraining.runs import Run, State
from promise.retraining.triggers import Due, due
from promise.rollout.deploy import GateRefused, deploy
from promise.rollout.leases import Leases
from promise.settings import Settings
from promise.state.failpoints import reach

log = logging.getLogger(__name__)

GATE_TRIES = 6
"""So often a version comes to a gate whose load test does not end; then it is too slow."""

_KEPT_FOLDERS = 2  # of runs whose version is on no route: it may be deployed by hand yet


@dataclass
class Retraining:
    """Trains names again, one run of a name at a time over all machines.

    Parameters
    ----------
    bounds
        What a training may take of this machine.
    tell
        Hears what is going on.
    lease_s
        How long the lease outlives this process.
    """

    settings: Settings
    clock: Clock = field(default_factory=SteadyClock)
    bounds: Bounds = field(default_factory=Bounds)
    tell: Callable[[str], None] = lambda _: None
    gate_seconds: float = 3.0
    lease_s: float = 30.0

    def __post_init__(self) -> None:
        self.clock = SteadyClock.over(self.clock)
        self.registry = replace(Registry.open(self.settings), clock=self.clock)
        self.facts = FactReader(self.registry, self.clock)
        self.leases = Leases(self.registry.database, self.clock)
        self.holder = f"{socket.gethostname()}-{os.getpid()}-{id(self):x}"

    def close(self) -> None:
        """Close the database."""
        self.registry.database.close()

    def run(self, name: str) -> Run | None:
        """Do what is due for a name; None where nothing is, or another machine does it.

        A run that was killed before is settled first: a version that it registered is judged now,
        else it is on record as interrupted.
        """
        named(self.registry, name)
        if not self.leases.take(lease_key(name), self.holder, self.lease_s):
            return None
        with Hold(self.leases, name, self.holder, self.lease_s) as hold:
            settled = self._settle(name, hold)
            if settled is not None:
                return settled
            facts = self.facts.read(name)
            asked = due(facts)
            if asked is None:
                return None
            waiting = facts.waiting if facts.asked is None else None
            return self._carry_out(name, asked, hold, waiting)

    def _settle(self, name: str, hold: Hold) -> Run | None:
        """End the record of a run whose process is gone; go on with what it had registered."""
        for run in self.facts.runs.of(name):
            if run.state == "running":
                settled = self._settled(run, hold)
                if settled.state != "interrupted":
                    return settled
        return None

    def _settled(self, run: Run, hold: Hold) -> Run:
        version = self._made_by(run)
        if version is None:
            sentence = "the process ended in the middle; nothing was registered"
            return self.facts.runs.end(run, "interrupted", sentence)
        route = self.registry.lifecycle.route(run.name)
        if route.role(version.number) is not None:
            sentence = f"{version} is {route.role(version.number)}"
            return self._ended(run, "deployed", sentence, version=version.number)
        gathered = _gathered(version, self._folder(run))
        if route.live != run.live or route.candidate is not None or gathered is None:
            sentence = f"{version} was registered, but the route changed meanwhile"
            return self._ended(run, "kept", sentence, version=version.number)
        live = self.registry.find(f"{run.name}@{run.live}")
        return self._told(run, lambda: self._judge(run, gathered, version, live, hold))

    def _made_by(self, run: Run) -> Version | None:
        for version in reversed(self.registry.versions(run.name)):
            if _run_of(version) == run.number:
                return self.registry.fetch(version)
        return None

    def _carry_out(self, name: str, asked: Due, hold: Hold, waiting: Run | None) -> Run:
        """Train and judge; a version that waits for its gate is judged, not trained again."""
        live = self.registry.find(f"{name}@live")
        made = None if waiting is None else self._made_before(waiting)
        known = self.facts.last_number(live)
        if waiting is not None and made is not None:
            known = waiting.label_number
        run = self.facts.runs.begin(
            name, asked.kind, asked.reason, live=live.number, label_number=known
        )
        self.tell(f"{run}: {run.reason}")
        reach("retraining.begun")
        if made is None:
            return self._told(run, lambda: self._train(run, live, hold))
        return self._told(run, lambda: self._judge(run, made[1], made[0], live, hold))

    def _made_before(self, run: Run) -> tuple[Version, Gathered | GatheredEvents] | None:
        """Return the version of a run and what it was made of; None where that is gone."""
        with suppress(PromiseError):  # it may have been retired since
            version = self.registry.find(f"{run.name}@{run.version}")
            gathered = _gathered(version, self._made_in(version))
            return None if gathered is None else (version, gathered)
        return None

    def _told(self, run: Run, work: Callable[[], Run]) -> Run:
        """Do the work of a run; what it cannot do is on record in words."""
        try:
            ended = work()
        except LeaseLost:
            raise  # the record belongs to whoever holds the lease now
        except (PromiseError, OSError, sa.exc.SQLAlchemyError) as error:
            log.warning("a retraining failed", extra={"model": run.name, "error": str(error)})
            ended = self._ended(run, "failed", str(error))
        self.tell(f"{ended}: {ended.state}: {ended.sentence}")
        self._tidy(run.name)
        return ended

    def _train(self, run: Run, live: Version, hold: Hold) -> Run:
        gathered = self._gather(run, live)
        hold.check()
        reach("retraining.gathered")
        self.tell(f"{run}: training on {gathered.n_rows:,} {gathered.unit}")
        bounds = self.bounds.filled()
        assert bounds.threads is not None, "filled bounds have both"
        assert bounds.memory_mb is not None, "filled bounds have both"
        number = train_apart(
            Errand(
                self.settings, live, gathered, run.number, self.holder, bounds.threads,
                bounds.memory_mb,
            ),
            hold.check,
        )  # fmt: skip
        reach("retraining.trained")
        return self._judge(run, gathered, self.registry.find(f"{run.name}@{number}"), live, hold)

    def _gather(self, run: Run, live: Version) -> Gathered | GatheredEvents:
        folder = self._folder(run)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if lists_workload(live.workload) is not None:
            return gather_events(live, self.registry.database, folder)
        pipeline = load_pipeline(live.folder)
        return gather(
            live,
            pipeline,
            base_of(live, pipeline, self._made_in(live)),
            Labels(self.registry.database, self.clock),
            records=self.settings.records,
            folder=folder,
            as_of=run.started,
        )

    def _judge(
        self,
        run: Run,
        gathered: Gathered | GatheredEvents,
        version: Version,
        live: Version,
        hold: Hold,
    ) -> Run:
        """Compare on rows of which neither learned, and bring the better one on its way."""
        facts: dict[str, object] = {
            "version": version.number,
            "n_rows": gathered.n_rows,
            "n_logged": gathered.n_logged,
            "n_judged": gathered.n_judged,
        }
        try:
            found = gathered.compare(version, live, self.registry.database)
        except DataError as error:
            told = f"{version} cannot be compared: {error} {live} stays."
            return self._ended(run, "kept", told, **facts)
        choice = choose(found, str(version), str(live), lenient=Due(run.kind, run.reason).lenient)
        facts["comparison"] = found.to_json()
        told = f"{choice.sentence} ({'; '.join(gathered.notes)})"
        reach("retraining.compared")
        hold.check()
        if not choice.goes:
            return self._ended(run, "kept", told, **facts)
        try:
            reason = f"retrained, since {run.reason}"
            deploy(
                str(version), reason=reason, settings=self.settings, clock=self.clock,
                gate_seconds=self.gate_seconds,
            )  # fmt: skip
        except PromiseError as error:  # the gate's no, or a route that cannot take it now
            tries = sum(each.version == version.number for each in self.facts.runs.of(run.name))
            open_yet = isinstance(error, GateRefused) and error.gate.undecided
            waits = open_yet and tries + 1 < GATE_TRIES
            state: State = "failed" if waits else "refused"
            if waits:
                told += f" {version} waits for a machine with room: its gate is tried again."
            return self._ended(run, state, f"{told} {error}", **facts)
        reach("retraining.deployed")
        return self._ended(run, "deployed", told, **facts)

    def _ended(self, run: Run, state: State, sentence: str, **facts: object) -> Run:
        """Close the record, and strike out the word of a person that was among its reasons."""
        ended = self.facts.runs.end(run, state, sentence, **facts)
        for wish in self.facts.wishes.open():
            if (wish.name, wish.what) == (run.name, BY_HAND) and wish.reason in run.reason:
                self.facts.wishes.fulfil(run.name, BY_HAND)
        return ended

    def _home(self, name: str) -> Path:
        return self.settings.home.absolute() / "retraining" / name

    def _folder(self, run: Run) -> Path:
        return self._home(run.name) / f"run-{run.number:06d}"

    def _made_in(self, version: Version) -> Path | None:
        """Return the folder of the run that made a version; None where none did."""
        number = _run_of(version)
        return None if number is None else self._home(version.name) / f"run-{number:06d}"

    def _tidy(self, name: str) -> None:
        """Remove the rows of runs that nobody will ask for any more."""
        loaded = self.registry.lifecycle.route(name).loaded
        # a live version may be older than every run that the record is asked for
        wanted = {self._made_in(self.registry.get(f"{name}@{number}")) for number in loaded}
        made = [run for run in self.facts.runs.of(name) if run.version is not None]
        idle = list(dict.fromkeys(run.version for run in made if run.version not in loaded))
        # several runs may have come to one version: its rows lie in the folder of the first
        wanted |= {self._folder(run) for run in made if run.version in idle[:_KEPT_FOLDERS]}
        home = self._home(name)
        for folder in home.iterdir() if home.is_dir() else ():
            if folder not in wanted:
                shutil.rmtree(folder, ignore_errors=True)


def _gathered(version: Version, folder: Path | None) -> Gathered | GatheredEvents | None:
    """Return what a run gathered for a version; None where that is gone."""
    read = gathered_in if lists_workload(version.workload) is None else events_in
    return None if folder is None else read(folder)


def _run_of(version: Version) -> int | None:
    """Return the number of the run that made a version; None where none did."""
    number: int | None = (version.lineage.get("retraining") or {}).get("run")
    return number


def ask(name: str, reason: str, *, settings: Settings, clock: Clock | None = None) -> bool:
    """Ask for a retraining by hand, which a watch takes up; False where one was asked for already.

    Raises
    ------
    DataError
        When nothing is live for the name.
    """
    registry = replace(Registry.open(settings), clock=SteadyClock.over(clock))
    try:
        named(registry, name)
        reader = FactReader(registry, registry.clock)
        return reader.wishes.make(name, BY_HAND, reason or "asked for by hand")
    finally:
        registry.database.close()
