"""A candidate in the shadow: it answers what the live version answered, unseen by users."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING

from promise.errors import DataError
from promise.serving.holdings import Holdings
from promise.serving.keyed import KeyedServing
from promise.serving.posts import Post
from promise.serving.request import LINE
from promise.serving.threads import Threads

if TYPE_CHECKING:
    from promise.serving.request import Request

_AT_ONCE = 64
_ROWS = 200


class Shadowing:
    """Lets the candidate answer behind the response, in a thread of its own and bounded.

    What finds no place is dropped and counted (`shadow_dropped`): a slow candidate costs itself
    evidence, never the users time.
    """

    def __init__(self, holdings: Holdings, threads: Threads, keyed: KeyedServing) -> None:
        self._holdings, self._threads, self._keyed = holdings, threads, keyed
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, post: Post, work: Coroutine[None, None, None]) -> None:
        """Let a version answer behind a response; what finds no place is dropped and counted."""
        if len(self._tasks) >= _AT_ONCE:
            self._holdings.counters.count("shadow_dropped", post.model)
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def follow(self, post: Post, request: Request, ids: list[str]) -> None:
        """Let the shadow answer a request that was answered just now.

        One that could not be loaded counts an error: it would have failed these users. One that
        the request does not fit would have left them to the live version.
        """
        if post.loaded is None:
            post.series.failed(0.0)
            return
        if len(request.rows) > _ROWS:
            self._holdings.counters.count("shadow_dropped", post.model)
            return
        if request.rows_for(post.number) is None:
            post.unfit(self._holdings)
            return
        if post.keyed and (request.seen is None or len(request.seen.held) < len(request.rows)):
            return  # the event store was away, for the live version as well
        self.begin(post, self._answer(post, request, ids))

    async def settle(self, *, timeout_s: float | None = None) -> None:
        """Wait for what is on its way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    async def _answer(self, post: Post, request: Request, ids: list[str]) -> None:
        rows = request.rows_for(post.number)
        assert post.loaded is not None, "a shadow that answers is loaded"
        assert rows is not None, "it is asked only what fits it"
        try:
            seen = request.seen_for(post.number)
            encoded, ms = await self._threads.shadow(post.loaded, rows, seen)
        except DataError:  # the live version could read the row
            post.series.failed(0.0)
            return
        except Exception as error:
            post.broke(error)
            post.series.failed(0.0)
            return
        post.series.answered(ms, len(encoded))
        self._log(post, request, ids, encoded, ms)
        self._keyed.note_beside(request, post.number)

    def _log(
        self, post: Post, request: Request, ids: list[str], encoded: list[bytes], ms: float
    ) -> None:
        entity, rows = request.logged_entity(), request.logged_rows(post.number)
        at, log = self._holdings.clock.now().timestamp(), self._holdings.log
        # The line carries the id of the answer that the user got: one label joins both.
        for id, row, answer in zip(ids, rows, encoded, strict=True):
            line = LINE % (id.encode(), post.line, at, ms, entity, row, answer, b"model")
            log.append(post.model, line)
