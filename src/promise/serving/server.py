"""One serving process: opened, run until it is told to stop, drained, everything written."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial

import sqlalchemy as sa
import uvicorn
import uvloop

from promise.clock import Clock, SteadyClock
from promise.errors import PromiseError
from promise.records.counters import Counters
from promise.records.evidence import EvidenceStore
from promise.records.labels import Labels
from promise.records.machine import home_slot, machine_id
from promise.records.owners import Owners
from promise.records.predictions import PredictionLog
from promise.records.publishing import CountsPublisher
from promise.serving.answerable import answered_by_live
from promise.serving.api import build_api
from promise.serving.backlog import take_last
from promise.serving.cache import ResponseCache
from promise.serving.lane import Lane
from promise.serving.limits import Limits
from promise.serving.people_upkeep import Upkeep
from promise.serving.protocol import IDLE_S, TimedProtocol, hang_up_on_slow
from promise.serving.runtime import Runtime
from promise.serving.standing import Standing
from promise.serving.worker import Worker
from promise.settings import Settings
from promise.state.database import Database

_LOG = logging.getLogger(__name__)

_PUBLISH_S = 1.0
_GRACE_S = 0.5
"""How long connections are told to close before those that are idle are closed."""

_START_S = 10.0
"""How long a worker may load before it takes connections and says which models are loading."""

_LOOK_S = 0.02
_SWITCH_S = 0.001
"""How long a background thread may hold the interpreter while the loop waits for it."""


def open_worker(
    settings: Settings,
    slot: int,
    limits: Limits | None = None,
    *,
    open_access: bool,
    clock: Clock | None = None,
) -> Worker:
    """Open what one serving process holds; nothing is loaded before `worker.runtime.start()`.

    It keeps the wall time of its start and what has elapsed since: a clock that is set forward or
    back while it serves changes neither its evidence nor the order of its log.
    """
    clock, limits = SteadyClock.over(clock), limits or Limits()
    database = Database(settings.database)
    runtime = Runtime(settings, clock=clock, row_limit=limits.rows)
    owners, answered = Owners(settings.run), partial(answered_by_live, runtime)
    return Worker(
        settings=settings,
        slot=slot,
        database=database,
        runtime=runtime,
        counters=Counters(settings.run, slot),
        log=PredictionLog(settings.records, home_slot(settings, slot), clock=clock),
        labels=Labels(database, clock, owners=owners, normalise=answered),
        evidence=EvidenceStore(database, clock),
        limits=limits,
        open_access=open_access,
        clock=clock,
        cache=ResponseCache(clock, redis=settings.redis, rng=random.Random(slot)),
    )


def build(worker: Worker) -> Lane:
    """Return the whole application of a worker: the lane, and the API behind it."""
    return Lane(worker, build_api(worker))


def close_worker(worker: Worker) -> None:
    """Write what waits and give everything back."""
    worker.answering.close()
    worker.runtime.stop()
    worker.log.close()
    worker.database.close()


class Publisher:
    """Tells how a worker stands and what it counted, every second in a thread.

    Counters are saved and passed on as evidence. A database that is away loses nothing: what was
    not confirmed is kept, on disk too.
    """

    def __init__(self, worker: Worker, *, every_s: float = _PUBLISH_S) -> None:
        self._worker = worker
        self._counts = CountsPublisher(
            worker.counters, worker.evidence, worker.clock, machine=machine_id(worker.settings)
        )
        self._every_s, self._stop = every_s, threading.Event()
        self._thread = threading.Thread(target=self._run, name="promise-publish", daemon=True)

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Publish what is left and end; a database that hangs is not waited for any longer."""
        self._stop.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self._tick()
        self._tick()
        with contextlib.suppress(OSError):
            Standing.of(self._worker).withdraw(self._worker.settings.run)

    def _tick(self) -> None:
        try:
            Standing.of(self._worker).write(self._worker.settings.run)
            self._counts.tick()
        except (PromiseError, sa.exc.SQLAlchemyError, OSError) as error:
            _LOG.warning("counters wait to be published: %s", error)
        except Exception:  # a worker that counts and tells nothing would look as if nobody asked
            _LOG.exception("counters could not be published")


