"""What a worker serves at this moment: one immutable snapshot, replaced as a whole."""

from __future__ import annotations

import gc
import logging
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from promise.clock import Clock, SystemClock
from promise.errors import PromiseError
from promise.registry.keys import Key, Keys
from promise.registry.lifecycle import Lifecycle, Route
from promise.registry.registry import Registry
from promise.registry.revisions import Revisions
from promise.registry.versions import Version
from promise.serving.last_known import Known, read_known, write_known
from promise.serving.loading import LastResort, Loaded, last_resort, load_version
from promise.settings import Settings
from promise.state.database import Database

__all__ = ["Endpoint", "Loaded", "Runtime", "Snapshot"]

_LOG = logging.getLogger(__name__)
_AWAY = (sa.exc.SQLAlchemyError, PromiseError, OSError)
"""What a database that is away, locked or replaced raises."""

_RETRY_S = 5.0
_RETRY_AT_MOST_S = 60.0


@dataclass(frozen=True)
class Endpoint:
    """One model's route with its loaded versions.

    Parameters
    ----------
    targets
        Latency promises in milliseconds, counted exactly.
    failed
        Versions that could not be loaded, with the reason.
    loading
        Whether its versions are being loaded for the first time.
    last_resort
        What can be answered where no version could be loaded.
    """

    name: str
    route: Route
    versions: Mapping[int, Loaded]
    targets: tuple[float, ...] = ()
    failed: Mapping[int, str] | None = None
    loading: bool = False
    last_resort: LastResort | None = None

    @property
    def settled(self) -> bool:
        """Whether the live version is loaded, or something else answers in its place."""
        live = self.route.live
        if live is None or live in self.versions:
            return True
        return not self.loading and (bool(self.versions) or self.last_resort is not None)


@dataclass(frozen=True)
class Snapshot:
    """Everything that a request reads, of one moment."""

    epoch: int
    endpoints: Mapping[str, Endpoint]
    keys: Mapping[bytes, Key]


@dataclass
class _Failure:
    reason: str
    again_s: float
    wait_s: float = _RETRY_S


@dataclass
class _Shelf:
    """Versions by (name, number): loaded, failed, on their way."""

    loaded: dict[tuple[str, int], Loaded] = field(default_factory=dict)
    failed: dict[tuple[str, int], _Failure] = field(default_factory=dict)
    pending: set[tuple[str, int]] = field(default_factory=set)


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
        self._shelf = _Shelf()
        self._orders: queue.SimpleQueue[Version | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Version, Loaded | str]] = queue.SimpleQueue()
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
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
        """Whether every live version is loaded, or something answers where one cannot be."""
        return self._looked and all(e.settled for e in self._snapshot.endpoints.values())

    @property
    def stale_s(self) -> float:
        """Seconds since the database last answered; 0 while it does."""
        return self.clock.monotonic() - self._answered_s if self._stale else 0.0

    def start(self) -> None:
        """Begin to load what is live, and follow changes; returns at once."""
        for work in (self._follow, self._load):
            thread = threading.Thread(target=work, name=f"promise{work.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop following."""
        self._stopping.set()
        self._wake.set()
        self._orders.put(None)
        for thread in self._threads:
            thread.join(timeout=5.0)
        self._threads.clear()
        self._database.close()

    def registered(self) -> list[str]:
        """Return the names that have a version, deployed or not; asks the database."""
        return sorted({version.name for version in self._registry.versions()})

    def _follow(self) -> None:
        while not self._stopping.is_set():
            self.look()
            self._wake.wait(self._poll_s)
            self._wake.clear()

    def look(self) -> None:
        """Read the database once, take in what was loaded, and publish what follows."""
        try:
            epoch = self._lifecycle.epoch()
            if epoch != self._known.epoch:
                self._take(self._read(epoch))
            self._answered_s, self._stale = self.clock.monotonic(), False
        except _AWAY as error:
            if not self._stale:
                _LOG.warning("the database is away; serving what was known last: %s", error)
            self._stale = True
            if self._known.epoch < 0:
                self._known = read_known(self.settings.run / "routes.json")
        self._collect()
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
            promises = revisions.current(name).declared.promises
            bounds = {p.at_most for p in promises if p.that.startswith("latency_p")}
            targets[name] = tuple(sorted(bound for bound in bounds if bound is not None))
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

    def _collect(self) -> None:
        """Take in what the loading thread finished."""
        while True:
            try:
                version, outcome = self._done.get_nowait()
            except queue.Empty:
                return
            key = (version.name, version.number)
            self._shelf.pending.discard(key)
            if isinstance(outcome, Loaded):
                self._shelf.loaded[key] = outcome
                self._shelf.failed.pop(key, None)
                continue
            before = self._shelf.failed.get(key)
            wait_s = _RETRY_S if before is None else min(2 * before.wait_s, _RETRY_AT_MOST_S)
            again_s = self.clock.monotonic() + wait_s
            self._shelf.failed[key] = _Failure(outcome, again_s, wait_s)

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
        self._order(name, route)
        missing = [
            n
            for n in route.loaded
            if (name, n) not in shelf.loaded and (name, n) not in shelf.failed
        ]
        if missing:
            return now.get(name) or Endpoint(name, route, {}, loading=True)
        versions = {n: shelf.loaded[name, n] for n in route.loaded if (name, n) in shelf.loaded}
        failed = {n: shelf.failed[name, n].reason for n in route.loaded if n not in versions}
        targets = self._known.targets.get(name, ())
        ending = (route, tuple(map(id, versions.values())), tuple(failed.items()), targets)
        if self._endings.get(name) == ending and name in now:
            return now[name]
        self._endings[name] = ending
        resort = None if versions else self._last_resort(name, route)
        return Endpoint(name, route, versions, targets, failed or None, last_resort=resort)

    def _last_resort(self, name: str, route: Route) -> LastResort | None:
        named = (self._known.versions[f"{name}@{number}"] for number in route.loaded)
        found = (last_resort(version, row_limit=self._row_limit) for version in named)
        return next((one for one in found if one is not None), None)

    def _order(self, name: str, route: Route) -> None:
        """Ask the loading thread for what a route names: live first, failed ones after a pause."""
        for number in route.loaded:
            key = (name, number)
            if key in self._shelf.loaded or key in self._shelf.pending:
                continue
            failure = self._shelf.failed.get(key)
            if failure is not None and self.clock.monotonic() < failure.again_s:
                continue
            self._shelf.pending.add(key)
            self._orders.put(self._known.versions[f"{name}@{number}"])

    def _drop_unnamed(self) -> None:
        """Let go of versions that no route, published or wanted, names."""
        endpoints = self._snapshot.endpoints
        routes = [*self._known.routes.values(), *(e.route for e in endpoints.values())]
        named = {(route.name, number) for route in routes for number in route.loaded}
        shelf = self._shelf
        shelf.loaded = {key: kept for key, kept in shelf.loaded.items() if key in named}
        shelf.failed = {key: kept for key, kept in shelf.failed.items() if key in named}

    def _load(self) -> None:
        while (version := self._orders.get()) is not None and not self._stopping.is_set():
            outcome: Loaded | str
            try:
                fetched = self._registry.fetch(version)
                outcome = load_version(fetched, row_limit=self._row_limit)
                # What lives as long as the server need not be looked at by every collection.
                gc.freeze()
            except Exception as error:
                outcome = str(error) or type(error).__name__
                _LOG.warning("version %s could not be loaded: %s", version, outcome)
            self._done.put((version, outcome))
            self._wake.set()
