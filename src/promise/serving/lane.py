"""The fast lane: predictions as a raw ASGI application, everything else passed on."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from promise.errors import DataError, PromiseError, near
from promise.pipeline.wire import MalformedRequest, TooManyRows
from promise.serving.answering import Answered, NoAnswer, Request
from promise.serving.auth import authorise
from promise.serving.loading import describe_failures
from promise.serving.posts import Desk
from promise.serving.problems import Problem, Send, problem, send
from promise.serving.worker import Worker

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOG = logging.getLogger(__name__)
_PREFIX, _SUFFIX = "/v1/models/", "/predict"
_WANTED = frozenset((b"x-deadline-ms", b"x-entity", b"content-length", b"content-encoding"))
_CLOSE = (b"connection", b"close")
_REGISTERED_S = 2.0


class Refused(Exception):
    """A request that is answered by a problem document."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.status)
        self.problem = problem


class Disconnected(Exception):
    """The client went away before its request was whole."""


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
        self._answering = worker.answering
        self._monotonic = worker.clock.monotonic
        self._in_flight = 0
        self.waiting = waiting or (lambda: self._in_flight)
        self._limit_bytes = int(worker.limits.body_mb * 2**20)
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
            await self._predict(name, scope, receive, send_)
        except Refused as refused:
            await self._refuse(refused.problem, send_)
        except Disconnected:
            self._worker.counters.count("disconnected", "")
        except Exception as error:
            await self._fail(error, name, send_)
        finally:
            self._in_flight -= 1
        return None

    async def _predict(self, name: str, scope: Scope, receive: Receive, send_: Send) -> None:
        worker, answering = self._worker, self._answering
        arrived_s = self._monotonic()
        self._admit(scope)
        deadline_ms, entity = self._read_headers(scope["headers"])
        desk = answering.desk(name)
        if desk is None or desk.live is None or desk.codec is None:
            raise Refused(await self._unknown(name, desk))
        body = await self._body(receive)
        try:
            rows, batch = desk.codec.decode(body)
            answered = await self._answer(
                desk,
                Request(
                    rows, body, entity, self._monotonic(), arrived_s + deadline_ms / 1e3, not batch
                ),
            )
        except DataError as error:
            worker.counters.count("bad_requests", name)
            raise Refused(
                problem(422, "invalid input", str(error), instance=scope["path"])
            ) from error
        except MalformedRequest as error:
            worker.counters.count("bad_requests", name)
            raise Refused(problem(400, "malformed request", str(error))) from error
        except TooManyRows as error:
            worker.counters.count("too_large", name)
            raise Refused(problem(413, "too many rows", str(error))) from error
        except NoAnswer as error:
            raise Refused(self._no_answer(error)) from error
        await self._send(answered, send_)

    async def _answer(self, desk: Desk, request: Request) -> Answered:
        """Answer one row at once where nothing stands between, else the long way."""
        post = desk.live
        plain = not desk.splits and desk.shadow is None and request.raw and post is not None
        if plain and post is not None and post.pooled_above and not post.cache_s:
            if desk.entity_at is not None and request.entity is None:
                request.entity = desk.entity(request.rows)
            if request.began_s < request.until_s:
                encoded = post.one(request.rows[0])
                if encoded is not None:
                    return self._answering.record(post, request, [encoded], "model")
            return await self._answering.rescue(desk, post, request)
        return await self._answering.answer(desk, request)

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
            allow = [("allow", "POST")]
            raise Refused(problem(405, "method not allowed", detail, headers=allow))
        if self.waiting() > worker.limits.queue:
            worker.counters.count("shed")
            detail = f"{worker.limits.queue} requests are waiting already; send it again shortly."
            raise Refused(problem(429, "too many requests", detail, headers=[("retry-after", "1")]))
        refused = authorise(worker, scope["headers"], "predict")
        if refused is not None:
            raise Refused(refused)

    def _read_headers(self, headers: list[tuple[bytes, bytes]]) -> tuple[float, str | None]:
        """Return the deadline in milliseconds and the entity; refuse what cannot be read."""
        deadline_ms, entity = self._worker.limits.deadline_ms, None
        for name, value in headers:
            if name not in _WANTED:
                continue
            if name == b"content-length":
                if value.isdigit() and int(value) > self._limit_bytes:
                    raise Refused(self._too_large())
            elif name == b"x-entity":
                entity = value.decode("latin-1") or None
            elif name == b"x-deadline-ms":
                deadline_ms = _deadline(value, self._worker.limits.deadline_ms)
            elif value.strip().lower() not in (b"", b"identity"):
                detail = (
                    f"content-encoding {value.decode('latin-1')!r} is not read; send plain JSON."
                )
                raise Refused(problem(415, "unsupported encoding", detail))
        return deadline_ms, entity

    async def _body(self, receive: Receive) -> bytes:
        """Return the whole body, within its size and time."""
        try:
            async with asyncio.timeout(self._worker.limits.read_s):
                message = await receive()
                if message["type"] != "http.request" or message.get("more_body"):
                    return await self._parts(message, receive)
        except TimeoutError as error:
            self._worker.counters.count("slow_clients")
            detail = f"the body did not arrive within {self._worker.limits.read_s:g} s."
            raise Refused(problem(408, "request timeout", detail, headers=_HANG_UP)) from error
        body: bytes = message.get("body", b"")
        self._within(body)
        return body

    async def _parts(self, message: MutableMapping[str, Any], receive: Receive) -> bytes:
        body = bytearray()
        while message["type"] == "http.request":
            body += message.get("body", b"")
            self._within(body)
            if not message.get("more_body"):
                return bytes(body)
            message = await receive()
        raise Disconnected

    def _within(self, body: bytes | bytearray) -> None:
        if len(body) > self._limit_bytes:
            raise Refused(self._too_large())

    def _too_large(self) -> Problem:
        self._worker.counters.count("too_large")
        limit = f"{self._worker.limits.body_mb:g} MiB"
        detail = f"a body may have {limit}; send fewer rows at a time, or use `promise predict`."
        return problem(413, "body too large", detail, headers=_HANG_UP)

    async def _unknown(self, name: str, desk: Desk | None) -> Problem:
        """Say why nobody answers for a name."""
        if desk is not None and desk.endpoint.loading:
            detail = f"{name} is being loaded; send it again shortly."
            return problem(503, "model loading", detail, headers=[("retry-after", "1")])
        if desk is not None and desk.live is not None:
            self._worker.counters.count("unanswered", name)
            detail = f"no version of {name} can be loaded: "
            detail += describe_failures(desk.endpoint.failed or {})
            return problem(503, "model unavailable", detail, headers=[("retry-after", "5")])
        if not self._worker.runtime.ready and desk is None:
            detail = "this worker is starting and does not know every model yet."
            return problem(503, "starting", detail, headers=[("retry-after", "1")])
        self._worker.counters.count("unknown_model")
        registered = await self._registered()
        if desk is not None or name in registered:
            detail = f"{name} is registered and not live: run `promise deploy {name}`."
            return problem(409, "model not deployed", detail)
        live = sorted(self._worker.runtime.snapshot.endpoints)
        known = live or registered
        hint = near(name, known) if known else "nothing is deployed yet; run `promise deploy NAME`."
        return problem(404, "unknown model", f"there is no model {name!r}; {hint}")

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

    def _no_answer(self, error: NoAnswer) -> Problem:
        if error.late:
            self._worker.counters.count("late")
            return problem(504, "deadline passed", str(error))
        self._worker.counters.count("unanswered")
        return problem(503, "model unavailable", str(error), headers=[("retry-after", "5")])

    async def _refuse(self, refused: Problem, send_: Send) -> None:
        if self._worker.draining and _CLOSE not in refused.headers:
            refused.headers.append(_CLOSE)
        await send(send_, refused)

    async def _fail(self, error: Exception, name: str, send_: Send) -> None:
        """Answer an error of our own without its traceback; the log knows it under the same id."""
        trace = uuid.uuid4().hex[:12]
        if isinstance(error, PromiseError):
            _LOG.error("request %s to %s failed: %s", trace, name, error)
        else:
            _LOG.exception("request %s to %s failed", trace, name)
        self._worker.counters.count("server_errors", name)
        detail = f"this is an error of the server, known to its log as {trace}."
        await send(send_, problem(500, "internal error", detail, instance=trace))


_HANG_UP = [("connection", "close")]


def _deadline(value: bytes, at_most_ms: float) -> float:
    try:
        deadline_ms = float(value)
    except ValueError:
        deadline_ms = float("nan")
    if not deadline_ms >= 0:
        text = value.decode("latin-1")
        detail = f"X-Deadline-Ms is {text!r}; expected milliseconds from now, e.g. 250."
        raise Refused(problem(400, "unreadable deadline", detail))
    return min(deadline_ms, at_most_ms)