class _Server(uvicorn.Server):  # type: ignore[misc]
    """Uvicorn that leaves signals to the worker, and no connection behind when it closes."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def serve(self, sockets: list[socket.socket]) -> None:
        """Serve until told to exit."""
        self._listening = [one.dup() for one in sockets]
        try:
            await super().serve(sockets=sockets)
        finally:
            for one in self._listening:
                one.close()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, answer whoever is connected, and close."""
        for server in self.servers:
            server.close()
        for one in sockets or ():
            one.close()
        # The kernel resets what waits in the backlog when the last copy of the socket closes.
        accepted = [pending for one in self._listening for pending in take_last(one)]
        loop = asyncio.get_running_loop()
        for one in accepted:
            with contextlib.suppress(OSError):
                await loop.connect_accepted_socket(self._protocol, one)
        await super().shutdown([])

    def _protocol(self) -> TimedProtocol:
        return TimedProtocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def run_worker(
    worker: Worker,
    sock: socket.socket,
    *,
    on_ready: Callable[[], None] | None = None,
    parent: int | None = None,
) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT, then drain.

    Draining: `/readyz` says no, answers tell connections to close, nothing new is accepted,
    requests in flight are finished (`limits.drain_s`), log and counters are written.

    Parameters
    ----------
    on_ready
        Called once every live model is loaded.
    parent
        Process id of the supervisor; without it the worker drains too.
    """
    sys.setswitchinterval(_SWITCH_S)
    publisher = Publisher(worker)
    worker.runtime.start()
    publisher.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(worker, sock, on_ready, parent))
    finally:
        publisher.stop()
        close_worker(worker)


async def _serve(
    worker: Worker,
    sock: socket.socket,
    on_ready: Callable[[], None] | None,
    parent: int | None,
) -> None:
    lane = build(worker)
    server = _Server(_config(lane, worker.limits))
    lane.waiting = server.server_state.tasks.__len__
    loop = asyncio.get_running_loop()

    def drain() -> None:
        if not worker.draining:
            worker.draining = True
            loop.call_later(_GRACE_S, setattr, server, "should_exit", True)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, drain)
    beside: list[asyncio.Task[None]] = [
        loop.create_task(
            hang_up_on_slow(server.server_state.connections, read_s=worker.limits.read_s)
        ),
        *([loop.create_task(worker.answering.keyed.upkeep())] if worker.slot == 0 else []),
        loop.create_task(Upkeep(worker).run()),
        loop.create_task(_tell_ready(worker, on_ready)),
        loop.create_task(_follow_parent(parent, drain)),
    ]
    try:
        await _until_ready(worker)
        await server.serve(sockets=[sock])
    finally:
        for task in beside:
            task.cancel()
        await worker.answering.shadowing.settle(timeout_s=1.0)
        await worker.answering.keyed.close()
        await worker.cache.close()


def _config(lane: Lane, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        lane,
        http=TimedProtocol,
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=round(IDLE_S),
        timeout_graceful_shutdown=max(1, round(limits.drain_s)),
    )


async def _until_ready(worker: Worker) -> None:
    """Leave connections to other workers, or in the backlog, while models are being loaded."""
    until_s = worker.clock.monotonic() + _START_S
    while not (worker.runtime.ready or worker.draining) and worker.clock.monotonic() < until_s:
        await asyncio.sleep(_LOOK_S)


async def _tell_ready(worker: Worker, on_ready: Callable[[], None] | None) -> None:
    while not worker.runtime.ready:
        await asyncio.sleep(_LOOK_S)
    if on_ready is not None:
        on_ready()


async def _follow_parent(parent: int | None, drain: Callable[[], None]) -> None:
    while parent is not None and os.getppid() == parent:
        await asyncio.sleep(1.0)
    if parent is not None:
        drain()
