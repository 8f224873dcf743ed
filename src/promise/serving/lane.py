"""The fast lane: predictions as a raw ASGI application, everything else passed on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from promise.serving.absence import no_model, not_loaded, nothing_live
from promise.serving.answered import Answered
from promise.serving.arrivals import Disconnected, Receive, pass_over
from promise.serving.auth import authorise
from promise.serving.posts import Desk
from promise.serving.problems import Problem, Refused, Send, send
from promise.serving.refusals import problem_of
from promise.serving.request import Request
from promise.serving.streaming import Stream, streams
from promise.serving.worker import Worker

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOG = logging.getLogger(__name__)
_PREFIX, _SUFFIX = "/v1/models/", "/predict"
_WANTED = frozenset((b"x-deadline-ms", b"x-entity", b"content-length", b"content-encoding"))
_CLOSE = (b"connection", b"close")
_REGISTERED_S = 2.0


class Lane:
    """Answers `POST /v1/models/NAME/predict`; all else goes to `rest`.

    Parameters
    ----------
    waiting
        Tells how many requests this process has accepted and not answered yet; the server's own
        number where it has one, since requests that wait for the loop are not seen here.
    """

    def __init__(
        self, worker: Worker, rest: App, *, waiting: Callable[[], int] | None = None
    ) -> None:
        self._worker, self._rest = worker, rest
        self._answering, self._arrivals = worker.answering, worker.arrivals
        self._monotonic = worker.clock.monotonic
        self._in_flight = 0
        self.waiting = waiting or (lambda: self._in_flight)
        self._names: tuple[float, list[str]] = (-_REGISTERED_S, [])

    async def __call__(self, scope: Scope, receive: Receive, send_: Send) -> None:
        """Answer a prediction, or pass the request on."""
        path = scope["path"] if scope["type"] == "http" else ""
        if not (path.endswith(_SUFFIX) and path.startswith(_PREFIX)):
            return await self._rest(scope, receive, send_)
        name = path[len(_PREFIX) : -len(_SUFFIX)]
        if not name or "/" in name:
            return await self._rest(scope, receive, send_)
        self._in_flight += 1
        try:
            if streams(scope["headers"]):
                await self._stream(name, scope, receive, send_)
            else:
                await self._send(await self._predict(name, scope, receive), send_)
        except Disconnected:
            self._worker.counters.count("disconnected")
        except Exception as error:
            if isinstance(error, Refused) and error.unread:
                await pass_over(receive)
            await self._refuse(problem_of(error, instance=path), name, send_)
        finally:
            self._in_flight -= 1
        return None

    async def _predict(self, name: str, scope: Scope, receive: Receive) -> Answered:
        arrived_s = self._monotonic()
        self._admit(scope)
        deadline_ms, entity = self._read_headers(scope["headers"])
        desk = self._answering.desk(name)
        if desk is None or desk.live is None or desk.intake is None:
            raise await self._absent(name, desk)
        body = await self._arrivals.body(receive)
        rows, batch, exact = desk.intake.read(body)
        began_s, until_s = self._monotonic(), arrived_s + deadline_ms * 1e-3
        hurried = deadline_ms < self._worker.limits.deadline_ms
        request = Request(
            desk.intake, rows, body, entity, began_s, until_s, exact and not batch, hurried
        )
        if not desk.plain or batch:
            return await self._answering.answer(desk, request)
        # one row with nothing in between: what most requests are, without the long way
        if desk.intake.asks_entity and entity is None:
            request.entity = desk.intake.entity(rows)
        if began_s >= until_s:
            return self._answering.too_late(desk, desk.live, request)
        encoded = desk.live.one(rows[0])
        if encoded is not None:
            return self._answering.record(desk.live, request, [encoded], "model")
        return await self._answering.rescue(desk, desk.live, request)

    async def _stream(self, name: str, scope: Scope, receive: Receive, send_: Send) -> None:
        """Answer rows that come line by line; the body's length is not bounded."""
        self._admit(scope)
        headers = [header for header in scope["headers"] if header[0] != b"content-length"]
        deadline_ms, entity = self._read_headers(headers)
        desk = self._answering.desk(name)
        if desk is None or desk.live is None or desk.intake is None:
            raise await self._absent(name, desk)

        def now() -> Desk:
            found = self._answering.desk(name)
            answers = found is not None and found.live is not None and found.intake is not None
            return found if answers and found is not None else desk

        await Stream(self._worker, now, entity, deadline_ms).answer(receive, send_)

    async def _send(self, answered: Answered, send_: Send) -> None:
        body = answered.body()
        headers = [*answered.post.headers, (b"content-length", b"%d" % len(body))]
        if answered.fallback is not None:
            headers.append((b"x-promise-fallback", answered.fallback.encode()))
        if self._worker.draining:
            headers.append(_CLOSE)
        await send_({"type": "http.response.start", "status": 200, "headers": headers})
        await send_({"type": "http.response.body", "body": body})

    def _admit(self, scope: Scope) -> None:
        """Refuse what is no POST, what is too much, and who may not ask."""
        worker = self._worker
        if scope["method"] != "POST":
            detail = f"{scope['method']} is not answered here; send rows by POST."
            raise Refused(405, "method not allowed", detail, headers=[("allow", "POST")])
        if self.waiting() > worker.limits.queue:
            raise worker.limits.too_many(self.waiting())
        refused = authorise(worker, scope["headers"], "predict")
        if refused is not None:
            raise refused

    def _read_headers(self, headers: list[tuple[bytes, bytes]]) -> tuple[float, str | None]:
        """Return the deadline in milliseconds and the entity; refuse what cannot be read."""
        limits = self._worker.limits
        deadline_ms, entity = limits.deadline_ms, None
        for name, value in headers:
            if name not in _WANTED:
                continue
            told = value.decode("latin-1")
            if name == b"content-length":
                limits.check_told_length(told)
            elif name == b"x-entity":
                entity = told or None
            elif name == b"x-deadline-ms":
                deadline_ms = limits.deadline_of(told)
            else:
                limits.check_encoding(told)
        return deadline_ms, entity

    async def _absent(self, name: str, desk: Desk | None) -> Refused:
        """Say why nobody answers for a name."""
        if desk is not None:
            endpoint = desk.endpoint
            return (
                not_loaded(endpoint) if endpoint.route.live is not None else nothing_live(endpoint)
            )
        runtime = self._worker.runtime
        if not runtime.ready:
            away = runtime.snapshot.epoch < 0 and runtime.stale_s > 0
            why = "the database does not answer" if away else "it does not know every model yet"
            detail = f"this worker is starting: {why}; send it again shortly."
            return Refused(503, "starting", detail, headers=[("retry-after", "1")])
        live = list(self._worker.runtime.snapshot.endpoints)
        refused = no_model(name, live=live, registered=await self._registered())
        self._worker.counters.count("unknown_model")
        return refused

    async def _registered(self) -> list[str]:
        """Return registered names, asked from the database at most every two seconds."""
        now = self._monotonic()
        if now - self._names[0] >= _REGISTERED_S:
            self._names = (now, self._names[1])
            try:
                found = await asyncio.wait_for(
                    asyncio.to_thread(self._worker.runtime.registered), timeout=_REGISTERED_S
                )
                self._names = (now, found)
            except Exception as error:  # the database may be away: what was known last will do
                _LOG.warning("registered names could not be read: %s", error)
        return self._names[1]

    async def _refuse(self, refused: Problem, name: str, send_: Send) -> None:
        self._worker.count_refusal(refused.status, name)
        if self._worker.draining and _CLOSE not in refused.headers:
            refused.headers.append(_CLOSE)
        await send(send_, refused)
