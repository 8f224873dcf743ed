"""How a list is answered: routed, rescued by other versions, counted, logged as an exposure."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from promise.errors import DataError
from promise.pipeline.finding import Asked
from promise.records.exposures import shown
from promise.serving.absence import not_loaded
from promise.serving.answering import NoAnswer
from promise.serving.finding import Found
from promise.serving.posts import Desk, Post
from promise.serving.request import LINE, encode
from promise.serving.worker import Worker

_INTERNAL = ("propensity",)


@dataclass(frozen=True)
class Listed:
    """One answered list.

    Parameters
    ----------
    id
        Under which the exposure is logged.
    post
        Who answered.
    fallback
        Whether another version answered in place of the one that should have.
    similar
        Whether it lists who is like somebody, in place of who suits them.
    """

    id: str
    post: Post
    asked: Asked
    found: Found
    fallback: bool = False
    similar: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the answer as the client gets it."""
        own = {key: value for key, value in self.found.answer.items() if key != "items"}
        return {
            "model": self.post.model,
            "version": self.post.number,
            "id": self.asked.id,
            "items": [_told(item, self.asked.features) for item in self.found.items],
            "cold_start": False,
            **own,
            "exposure": self.id,
            **({"cached": True} if self.found.cached else {}),
            **({"stale": True} if self.found.stale else {}),
            **({"fallback": "previous"} if self.fallback else {}),
        }


@dataclass(frozen=True)
class Lists:
    """Answers the lists of one worker.

    Parameters
    ----------
    until_s
        Monotonic seconds: the deadline.
    """

    worker: Worker
    until_s: float

    async def give(
        self, desk: Desk, asked: Asked, *, body: bytes = b"", similar: bool = False
    ) -> Listed:
        """Answer by the version that the route chooses, or by others where it fails.

        Parameters
        ----------
        body
            Chooses the version where nobody is named.
        similar
            Who is like the one who is named, in place of who suits them.

        Raises
        ------
        DataError
            The request cannot be read.
        NoAnswer
            No version could answer in time.
        """
        began_s, id = self.worker.clock.monotonic(), self.worker.log.new_id()
        asked = replace(asked, draw=draw_of(id))
        chosen, refusal = desk.choose(asked.id, body), None
        for post in (chosen, *desk.backups(chosen)):
            try:
                found = await self._attempt(post, asked, began_s, similar)
            except DataError as error:
                post.breaker.ok()
                if post.arm == "live" or refusal is not None:
                    raise
                refusal = error
                continue
            if found is not None:
                if post is not chosen:
                    self._failed(chosen, began_s, fallback=True)
                listed = Listed(id, post, asked, found, post is not chosen, similar)
                self._record(listed, began_s)
                self._follow(desk, asked, id, similar)
                return listed
        if refusal is not None:
            raise refusal
        self._failed(chosen, began_s, fallback=False)
        raise self._no_answer(desk)

    async def _attempt(
        self, post: Post, asked: Asked, began_s: float, similar: bool, *, keep: bool = True
    ) -> Found | None:
        """Let one version answer; None where it cannot, counted by its breaker."""
        follower = None if post.loaded is None else post.loaded.follower
        left_s = self.until_s - self.worker.clock.monotonic()
        if follower is None or left_s <= 0 or not post.usable:
            return None
        at, until_s = self.worker.clock.now(), self.until_s
        if similar:
            assert asked.id is not None, "somebody is named"
            work = follower.similar(asked.id, asked.limit, at, asked_s=began_s, until_s=until_s)
        else:
            work = follower.answer(asked, at, asked_s=began_s, until_s=until_s, keep=keep)
        try:
            found = await asyncio.wait_for(work, left_s)
        except DataError:
            raise
        except Exception as error:
            post.broke(error)
            return None
        post.breaker.ok()
        return found

    def _failed(self, post: Post, began_s: float, *, fallback: bool) -> None:
        post.series.failed(1e3 * (self.worker.clock.monotonic() - began_s))
        post.series.fallbacks += fallback

    def _no_answer(self, desk: Desk) -> Exception:
        if not desk.endpoint.versions:
            return not_loaded(desk.endpoint)
        late = self.worker.clock.monotonic() >= self.until_s
        why = "the deadline passed" if late else "no version of it can answer at the moment"
        return NoAnswer(f"{desk.endpoint.name}: {why}.", late=late)

    def _record(self, listed: Listed, began_s: float) -> None:
        """Count an answer and log what was shown."""
        post, found = listed.post, listed.found
        ms = 1e3 * (self.worker.clock.monotonic() - began_s)
        post.series.answered(ms)
        post.series.cached += found.cached
        source = "previous" if listed.fallback else "cache" if found.cached else "model"
        self._log(listed, ms, source)

    def _log(self, listed: Listed, ms: float, source: str) -> None:
        post, asked, found = listed.post, listed.asked, listed.found
        assert post.loaded is not None, "it has answered"
        entity = asked.id if found.known else None
        row = {**(asked.profile or {}), "id": entity, "limit": asked.limit}
        row = {name: row[name] for name in post.loaded.schema.names if name in row}
        answer = {
            "items": shown(found.items),
            "features": features_of(found, post),
            "similar": listed.similar,
        }
        line = LINE % (
            listed.id.encode(), post.line, self.worker.clock.now().timestamp(), ms, encode(entity),
            encode(row), encode(answer), source.encode(),
        )  # fmt: skip
        self.worker.log.append(post.model, line)

    def _follow(self, desk: Desk, asked: Asked, id: str, similar: bool) -> None:
        """Let a version in the shadow answer behind the response."""
        if desk.shadow is not None and not similar:
            self.worker.answering.shadowing.begin(desk.shadow, self._shadow(desk.shadow, asked, id))

    async def _shadow(self, post: Post, asked: Asked, id: str) -> None:
        began_s = self.worker.clock.monotonic()
        behind = replace(self, until_s=began_s + self.worker.limits.deadline_ms * 1e-3)
        try:
            found = await behind._attempt(post, asked, began_s, similar=False, keep=False)
        except DataError:  # the live version could read it
            found = None
        if found is None:
            self._failed(post, began_s, fallback=False)
            return
        ms = 1e3 * (self.worker.clock.monotonic() - began_s)
        post.series.answered(ms)
        self._log(Listed(id, post, asked, found), ms, "model")


def draw_of(id: str) -> int:
    """Return what seeds the chance of an answer, so that it can be drawn again from its id."""
    return int.from_bytes(blake2b(id.encode(), digest_size=8).digest(), "big") >> 1


def features_of(found: Found, post: Post) -> str:
    """Return which features an answer was ranked by: as the finder tells, else its version."""
    return str(found.answer.get("feature_version", post.fingerprint))


def _told(item: Mapping[str, Any], features: bool) -> dict[str, Any]:
    hidden = _INTERNAL if features else (*_INTERNAL, "features")
    return {key: value for key, value in item.items() if key not in hidden}
