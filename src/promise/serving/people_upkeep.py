"""What a worker does for its lists while nobody asks.

It follows the log of events and that of the lists that were given, and cleans up after deletions.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from promise.errors import PromiseError
from promise.records.exposures import Showings
from promise.records.exposures_shared import SharedShowings
from promise.records.forgetting import Forgetting
from promise.records.machine import machine_id
from promise.serving.finding import Follower
from promise.serving.worker import Worker

_LOG = logging.getLogger(__name__)

_FOLLOW_S = 0.25
_AT_MOST_S = 0.02  # of a finder's thread at a time: requests wait for it
_TIDY_S = 2.0
_SEEN_S = 3600.0  # deletions wait for a machine that was seen lately, also where it is away now


@dataclass
class _Shown:
    """Reads in how many lists people stood: those of the machine, and of others that share its
    database.
    """

    own: Showings
    shared: SharedShowings
    tells: bool
    _untold: Counter[str] = field(default_factory=Counter)

    def read(self, now: datetime) -> Counter[str]:
        shown = self.own.read(now)
        if not self.shared.reaches_others:
            return shown
        try:
            if self.tells:
                self._untold += shown
                self.shared.tell(self._untold, now)
                self._untold.clear()
            return shown + self.shared.news(now)
        except (PromiseError, sa.exc.SQLAlchemyError) as error:
            _LOG.warning("lists of other machines do not count now: %s", error)
            return shown


class Upkeep:
    """Keeps the finders of one worker near the log's head; one worker of a machine also tidies."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._tidied_s = self._seen_s = float("-inf")
        self._showings: WeakKeyDictionary[Follower, _Shown] = WeakKeyDictionary()

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
        """Let a version that bounds how often people are shown know what all lists of today hold.

        A version that is loaded later in the day reads what was given before it.
        """
        if not follower.bounded:
            return
        worker, now = self._worker, self._worker.clock.now()
        if follower not in self._showings:
            machine = machine_id(worker.settings)
            self._showings[follower] = _Shown(
                Showings(worker.settings.records, follower.model),
                SharedShowings(worker.database, follower.model, machine),
                tells=worker.slot == 0,
            )
        shown = await asyncio.to_thread(self._showings[follower].read, now)
        await follower.count_shown(shown, now)

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
