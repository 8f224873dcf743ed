"""What a worker serves at this moment: one immutable snapshot, replaced as a whole."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace

import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.data.schema import Schema
from promise.errors import PromiseError
from promise.pipeline.order import lists_workload
from promise.promises.measures import latency_targets
from promise.registry.keys import Keys
from promise.registry.lifecycle import Lifecycle, Route
from promise.registry.registry import Registry
from promise.registry.revisions import Revisions
from promise.registry.versions import Version
from promise.serving.endpoints import Endpoint, Snapshot
from promise.serving.intake import Intake
from promise.serving.last_known import Known, read_known, write_known
from promise.serving.shelf import Shelf
from promise.settings import Settings
from promise.state.database import Database

_LOG = logging.getLogger(__name__)
_AWAY = (sa.exc.SQLAlchemyError, PromiseError, OSError)
"""What a database that is away, locked or replaced raises."""


class Runtime:
    """Follows the database's epoch in a thread; keeps the last known good when it is away.

    Versions are loaded in a second thread, so that a rollback never waits for a download. A route
    is published only when each version that it names is loaded or has failed to load; until then
    the model's former endpoint answers.

    Parameters
    ----------
    clock, database
        Of this installation, unless given.
    row_limit
        Most rows of one batch, for the request codecs.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        poll_s: float = 0.25,
        clock: Clock | None = None,
        database: Database | None = None,
        row_limit: int = 10_000,
    ) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self._poll_s = poll_s
        self._row_limit = row_limit
        self._database = database or Database(settings.database)
        self._lifecycle = Lifecycle(self._database, self.clock)
        self._registry = replace(Registry.open(settings), database=self._database)
        self._snapshot = Snapshot(-1, {}, {})
        self._known = Known()
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._shelf = Shelf(self._registry, self.clock, self._wake.set)
        self._thread = threading.Thread(target=self._follow, name="promise-follow", daemon=True)
        self._looked = False
        self._answered_s = self.clock.monotonic()
        self._stale = False
        self._endings: dict[str, tuple[object, ...]] = {}

    @property
    def snapshot(self) -> Snapshot:
        """What is served now; a request takes it once and keeps it."""
        return self._snapshot

    @property
    def ready(self) -> bool:
        """Whether every live version is loaded, or something answers where one cannot be.

        Before routes were read once, from the database or as they were known last, nobody knows.
        """
        now = self._snapshot
        return now.epoch >= 0 and all(e.settled for e in now.endpoints.values())

    @property
    def stale_s(self) -> float:
        """Seconds since the database last answered; 0 while it does."""
        return self.clock.monotonic() - self._answered_s if self._stale else 0.0

    def start(self) -> None:
        """Begin to load what is live, and follow changes; returns at once."""
        self._shelf.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop following."""
        self._stopping.set()
        self._wake.set()
        self._shelf.stop()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)
        self._database.close()

    def registered(self) -> list[str]:
        """Return the names that have a version, deployed or not; asks the database."""
        return sorted({version.name for version in self._registry.versions()})

    def _follow(self) -> None:
        stumbled = ""
        while not self._stopping.is_set():
            try:
                self.look()
                stumbled = ""
            except Exception as error:  # who no longer follows would never hear of a rollback
                if stumbled != repr(error):
                    _LOG.exception("routes could not be taken in; serving what was known last")
                stumbled = repr(error)
            self._wake.wait(self._poll_s)
            self._wake.clear()

    def look(self) -> None:
        """Read the database once, take in what was loaded, and publish what follows."""
        changed = not self._looked
        try:
            epoch = self._lifecycle.epoch()
            if epoch != self._known.epoch:
                self._take(self._read(epoch))
                changed = True
            self._answered_s, self._stale = self.clock.monotonic(), False
        except _AWAY as error:
            if not self._stale:
                _LOG.warning("the database is away; serving what was known last: %s", error)
            self._stale = True
            if self._known.epoch < 0:
                self._known = read_known(self.settings.run / "routes.json")
                changed = True
        changed |= self._shelf.collect()
        if changed or self.clock.monotonic() >= self._shelf.next_try_s:
            self._publish()
        self._looked = True

    def _read(self, epoch: int) -> Known:
        """Read every route with its versions, targets and keys."""
        routes = self._lifecycle.routes()
        gone = sorted(self._known.routes.keys() - routes.keys())
        if gone:  # chains are append-only: names do not vanish, so this is another database
            raise PromiseError(f"the database no longer knows {', '.join(gone)}")
        versions, targets = {}, {}
        revisions = Revisions(self._database, self.clock)
        for name, route in routes.items():
            for number in route.loaded:
                versions[f"{name}@{number}"] = self._version(name, number)
            targets[name] = latency_targets(revisions.current(name).declared.promises)
        return Known(epoch, routes, versions, targets, Keys(self._database, self.clock).valid())

    def _version(self, name: str, number: int) -> Version:
        """Return a version's row; it never changes, so it is read once."""
        kept = self._known.versions.get(f"{name}@{number}")
        return kept if kept is not None else self._registry.get(f"{name}@{number}")

    def _take(self, known: Known) -> None:
        self._known = known
        try:
            write_known(self.settings.run / "routes.json", known)
        except (PromiseError, OSError) as error:
            _LOG.warning("the last known routes could not be kept on disk: %s", error)

    def _publish(self) -> None:
        """Swap the snapshot where any endpoint, the epoch or the keys changed."""
        endpoints = {name: self._endpoint(name) for name in self._known.routes}
        now = self._snapshot
        same = now.endpoints.keys() == endpoints.keys() and all(
            endpoints[name] is now.endpoints[name] for name in endpoints
        )
        if not same or now.epoch != self._known.epoch:
            self._snapshot = Snapshot(self._known.epoch, endpoints, self._known.keys)
            self._drop_unnamed()

    def _endpoint(self, name: str) -> Endpoint:
        """Return the endpoint of a name: the one that stands, or its successor once complete."""
        route, shelf, now = self._known.routes[name], self._shelf, self._snapshot.endpoints
        shelf.order(self._known.versions[f"{name}@{number}"] for number in route.loaded)
        keys = [(name, number) for number in route.loaded]
        if any(key not in shelf.loaded and key not in shelf.failed for key in keys):
            return now.get(name) or Endpoint(
                name, route, {}, loading=True, workload=self._workload(name), noun=self._noun(name)
            )
        versions = {key[1]: shelf.loaded[key] for key in keys if key in shelf.loaded}
        failed = {n: shelf.failed[name, n].reason for n in route.loaded if n not in versions}
        targets = self._known.targets.get(name, ())
        ending = (route, tuple(map(id, versions.values())), tuple(failed.items()), targets)
        if self._endings.get(name) == ending and name in now:
            return now[name]
        self._endings[name] = ending
        left = (shelf.failed[name, number].remains for number in failed)
        heuristics = [one.heuristic for one in (*versions.values(), *left) if one is not None]
        return Endpoint(
            name=name,
            route=route,
            versions=versions,
            intake=self._intake(name, route, now.get(name)),
            heuristic=next((one for one in heuristics if one is not None), None),
            targets=targets,
            failed=failed or None,
            workload=self._workload(name),
            noun=self._noun(name),
        )

    def _workload(self, name: str) -> str:
        """Return what the versions of a name are for; empty where none is named."""
        loaded = self._known.routes[name].loaded
        return self._known.versions[f"{name}@{loaded[0]}"].workload if loaded else ""

    def _noun(self, name: str) -> str:
        lists = lists_workload(self._workload(name))
        return "" if lists is None else lists.noun

    def _intake(self, name: str, route: Route, before: Endpoint | None) -> Intake | None:
        """Return what reads requests: led by the live version, or by who may answer for it.

        None for a model that answers with lists.
        """
        if self._noun(name):
            return None
        schemas = dict(self._schemas(name, route))
        order = (route.live, route.standby, *route.loaded)
        lead = next((number for number in order if number in schemas), None)
        if lead is None:
            return None
        trained = (self._known.versions[f"{name}@{number}"] for number in route.loaded)
        ignored = tuple(dict.fromkeys(field for one in trained for field in table_fields(one)))
        now = None if before is None else before.intake
        if now is not None and now.reads(schemas, lead, ignored):
            return now
        return Intake(schemas, lead, row_limit=self._row_limit, ignored=ignored)

    def _schemas(self, name: str, route: Route) -> Iterator[tuple[int, Schema]]:
        """Yield what a request of each version holds, as far as its files tell."""
        for number in route.loaded:
            loaded = self._shelf.loaded.get((name, number))
            failure = self._shelf.failed.get((name, number))
            if loaded is not None:
                yield number, loaded.schema
            elif failure is not None and failure.remains is not None:
                yield number, failure.remains.schema

    def _drop_unnamed(self) -> None:
        """Let go of versions that no route, published or wanted, names."""
        endpoints = self._snapshot.endpoints
        named = {name: set(route.loaded) for name, route in self._known.routes.items()}
        for name, endpoint in endpoints.items():
            named.setdefault(name, set()).update(endpoint.route.loaded)
        self._shelf.keep(named)


def table_fields(version: Version) -> list[str]:
    """Return the columns of the table that a version was trained on, read by its model or not."""
    kept = version.lineage.get("schema")
    return [str(field["name"]) for field in kept] if isinstance(kept, list) else []
