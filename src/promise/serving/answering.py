"""How rows are answered, whichever protocol they came by: routed, cached, rescued, recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from promise.errors import DataError, PromiseError
from promise.serving.breaker import Breaker
from promise.serving.cache import cache_key
from promise.serving.posts import Desk, Post, Row, encoded_answer, encoded_answers
from promise.serving.shadowing import Shadowing
from promise.serving.threads import Late, Threads

if TYPE_CHECKING:
    from promise.serving.worker import Worker

Source = Literal["model", "cache", "previous", "heuristic"]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_LINE = b'{"id":"%b",%b%.6f,"ms":%.3f,"entity":%b,"row":%b,"answer":%b,"source":"%b"}'
_NULL = b"null"


class NoAnswer(PromiseError):
    """No version and no heuristic could answer; `late` where the deadline was the reason."""

    def __init__(self, message: str, *, late: bool) -> None:
        super().__init__(message)
        self.late = late


@dataclass(frozen=True, slots=True)
class Answered:
    """The answers to one request.

    Parameters
    ----------
    post
        Who answered, or, for the heuristic, who should have.
    encoded
        Each row's answer as JSON.
    """

    post: Post
    ids: list[str]
    encoded: list[bytes]
    source: Source

    @property
    def fallback(self) -> str | None:
        """`previous` or `heuristic` where the chosen version did not answer, else None."""
        return self.source if self.source in ("previous", "heuristic") else None

    @property
    def answers(self) -> list[dict[str, Any]]:
        """Each row's answer as a dictionary."""
        return [_decode(one) for one in self.encoded]

    def body(self) -> bytes:
        """Return the response as the lane sends it."""
        if len(self.ids) == 1:
            rows = b'{"id":"' + self.ids[0].encode() + b'",' + self.encoded[0][1:]
        else:
            rows = b",".join(
                b'{"id":"' + id.encode() + b'",' + one[1:]
                for id, one in zip(self.ids, self.encoded, strict=True)
            )
        if self.fallback is None:
            return self.post.head + rows + b"]}"
        return self.post.head + rows + b'],"fallback":"' + self.fallback.encode() + b'"}'


@dataclass(slots=True)
class Request:
    """Rows to be answered, and what is known of the request they came in.

    Parameters
    ----------
    rows
        As the live version's schema orders them (`Desk.codec`).
    body
        The request in the lane's JSON; rows are read again from it where a version has another
        schema.
    began_s, until_s
        Monotonic seconds: when the body was there, and the deadline.
    raw
        Whether `body` is exactly the one row as JSON, so that the log may keep it as it is.
    """

    rows: Sequence[Row]
    body: bytes
    entity: str | None
    began_s: float
    until_s: float
    raw: bool = False


