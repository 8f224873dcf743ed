"""Looks at the evidence again and again, and moves routes; one of them is active at a time."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from promise.clock import Clock, SteadyClock
from promise.errors import PromiseError
from promise.promises.spec import ModelFile
from promise.promises.verdict import Verdict
from promise.records.evidence import EvidenceStore
from promise.registry.lifecycle import Conflict, Lifecycle, Transition
from promise.registry.registry import Registry
from promise.registry.revisions import Revision, Revisions
from promise.registry.route import Route
from promise.registry.verdicts import Verdicts
from promise.rollout.case import Arm, Case
from promise.rollout.chain import kept_before, live_since
from promise.rollout.events import Look
from promise.rollout.judgement import Judgement
from promise.rollout.leases import Leases
from promise.rollout.machine import step
from promise.rollout.upkeep import Upkeep
from promise.rollout.wishes import Wishes
from promise.settings import Settings
from promise.state.database import Database
from promise.state.failpoints import reach

log = logging.getLogger(__name__)

LEASE = "reconciler"
LEASE_S = 10.0
STEADY_S = 10.0
"""A name at rest is looked at so often; one on its way at every look."""

Alert = Callable[[str, int, Verdict, str], None]


@dataclass
class Reconciler:
    """Judges every name once per `look` and commits what follows; safe to kill at any moment.

    Nothing that it keeps in memory is needed after a kill: what it remembers only spares work
    that would give the same again.

    Parameters
    ----------
    clock
        Made steady where it is not: a machine's clock that is moved meanwhile changes nothing.
    alert
        Told of every broken promise; by default the alerts of this installation.
    """

    settings: Settings
    clock: Clock = field(default_factory=SteadyClock)
    alert: Alert | None = None
    observed_every_s: float = 5.0

    def __post_init__(self) -> None:
        self.clock = self._steady = SteadyClock.over(self.clock)
        registry = replace(Registry.open(self.settings), clock=self.clock)
        self.database = registry.database
        self.lifecycle = Lifecycle(self.database, self.clock)
        self.revisions = Revisions(self.database, self.clock)
        self.verdicts = Verdicts(self.database, self.clock)
        self.wishes = Wishes(self.database, self.clock)
        self.leases = Leases(self.database, self.clock)
        self.store = EvidenceStore(self.database, self.clock)
        self.judgement = Judgement(
            self.store,
            registry,
            self.clock,
            self.observed_every_s,
        )
        self.upkeep = Upkeep(registry, self.store, self.clock)
        self.holder = f"{socket.gethostname()}-{os.getpid()}-{id(self):x}"
        self._alert = self.alert or _alerts(self.database, self.clock, self.settings)
        self._stopping = threading.Event()
        self._epoch: int | None = None
        self._routes: dict[str, Route] = {}
        self._revisions: dict[str, Revision] = {}
        self._looked: dict[str, tuple[Route, datetime]] = {}
        self._recorded: dict[tuple[str, int, str], tuple[Verdict, ...]] = {}
        self._chains: dict[str, _Told] = {}

    def look(self) -> list[Transition]:
        """Judge every name once; return the transitions that were committed."""
        self._refresh()
        committed = []
        for name, route in self._routes.items():
            if not self._due(route):
                continue
            try:
                found = self._look_at(name, route)
            except (PromiseError, Conflict) as error:
                # One damaged name must not keep the others from being judged.
                log.warning("look failed", extra={"model": name, "error": str(error)})
                continue
            except sa.exc.SQLAlchemyError:
                raise
            except Exception:  # nor must one that nobody has foreseen
                log.exception("look failed", extra={"model": name})
                continue
            if found is not None:
                committed.append(found)
        return committed

    def tick(self) -> list[Transition]:
        """Look once if the lease can be had, and tend what is due; else do nothing."""
        if not self.leases.take(LEASE, self.holder, LEASE_S):
            return []
        committed = self.look()
        self.upkeep.tend()
        return committed

    def run(self, *, every_s: float = 1.0) -> None:
        """Look until stopped, while holding the lease that keeps others passive.

        A database that is away is told in the log and tried again.
        """
        while not self._stopping.is_set():
            try:
                self.tick()
            except (PromiseError, sa.exc.SQLAlchemyError) as error:
                log.warning("the database cannot be used", extra={"error": str(error)})
            self._stopping.wait(every_s)
        self.close()

    def stop(self) -> None:
        """End `run` after the look that is under way."""
        self._stopping.set()

    def close(self) -> None:
        """Give the lease back and close the database."""
        try:
            self.leases.release(LEASE, self.holder)
        except (PromiseError, sa.exc.SQLAlchemyError) as error:
            log.info("the lease runs out by itself", extra={"error": str(error)})
        self.database.close()

    def _refresh(self) -> None:
        """Read routes and revisions again when the epoch says that something changed."""
        self.store.timeline.keep_up(self._steady)
        epoch = self.lifecycle.epoch()
        if epoch == self._epoch:
            return
        self._routes, self._revisions = self.lifecycle.routes(), {}
        begun = [route.since for route in self._routes.values() if route.since is not None]
        if begun:
            self.store.timeline.mark(max(begun))
            self._steady.not_before(max(begun))
        self._epoch = epoch

    def _due(self, route: Route) -> bool:
        known, at = self._looked.get(route.name, (None, None))
        moving = route.candidate or route.standby or route.owed or route.experiment
        if at is None or known != route or moving:
            return True
        age = self.clock.now() - at
        return not timedelta() <= age < timedelta(seconds=STEADY_S)  # a clock set back is due, too

    def _look_at(self, name: str, route: Route) -> Transition | None:
        known = self._looked.get(name)
        if known is not None and known[0] != route:
            self.judgement.forget(name)
        event, evidence = self._judge(name, route, self._declared(name))
        reach("reconciler.look.judged")
        self._looked[name] = (route, self.clock.now())
        change = step(route, event)
        if change is None:
            return None
        before = self.lifecycle.last(name)
        if before is None or before.route != route:
            self._epoch = None
            raise Conflict(f"{name}: somebody else changed the route; it is judged anew.")
        reach("reconciler.look.decided")
        self._epoch = None
        made = self.lifecycle.commit(
            before, change.kind, change.route, reason=change.reason, evidence=evidence
        )
        log.info("transition", extra={"model": name, "kind": made.kind, "reason": made.reason})
        reach("reconciler.look.committed")
        return made

    def _declared(self, name: str) -> ModelFile:
        if name not in self._revisions:
            self._revisions[name] = self.revisions.current(name)
        return self._revisions[name].declared

    def _judge(self, name: str, route: Route, declared: ModelFile) -> tuple[Look, dict[str, Any]]:
        """Return the event of this look, and the evidence that a transition would keep."""
        assert route.live is not None, "a route that was deployed has a live version"
        live = self._case(route, route.live, "live")
        cases = [live]
        if route.candidate is not None:
            arm: Arm = "shadow" if route.stage == "shadow" else "canary"
            cases.append(self._case(route, route.candidate, arm, stable=live))
        others = [v for v in route.experiment if v != route.live]
        cases += [self._case(route, v, "experiment", stable=live) for v in others]
        judged = {case.version: self.judgement.judge(case, declared) for case in cases}
        for case in cases:
            stage = route.stage if case.version == route.candidate else case.arm
            self._record(case, stage, judged[case.version], declared)
        candidate = route.candidate
        event = Look(
            at=self.clock.now(),
            declared=declared,
            candidate=() if candidate is None else judged[candidate],
            live=judged[route.live],
            requests=0 if candidate is None else cases[1].counted.requests,
            kept=self._told(route).kept,
            experiment={v: judged[v] for v in others},
        )
        evidence = {
            "stage": route.stage,
            "revision": self._revisions[name].number,
            "requests": {str(case.version): case.counted.requests for case in cases},
            "verdicts": {str(v): [each.to_json() for each in judged[v]] for v in judged},
        }
        return event, evidence

    def _case(self, route: Route, version: int, arm: Arm, stable: Case | None = None) -> Case:
        counted = self.judgement.counted(route, version, arm)
        since = self._told(route).live_since if arm == "live" else route.since
        return Case(
            route.name, version, arm, since, counted,
            None if stable is None else stable.counted,
        )  # fmt: skip

    def _record(
        self, case: Case, stage: str, found: tuple[Verdict, ...], declared: ModelFile
    ) -> None:
        """Keep verdicts that are new, tell of broken ones, and wish for what they ask."""
        key = (case.name, case.version, stage)
        known = self._recorded.get(key)
        if known == found:
            return
        self.verdicts.record(case.name, case.version, stage, found)
        reach("reconciler.look.recorded")
        before = {v.promise: v.status for v in known or ()}
        for verdict in found:
            # After a restart it is told again: whoever was killed may not have come to it.
            if before.get(verdict.promise) != verdict.status:
                self._tell(case, stage, verdict, declared)
        self._recorded[key] = found

    def _tell(self, case: Case, stage: str, verdict: Verdict, declared: ModelFile) -> None:
        sentence = _sentence(case, stage, verdict)
        self._alert(case.name, case.version, verdict, sentence)
        asked = {p.key: p.on_break for p in declared.promises}.get(verdict.promise, ())
        if verdict.status == "BROKEN" and "retrain" in asked and stage == "live":
            self.wishes.make(case.name, "retrain", sentence)

    def _told(self, route: Route) -> _Told:
        """Return what the chain tells of a route; read once for each."""
        known = self._chains.get(route.name)
        if known is None or known.route != route:
            history = self.lifecycle.history(route.name)
            kept = frozenset[str]()
            if route.candidate is not None:
                kept = kept_before(history, route.candidate)
            known = self._chains[route.name] = _Told(route, live_since(history, route), kept)
        return known


@dataclass(frozen=True)
class _Told:
    """What the chain tells of a route.

    Parameters
    ----------
    kept
        Promises that were KEPT on the candidate at the gate or in a step.
    """

    route: Route
    live_since: datetime | None
    kept: frozenset[str]


def _sentence(case: Case, stage: str, verdict: Verdict) -> str:
    where = "live" if stage == "live" else f"in {stage}"
    what = verdict.reason or f"{verdict.that} over {verdict.n:,}"
    return f"{case.name}@{case.version} {where}: {verdict.promise} is {verdict.status} ({what})"


def _alerts(database: Database, clock: Clock, settings: Settings) -> Alert:
    from promise.monitoring.alerts import raise_alert

    def tell(name: str, version: int, verdict: Verdict, text: str) -> None:
        raise_alert(database, clock, settings, name, version, verdict, text)

    return tell
