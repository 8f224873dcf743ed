"""How rows are answered, whichever protocol they came by: routed, cached, rescued, recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from promise.errors import DataError, PromiseError
from promise.serving.answered import Answered, Source
from promise.serving.breaker import Breaker
from promise.serving.cache import cache_key
from promise.serving.holdings import Holdings
from promise.serving.keyed import KeyedServing
from promise.serving.posts import Desk, Post, encoded_answer
from promise.serving.request import LINE, Request
from promise.serving.shadowing import Shadowing
from promise.serving.threads import Late, Threads

if TYPE_CHECKING:
    from promise.serving.keyed_desk import KeyedDesk


class NoAnswer(PromiseError):
    """No version and no heuristic could answer; `late` where the deadline was the reason."""

    def __init__(self, message: str, *, late: bool) -> None:
        super().__init__(message)
        self.late = late


class Answering:
    """Answers for one worker; everything but the threads' work happens on the serving loop."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self._desks: dict[str, Desk] = {}
        self._breakers: dict[tuple[str, int], Breaker] = {}
        self._monotonic, self._now = holdings.clock.monotonic, holdings.clock.now
        self.threads = Threads(holdings.clock)
        self.keyed = KeyedServing(holdings)
        self.shadowing = Shadowing(holdings, self.threads, self.keyed)

    def desk(self, name: str) -> Desk | None:
        """Return who answers for a model at this moment; None for a name that was not deployed."""
        endpoint = self._holdings.runtime.snapshot.endpoints.get(name)
        found = self._desks.get(name)
        if endpoint is None or (found is not None and found.endpoint is endpoint):
            return found if endpoint is not None else None
        self._desks[name] = Desk(self._holdings, endpoint, self._breakers)
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
            request.entity = request.intake.entity(request.rows)
        post = self._chosen(desk, request, version)
        if desk.keyed is not None and desk.keyed.reads(request):
            answered = await self._after_exchange(desk, desk.keyed, post, request)
        elif post.cache_s > 0 and request.raw:
            answered = await self._cached(desk, post, request)
        else:
            answered = await self.fresh(desk, post, request)
        if desk.shadow is not None:
            self.shadowing.follow(desk.shadow, request, answered.ids)
        return answered

    async def _after_exchange(
        self, desk: Desk, keyed: KeyedDesk, post: Post, request: Request
    ) -> Answered:
        """Answer events: the store is told of each once, whoever answers and however often."""
        there = await self.keyed.take(keyed, request)
        if there or not post.keyed:
            answered = await self.fresh(desk, post, request)
        else:  # no version is to blame for a store that is away
            answered = self._by_heuristic(desk, post, request)
            post.series.fallbacks += 1
            self._holdings.counters.count("store_away", post.model)
        self.keyed.note(request, answered)
        return answered

    def _chosen(self, desk: Desk, request: Request, version: int | None) -> Post:
        """Return who answers: whom the request does not fit, the live version stands in for."""
        assert desk.live is not None, "asked only where something is live"
        if version is not None and version != desk.route.live:
            return desk.post(version, "pinned")
        post = desk.live if version is not None else desk.choose(request.entity, request.body)
        if post is not desk.live and request.rows_for(post.number) is None:
            post.unfit(self._holdings)
            return desk.live
        return post

    async def fresh(self, desk: Desk, post: Post, request: Request) -> Answered:
        """Answer by the model; by others in its place where it fails, which is flagged.

        What the live version, or one that was asked for by its number, says about a row is said
        to the client; what another one refuses, the live version is asked about.
        """
        refusal: DataError | None = None
        try:
            if self._monotonic() >= request.until_s:
                raise Late
            encoded = await self._attempt(post, request)
        except Late:
            return self.too_late(desk, post, request)
        except DataError as error:
            if post.arm in ("live", "pinned"):
                raise
            encoded, refusal = None, error
        if encoded is not None:
            return self.record(post, request, encoded, "model")
        return await self.rescue(desk, post, request, refusal)

    def too_late(self, desk: Desk, post: Post, request: Request) -> Answered:
        """Answer by the heuristic once the deadline has passed.

        That is an error of the version, unless the client alone was in a hurry.
        """
        if not request.hurried:
            post.series.failed(1e3 * (self._monotonic() - request.began_s))
        answered = self._by_heuristic(desk, post, request)
        if request.hurried:
            self._holdings.counters.count("late", post.model)
        else:
            post.series.fallbacks += 1
        return answered

    async def rescue(
        self, desk: Desk, failed: Post, request: Request, refusal: DataError | None = None
    ) -> Answered:
        """Answer in place of a version that failed: by the previous one, then the heuristic.

        Parameters
        ----------
        refusal
            What the version had to say about a row; where others agree, the row is at fault.
        """
        ms = 1e3 * (self._monotonic() - request.began_s)
        for post in desk.backups(failed):
            if self._monotonic() >= request.until_s:
                break
            try:
                encoded = await self._attempt(post, request)
            except DataError:
                if refusal is not None:
                    raise
                continue
            except Late:
                break
            if encoded is not None:
                failed.series.failed(ms)
                failed.series.fallbacks += 1
                return self.record(post, request, encoded, "previous")
        if refusal is not None:
            raise refusal
        failed.series.failed(ms)
        answered = self._by_heuristic(desk, failed, request)
        failed.series.fallbacks += 1
        return answered

    def _by_heuristic(self, desk: Desk, failed: Post, request: Request) -> Answered:
        heuristic = desk.endpoint.heuristic
        if heuristic is None:
            late = self._monotonic() >= request.until_s
            why = "the deadline passed" if late else "no version of it can answer at the moment"
            raise NoAnswer(f"{desk.endpoint.name}: {why}.", late=late)
        encoded = [encoded_answer(heuristic)] * len(request.rows)
        return self.record(failed, request, encoded, "heuristic")

    async def _attempt(self, post: Post, request: Request) -> list[bytes] | None:
        """Let one version answer; None where it cannot, counted by its breaker.

        Raises
        ------
        DataError
            The model cannot read a row; in a batch it is named.
        Late
            The deadline passed, which for a client in a hurry says nothing about the version.
        """
        rows = request.rows_for(post.number)
        if rows is None:
            post.unfit(self._holdings)
            return None
        seen = request.seen_for(post.number)
        if post.keyed and seen is None:
            return None
        if len(rows) == 1 and post.pooled_above:
            one = post.one(rows[0], None if seen is None else seen[0])
            return None if one is None else [one]
        if post.loaded is None or not post.usable:
            return None
        try:
            if len(rows) > post.pooled_above:
                encoded = await self.threads.answer(post.loaded, rows, request.until_s, seen)
            else:
                encoded = post.many(rows, seen)
        except DataError:
            post.breaker.ok()
            raise
        except Late as error:
            if not request.hurried:
                post.broke(error)
            raise
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
        encoded, kept = await self._holdings.cache.answer(key, post.cache_s, compute)
        if made:
            return made[0]
        assert kept, "what was not computed came from the cache"
        post.series.cached += 1
        return self.record(post, request, [encoded], "cache")

    def record(
        self, post: Post, request: Request, encoded: list[bytes], source: Source
    ) -> Answered:
        """Count and log answers, and give each its id."""
        holdings = self._holdings
        ms = 1e3 * (self._monotonic() - request.began_s)
        if source != "heuristic":
            post.series.answered(ms, len(encoded))
        entity = request.logged_entity()
        at, line = self._now().timestamp(), post.line
        if source == "heuristic":  # not an answer of this version, so not its evidence
            line = line.replace(f'"arm":"{post.arm}"'.encode(), b'"arm":"fallback"')
        new_id, append, kind = holdings.log.new_id, holdings.log.append, source.encode()
        ids = request.ids or [new_id() for _ in encoded]
        rows = request.logged_rows(post.number)
        for id, row, answer in zip(ids, rows, encoded, strict=True):
            append(post.model, LINE % (id.encode(), line, at, ms, entity, row, answer, kind))
        return Answered(post, ids, encoded, source)

    def close(self) -> None:
        """End the threads."""
        self.threads.close()
