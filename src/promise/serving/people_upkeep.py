"""What a worker does for its lists while nobody asks.

It follows the log of events and that of the lists that were given, and cleans up after deletions.
"""

from __future__ import annotations

import asyncio
import logging
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from promise.errors import PromiseError
from promise.records.exposures import Showings
from promise.records.forgetting import Forgetting
from promise.records.machine import machine_id
from promise.serving.finding import Follower
from promise.serving.worker import Worker

_LOG = logging.getLogger(__name__)

_FOLLOW_S = 0.25
_AT_MOST_S = 0.02  # of a finder's thread at a time: requests wait for it
_TIDY_S = 2.0
_SEEN_S = 3600.0  # deletions wait for a machine that was seen lately, also where it is away now


class Upkeep:
    """Keeps the finders of one worker near the log's head; one worker of a machine also tidies."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._tidied_s = self._seen_s = float("-inf")
        self._showings: WeakKeyDictionary[Follower, Showings] = WeakKeyDictionary()

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.sleep(_FOLLOW_S)
            followers = self._followers()
            for follower in followers:
                try:
                    await follower.keep_up(self._worker.clock.monotonic() + _AT_MOST_S)
                    await self._count_shown(follower)
                except Exception as error:  # a finder's own failure: its requests tell of it
                    _LOG.warning("a finder could not follow: %s", type(error).__name__)
            if followers and self._worker.slot == 0:
                await self._tidy()

    def _followers(self) -> list[Follower]:
        endpoints = self._worker.runtime.snapshot.endpoints.values()
        found = (loaded.follower for one in endpoints for loaded in one.versions.values())
        return [follower for follower in found if follower is not None]

    async def _count_shown(self, follower: Follower) -> None:
        """Let a version that bounds how often people are shown know what the machine's lists hold.

        A version that is loaded later in the day reads what was given before it.
        """
        if not follower.bounded:
            return
        folder, now = self._worker.settings.records, self._worker.clock.now()
        showings = self._showings.setdefault(follower, Showings(folder, follower.model))
        await follower.count_shown(await asyncio.to_thread(showings.read, now), now)

    async def _tidy(self) -> None:
        worker, now_s = self._worker, self._worker.clock.monotonic()
        if now_s - self._tidied_s < _TIDY_S:
            return
        self._tidied_s = now_s
        settings = worker.settings
        forgetting = Forgetting(
            worker.database, settings.records, worker.clock, machine_id(settings)
        )
        try:
            unseen = now_s - self._seen_s >= _SEEN_S
            if unseen or await asyncio.to_thread(forgetting.pending):
                await asyncio.to_thread(forgetting.tidy)
                self._seen_s = now_s
        except (PromiseError, sa.exc.SQLAlchemyError, OSError) as error:
            _LOG.warning("deletions wait to be cleaned up after: %s", error)
