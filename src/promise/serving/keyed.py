"""Who writes state: each event is exchanged once, for every version that is loaded.

Values before the event come back from the same round trip; versions that answer, in the shadow
or in place of another, compute from them and write nothing. Where the store does not answer in
time the decision is left to a person, flagged as a fallback, and the event waits here until the
store takes it; what waits when the process is killed, or finds no room, is counted as lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
from collections import deque
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from promise.errors import DataError, PromiseError
from promise.features.feed import TAIL_KEPT, TAIL_LIMIT, Feed
from promise.features.model_views import ModelViews
from promise.features.rings import Rings
from promise.features.seen_log import SeenLog
from promise.features.store import AsyncStore, Held
from promise.features.stores.answers import checked
from promise.features.stores.folding import fold_long_tails_async
from promise.features.stores.opening import Opened, open_store
from promise.features.windows import duration_us
from promise.serving.answered import Answered
from promise.serving.breaker import Breaker
from promise.serving.exact import ExactReasons
from promise.serving.holdings import Holdings
from promise.serving.keyed_desk import KeyedDesk
from promise.serving.keyed_rows import SeenRows

if TYPE_CHECKING:
    from promise.serving.request import Request

_LOG = logging.getLogger(__name__)

WAIT_S = 1.0
"""A store that needs longer for one call counts as away."""

MOST_WAITING = 10_000
"""So many events wait for a store that is away; more are lost, which is counted."""

_AGAIN_S = 1.0
_EXPIRE_S = 3600.0
_FULL_PASS = 200
"""Of the collector's passes over younger objects so many come before one over all: that one looks
at every state that is remembered, and the loop waits 50 ms or more for it."""
_SPARED_S = 0.002  # of the deadline, for the answer without features


class _Waiting(NamedTuple):
    """An event that the store has not taken."""

    views: ModelViews
    id: str
    event_id: str
    at: int
    keys: list[str]
    payload: bytes


class _Scored(msgspec.Struct):
    """Of an encoded answer the score alone."""

    score: float | None = None


_scored = msgspec.json.Decoder(_Scored).decode


class KeyedServing:
    """Keeps event state for one worker; everything but opening happens on the serving loop."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self._opened: Opened | None = None
        self._opening, self._beginning = threading.Lock(), threading.Lock()
        self._log: SeenLog | None = None
        self._skew_us = duration_us(holdings.settings.skew)
        self._breaker = Breaker(holdings.clock, open_s=_AGAIN_S)
        self._waiting: deque[_Waiting] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._catching_up = False
        self.rings = Rings(clock=holdings.clock)
        self.exact = ExactReasons(
            lambda: self.log, lambda model: holdings.counters.count("reasons_dropped", model)
        )

    @property
    def log(self) -> SeenLog:
        """Where each exchange is told; begun with the first one."""
        with self._beginning:  # the loop asks, too, and must not wait for a store that opens
            if self._log is None:
                slot = str(self._holdings.slot)
                self._log = SeenLog(self._holdings.settings, slot, clock=self._holdings.clock)
            return self._log

    @property
    def n_waiting(self) -> int:
        """How many events the store has not taken yet."""
        return len(self._waiting)

    async def take(self, desk: KeyedDesk, request: Request) -> bool:
        """Exchange a request's rows, one after the other; False where the store is away.

        Raises
        ------
        DataError
            A row cannot be kept as an event; nothing was written of the request.
        """
        holdings, views = self._holdings, desk.views
        new_id = holdings.log.new_id
        ids = [new_id() for _ in request.rows]
        now_us = int(holdings.clock.now().timestamp() * 1e6)
        events = desk.events(request, ids, now_us, self._skew_us)
        seen = SeenRows(views, self.rings, ids, events, [event.packed() for event in events])
        request.seen, request.ids = seen, ids
        keys = [
            [*views.keys(event), views.about(id)] for id, event in zip(ids, events, strict=True)
        ]
        for event, named in zip(events, keys, strict=True):
            checked(views.event_id(event), event.at, named)
        for number, named in enumerate(keys):
            left_s = request.until_s - holdings.clock.monotonic() - _SPARED_S
            held = await self._exchange(seen, number, named, left_s)
            if held is None:
                self._wait(seen, keys, number)
                return False
            seen.held.append(dict(zip(named, held, strict=True)))
        return True

    def note(self, request: Request, answered: Answered) -> None:
        """Tell the log what was served, then fold what has grown long; called after the answer."""
        seen, number = request.seen, answered.post.number
        assert seen is not None, "noted after it was taken"
        own = answered.source in ("model", "previous")
        vectors = seen.computed(number) if own else None
        log, model = self.log, seen.views.model
        for row, held in enumerate(seen.held):
            first = next(iter(held.values()))
            exact = all(one.exact for one in held.values())
            log.note(
                model, seen.ids[row], "again" if first.duplicate else "event",
                seen.payloads[row], held if exact else {}, version=number,
                vector=vectors[row] if vectors is not None and exact else None,
            )  # fmt: skip
            if any(len(one.tail) >= TAIL_LIMIT for one in held.values()):
                self._start(self._fold(seen.views, held))
        if vectors is not None and answered.post.loaded is not None:
            pipeline = answered.post.loaded.pipeline
            for id, vector, encoded in zip(seen.ids, vectors, answered.encoded, strict=True):
                score = _scored(encoded).score
                if score is not None:
                    self.exact.add(model, number, id, pipeline, vector, score)

    def note_beside(self, request: Request, number: int) -> None:
        """Tell the log what a version in the shadow read."""
        seen = request.seen
        vectors = None if seen is None else seen.computed(number)
        if seen is None or vectors is None:
            return
        for row, held in enumerate(seen.held):
            if all(one.exact for one in held.values()):
                self.log.note(
                    seen.views.model, seen.ids[row], "again", seen.payloads[row], held,
                    version=number, vector=vectors[row],
                )  # fmt: skip

    def feed(self, views: ModelViews) -> Feed:
        """Return what takes events and labels in, for a thread that waits.

        Raises
        ------
        PromiseError
            When the store cannot be opened.
        """
        return Feed(views, self.opened(views.retention_s).store, self.log)

    def opened(self, retention_s: float) -> Opened:
        """Return the store, opened for at least this retention; for a thread that waits."""
        with self._opening:
            now = self._opened
            if now is not None and now.retention_s >= retention_s:
                return now
            if now is not None:  # a view looks back further than those before
                self._opened = None
                now.close()
            holdings = self._holdings
            self._opened = open_store(
                holdings.settings, retention_s=retention_s, clock=holdings.clock, wait_s=WAIT_S
            )
            young, middle, _ = gc.get_threshold()
            gc.set_threshold(young, middle, _FULL_PASS)
            return self._opened

    async def upkeep(self) -> None:
        """Remove what is past its lifetime, every hour; for one worker of an installation."""
        while True:
            await asyncio.sleep(_EXPIRE_S)
            now = self._opened
            if now is not None:
                try:
                    await asyncio.to_thread(now.store.expire)
                except (PromiseError, OSError) as error:
                    _LOG.warning("event state is kept past its lifetime: %s", error)

    async def close(self) -> None:
        """Give what waits to the store once more, write the log, give everything back."""
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                while self._waiting and await self._caught_up():
                    pass
        for left in self._waiting:
            self._lose(left)
        now, self._opened = self._opened, None
        if now is not None:
            await now.lane.close()
            now.close()
        await asyncio.to_thread(self.exact.close)
        if self._log is not None:
            await asyncio.to_thread(self._log.close)

    async def _lane(self, retention_s: float) -> AsyncStore:
        now = self._opened
        if now is None or now.retention_s < retention_s:
            now = await asyncio.to_thread(self.opened, retention_s)
        return now.lane

    async def _exchange(
        self, seen: SeenRows, number: int, keys: list[str], left_s: float
    ) -> list[Held] | None:
        """Return what the keys held before a row's event; None where the store is away."""
        if left_s <= 0 or not self._breaker.allows():
            return None
        views, event, payload = seen.views, seen.events[number], seen.payloads[number]
        try:
            async with asyncio.timeout(left_s):
                lane = await self._lane(views.retention_s)
                held = await _told(lane, views.event_id(event), event.at, keys, payload)
        except DataError:
            self._breaker.ok()
            raise
        except (PromiseError, TimeoutError, OSError) as error:
            self._breaker.failed()
            _LOG.warning("event state is away: %s", error or type(error).__name__)
            return None
        self._breaker.ok()
        return held

    def _wait(self, seen: SeenRows, keys: list[list[str]], first: int) -> None:
        """Keep the events of a request that the store did not take, and try again soon."""
        for number in range(first, len(keys)):
            event = seen.events[number]
            one = _Waiting(
                seen.views, seen.ids[number], seen.views.event_id(event), event.at, keys[number],
                seen.payloads[number],
            )  # fmt: skip
            if len(self._waiting) >= MOST_WAITING:
                self._lose(one)
                continue
            self._waiting.append(one)
        if not self._catching_up:
            self._catching_up = True
            self._start(self._catch_up())

    async def _catch_up(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(_AGAIN_S)
                while self._waiting and await self._caught_up():
                    pass
        finally:
            self._catching_up = False

    async def _caught_up(self) -> bool:
        """Give the store the oldest event that waits; say whether that one is done with."""
        one = self._waiting[0]
        try:
            lane = await self._lane(one.views.retention_s)
            held = await _told(lane, one.event_id, one.at, one.keys, one.payload)
        except DataError:
            self._lose(self._waiting.popleft())
            return True
        except (PromiseError, OSError):
            return False
        self._waiting.popleft()
        self._holdings.counters.count("events_late", one.views.model)
        before: Mapping[str, Held] = dict(zip(one.keys, held, strict=True))
        if all(state.exact for state in held):
            self.log.note(one.views.model, one.id, "event", one.payload, before)
        return True

    def _lose(self, one: _Waiting) -> None:
        self._holdings.counters.count("events_lost", one.views.model)
        _LOG.error("an event of %s was lost: the store was away too long", one.views.model)

    async def _fold(self, views: ModelViews, held: Mapping[str, Held]) -> None:
        keys = [key for key in held if views.foldable(key)]
        with contextlib.suppress(PromiseError, OSError):  # folded after the next event instead
            await fold_long_tails_async(
                await self._lane(views.retention_s), keys, [held[key] for key in keys],
                views.fold, limit=TAIL_LIMIT, keep=TAIL_KEPT,
            )  # fmt: skip

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _told(
    lane: AsyncStore, event_id: str, at: int, keys: list[str], payload: bytes
) -> list[Held]:
    """Tell a store of an event; the last of its keys is the one under which labels find it."""
    held = await lane.exchange(event_id, at, keys, payload)
    if held[0].duplicate and not held[-1].known:
        # the same event under another answer: a label of either finds it
        await lane.exchange(keys[-1], at, [keys[-1]], payload)
    return held