class Answering:
    """Answers for one worker; everything but the threads' work happens on the serving loop."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._desks: dict[str, Desk] = {}
        self._breakers: dict[tuple[str, int], Breaker] = {}
        self._monotonic, self._now = worker.clock.monotonic, worker.clock.now
        self.threads = Threads(worker.clock)
        self.shadowing = Shadowing(worker, self.threads)

    def desk(self, name: str) -> Desk | None:
        """Return who answers for a model at this moment; None for a name that was not deployed."""
        endpoint = self._worker.runtime.snapshot.endpoints.get(name)
        found = self._desks.get(name)
        if endpoint is None or (found is not None and found.endpoint is endpoint):
            return found if endpoint is not None else None
        self._desks[name] = Desk(self._worker, endpoint, self._breakers)
        return self._desks[name]

    async def answer(self, desk: Desk, request: Request, *, version: int | None = None) -> Answered:
        """Answer rows by the version that the route chooses, or by a named one that is loaded.

        Raises
        ------
        DataError
            A row cannot be read.
        NoAnswer
            No version and no heuristic could answer in time.
        """
        if request.entity is None:
            request.entity = desk.entity(request.rows)
        post = desk.choose(request.entity, request.body)
        if version is not None and version != post.number:
            post = desk.post(version, "live" if version == desk.route.live else "pinned")
        if post.cache_s > 0 and request.raw:
            answered = await self._cached(desk, post, request)
        else:
            answered = await self.fresh(desk, post, request)
        if desk.shadow is not None:
            self.shadowing.follow(desk.shadow, request, answered.ids)
        return answered

    async def fresh(self, desk: Desk, post: Post, request: Request) -> Answered:
        """Answer by the model; by others in its place where it fails, which is flagged."""
        if self._monotonic() < request.until_s:
            encoded = await self._attempt(desk, post, request)
            if encoded is not None:
                return self.record(post, request, encoded, "model")
        return await self.rescue(desk, post, request)

    async def rescue(self, desk: Desk, failed: Post, request: Request) -> Answered:
        """Answer in place of a version that could not: by the previous one, then the heuristic."""
        ms = 1e3 * (self._monotonic() - request.began_s)
        failed.series.failed(ms)
        for post in desk.backups(failed):
            if self._monotonic() >= request.until_s:
                break
            encoded = await self._attempt(desk, post, request)
            if encoded is not None:
                failed.series.fallbacks += 1
                return self.record(post, request, encoded, "previous")
        heuristic = desk.heuristic
        if heuristic is None:
            late = self._monotonic() >= request.until_s
            why = "the deadline passed" if late else "no version of it can answer at the moment"
            raise NoAnswer(f"{desk.endpoint.name}: {why}.", late=late)
        failed.series.fallbacks += 1
        encoded = [encoded_answer(heuristic)] * len(request.rows)
        return self.record(failed, request, encoded, "heuristic")

    async def _attempt(self, desk: Desk, post: Post, request: Request) -> list[bytes] | None:
        """Let one version answer; None where it cannot, counted by its breaker."""
        rows = _rows_for(desk, post, request)
        if rows is None:
            return None
        if len(rows) == 1 and post.pooled_above:
            one = post.one(rows[0])
            return None if one is None else [one]
        if post.loaded is None or post.bound is None or not post.usable:
            return None
        try:
            if len(rows) > post.pooled_above:
                encoded = await self.threads.answer(post.loaded, rows, request.until_s)
            else:
                encoded = encoded_answers(post.bound.many(list(rows)))
        except DataError:
            post.breaker.ok()
            raise
        except Late as late:
            post.broke(late)
            return None
        except Exception as error:
            post.broke(error)
            return None
        post.breaker.ok()
        return encoded

    async def _cached(self, desk: Desk, post: Post, request: Request) -> Answered:
        """Answer one row from the cache, or compute it once for all who ask at this moment."""
        made: list[Answered] = []

        async def compute() -> tuple[bytes, bool]:
            made.append(await self.fresh(desk, post, request))
            return made[0].encoded[0], made[0].source == "model"

        key = cache_key(post.model, post.number, post.fingerprint, request.body)
        encoded, kept = await self._worker.cache.answer(key, post.cache_s, compute)
        if made:
            return made[0]
        assert kept, "what was not computed came from the cache"
        post.series.cached += 1
        return self.record(post, request, [encoded], "cache")

    def record(
        self, post: Post, request: Request, encoded: list[bytes], source: Source
    ) -> Answered:
        """Count and log answers, and give each its id."""
        worker = self._worker
        ms = 1e3 * (self._monotonic() - request.began_s)
        if source != "heuristic":
            post.series.answered(ms, len(encoded))
        entity = _NULL if request.entity is None else _encode(request.entity)
        at, line = self._now().timestamp(), post.line
        if source == "heuristic":  # not an answer of this version, so not its evidence
            line = line.replace(f'"arm":"{post.arm}"'.encode(), b'"arm":"fallback"')
        new_id, append, kind = worker.log.new_id, worker.log.append, source.encode()
        ids = [new_id() for _ in encoded]
        rows = _logged_rows(post, request)
        for id, row, answer in zip(ids, rows, encoded, strict=True):
            append(post.model, _LINE % (id.encode(), line, at, ms, entity, row, answer, kind))
        return Answered(post, ids, encoded, source)

    def close(self) -> None:
        """End the threads."""
        self.threads.close()


def _rows_for(desk: Desk, post: Post, request: Request) -> Sequence[Row] | None:
    """Return the rows as this version's schema orders them; None where they do not fit it."""
    if post.loaded is None:
        return None
    if post.schema == desk.schema:
        return request.rows
    try:
        return post.loaded.codec.decode(request.body)[0]
    except PromiseError:
        return None


def _logged_rows(post: Post, request: Request) -> Sequence[bytes]:
    """Return each row as JSON."""
    if request.raw:
        return (request.body,)
    return [_encode(dict(zip(post.names, row, strict=True))) for row in request.rows]
