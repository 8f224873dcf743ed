"""A version that answers with lists, in one process: it follows the log before it answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from promise.clock import Clock
from promise.errors import PromiseError, StateError
from promise.pipeline.finding import FORGET, UNHEARD, Asked, Bounded, Finder, ReadsProfiles, Told
from promise.records.events import Events
from promise.records.forgotten import Digests, Forgotten
from promise.serving.kept_lists import KeptLists
from promise.state.patience import at_most

_LOG = logging.getLogger(__name__)
T = TypeVar("T")

_AWAY = (sa.exc.SQLAlchemyError, PromiseError, OSError)
_PAGE = 1_000
_FOLLOW_S = 1.0  # a request waits so long for a log that grows faster than it can be followed
_HEAD_S = 5.0  # a database that takes so small a question and hangs is left then
_AGAIN = 3  # so often a list is asked for anew where it names somebody who was deleted
_BOTH = "block"
"""After an event of this type the lists of both are out of date."""
_OF_NOBODY: dict[str, Any] = {"items": [], "cold_start": True, "reason": UNHEARD}

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True)
class Found:
    """What a version answered.

    Parameters
    ----------
    answer
        The finder's fields; `items` are best first.
    cached
        Whether it was answered before.
    stale
        Whether events may be missing: the database was away, or there were too many.
    known
        Whether the id may be written down: nobody who was deleted has asked.
    """

    answer: dict[str, Any]
    cached: bool = False
    stale: bool = False
    known: bool = True

    @property
    def items(self) -> list[dict[str, Any]]:
        """The items of the list, best first."""
        found: list[dict[str, Any]] = self.answer["items"]
        return found


class Follower:
    """Answers by a version's finder, over everything that was acknowledged before the request.

    The finder is called from one thread of its own. Each request first asks the log how far it
    is, and takes what is new: an event that any worker has acknowledged is never hidden.

    Parameters
    ----------
    lifetime_s
        How long a list is given again to whom nothing happened since.
    """

    def __init__(
        self, model: str, finder: Finder, events: Events, clock: Clock, *, lifetime_s: float = 0.0
    ) -> None:
        self.model, self._finder, self._events, self._clock = model, finder, events, clock
        self._bounded = _bounded(finder)
        self._forgotten = Forgotten(events.database)
        self._gone: Digests | None = None
        self._number = finder.number
        self._looked_s = self._behind_s = float("-inf")
        self._away = False
        self._kept = KeptLists(clock, lifetime_s)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="promise-find")

    @property
    def number(self) -> int:
        """How far in the log it came."""
        return self._number

    def follow(self, until_s: float, *, asked_s: float | None = None) -> bool:
        """Take what is new in the log; say whether that was everything.

        Parameters
        ----------
        until_s
            Monotonic seconds at which the rest waits for the next time.
        asked_s
            Nothing is read where the log was read after this moment; now without it.
        """
        if asked_s is not None and self._looked_s >= asked_s:
            return True
        began_s = self._clock.monotonic()
        try:
            with at_most(_HEAD_S):
                if self._gone is None:
                    self._gone = self._forgotten.digests(self.model)
                page = self._page()  # one question, whether anything happened or not
            while page:
                self._take(page)
                if len(page) < _PAGE:  # that was the head
                    break
                if self._clock.monotonic() >= until_s:
                    return False
                page = self._page()
        except _AWAY as error:
            if not self._away:
                _LOG.warning("%s answers without the newest events: %s", self.model, error)
            self._away = True
            return False
        self._looked_s, self._away = began_s, False
        return True

    def _page(self) -> list[Told]:
        return [
            Told(*one) for one in self._events.told_since(self._number, _PAGE, model=self.model)
        ]

    async def answer(
        self, asked: Asked, at: datetime, *, asked_s: float, until_s: float, keep: bool = True
    ) -> Found:
        """Return a list for somebody.

        Parameters
        ----------
        keep
            Whether a list that was given before will do.

        Raises
        ------
        DataError
            Where the request cannot be read.
        """
        return await self._run(lambda: self._answer(asked, at, asked_s, until_s, keep))

    async def similar(
        self, id: str, limit: int, at: datetime, *, asked_s: float, until_s: float
    ) -> Found:
        """Return who is chosen by the same people as somebody."""
        return await self._run(lambda: self._similar(id, limit, at, asked_s, until_s))

    async def keep_up(self, until_s: float) -> None:
        """Take what is new while nobody asks, so that little is left when somebody does."""
        await self._run(lambda: self.follow(until_s))

    def unread(self, profile: Mapping[str, Any]) -> Sequence[str]:
        """Say what of a profile the version cannot read; any thread may ask."""
        finder = self._finder
        return finder.unread(profile) if isinstance(finder, ReadsProfiles) else ()

    @property
    def bounded(self) -> bool:
        """Whether it shows nobody more often on one day than a bound allows."""
        return self._bounded is not None

    async def count_shown(self, shown: Mapping[str, int], at: datetime) -> None:
        """Count in how many lists of a day people stood, whichever version and worker gave them."""
        bounded = self._bounded
        if bounded is not None and shown:
            await self._run(lambda: bounded.count_shown(shown, at))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _caught_up(self, asked_s: float, until_s: float) -> bool:
        """Follow the log for a request; say whether it came to the head.

        Requests that waited while it was too long, or away, do not wait for it once more each.
        """
        current = False
        if self._gone is None or not self._looked_s < asked_s < self._behind_s:
            until_s = min(until_s, self._clock.monotonic() + _FOLLOW_S)
            current = self.follow(until_s, asked_s=asked_s)
            if not current:
                self._behind_s = self._clock.monotonic()
        if self._gone is None:
            raise StateError(
                f"{self.model}: who was deleted could not be read yet; nobody is shown until the "
                "database answers."
            )
        return current

    def _answer(
        self, asked: Asked, at: datetime, asked_s: float, until_s: float, keep: bool
    ) -> Found:
        current = self._caught_up(asked_s, until_s)
        known = asked.id is None or not self._is_gone(asked.id)
        if not known:  # as somebody whom nobody has told of
            asked = replace(asked, id=None)
        kept = _kept_under(asked) if keep and current else None
        if kept is not None:
            held = self._kept.get(kept[0], kept[1])
            found = None if held is None else _decode(held)
            if found is not None and self._may_repeat(found, at):
                return Found(found, cached=True)
        answer = self._fresh(asked, at)
        if kept is not None and current:
            self._kept.put(kept[0], kept[1], _encode(answer))
        return Found(answer, stale=not current, known=known)

    def _may_repeat(self, found: Mapping[str, Any], at: datetime) -> bool:
        """Say whether a kept list names only who is still there and may still be shown."""
        if self._gone_among(found["items"]):
            return False
        bounded = self._bounded
        return bounded is None or not bounded.shown_enough((o["id"] for o in found["items"]), at)

    def _fresh(self, asked: Asked, at: datetime) -> dict[str, Any]:
        for _ in range(_AGAIN):
            answer = self._finder.find(asked, at)
            gone = self._gone_among(answer["items"])
            if not gone:
                return answer
            # a version from before the deletion that did not hear of it while the id was told
            asked = replace(asked, exclude=(*asked.exclude, *gone))
        return self._without(answer, gone)

    def _similar(self, id: str, limit: int, at: datetime, asked_s: float, until_s: float) -> Found:
        current = self._caught_up(asked_s, until_s)
        known = not self._is_gone(id)
        answer = self._finder.similar(id, limit, at) if known else _OF_NOBODY
        return Found(
            self._without(answer, self._gone_among(answer["items"])), stale=not current, known=known
        )

    def _take(self, events: Sequence[Told]) -> None:
        """Let the finder take a page of the log.

        A deletion whose id is gone from the log is told by its digest alone.
        """
        told = [event for event in events if event.entity]
        self._finder.take(told)
        for one in told:
            self._kept.drop(one.entity)
            if one.type == _BOTH:
                self._kept.drop(one.other)
        if any(event.type == FORGET for event in events):
            self._kept.clear()  # others' lists may name who was deleted
            self._gone = self._forgotten.digests(self.model)
        self._number = events[-1].number

    def _is_gone(self, id: str) -> bool:
        return bool(self._gone) and self._gone is not None and id in self._gone

    def _gone_among(self, items: Sequence[dict[str, Any]]) -> list[str]:
        """Return who of a list was deleted."""
        if not self._gone:
            return []
        return [item["id"] for item in items if item["id"] in self._gone]

    def _without(self, answer: dict[str, Any], gone: Sequence[str]) -> dict[str, Any]:
        if not gone:
            return answer
        left = [item for item in answer["items"] if item["id"] not in gone]
        return {**answer, "items": left}


def _bounded(finder: Finder) -> Bounded | None:
    return finder if isinstance(finder, Bounded) and finder.most_shown is not None else None


def _kept_under(asked: Asked) -> tuple[str, bytes] | None:
    """Return under what a list is kept: who asked, and for what; None where it is not kept."""
    if asked.id is None or asked.profile is not None:
        return None
    about = (asked.limit, asked.filters, list(asked.exclude), asked.features)
    return asked.id, _encode(about)
