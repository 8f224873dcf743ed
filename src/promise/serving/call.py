"""One request beside the lane: read within its limits, answered off the loop, refused in words."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import msgspec
import sqlalchemy as sa
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from promise.clock import Clock
from promise.errors import ConfigError, DataError, StateError, near
from promise.pipeline.wire import MalformedRequest, TooManyRows
from promise.records.events import EventConflict
from promise.serving.catalogue import Catalogue
from promise.serving.problems import Problem, problem
from promise.serving.runtime import Endpoint, Snapshot
from promise.serving.worker import Worker

T = TypeVar("T")
_LOG = logging.getLogger("promise.serving")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*?)`")
_ENCODER = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True)
class Call:
    """What a handler reads of one request.

    Parameters
    ----------
    catalogue
        What the database knows of models.
    snapshot
        What is served at this moment; the same one for the whole request.
    path, query, headers
        Parameters of the path and of the query (the last of several); headers by lower-case name.
    body
        As it came; empty without one.
    """

    worker: Worker
    clock: Clock
    catalogue: Catalogue
    snapshot: Snapshot
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """An answer with another status than 200, or one that is no JSON."""

    content: Any
    status: int = 200
    media_type: str = "application/json"


class Refused(Exception):
    """A request that cannot be answered as asked; carries its problem document."""

    def __init__(self, status: int, title: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.problem = problem(status, title, detail, **more)


def as_response(refused: Problem) -> Response:
    """Return a problem as a response."""
    response = Response(refused.body, status_code=refused.status)
    response.raw_headers = [*refused.headers]
    return response


async def read_body(request: Request, worker: Worker) -> bytes:
    """Return the body, or refuse one that is too large or comes too slowly."""
    limit = int(worker.limits.body_mb * 2**20)
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() not in ("", "identity"):
        detail = f"content-encoding {encoding!r} is not read; send plain JSON."
        raise Refused(415, "unsupported encoding", detail)
    told = request.headers.get("content-length", "0")
    if told.isdigit() and int(told) > limit:
        raise _too_large(worker)
    parts, size = [], 0
    try:
        async with asyncio.timeout(worker.limits.read_s):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise _too_large(worker)
                parts.append(part)
    except TimeoutError:
        raise Refused(
            408,
            "request timeout",
            f"The body did not arrive within {worker.limits.read_s:g} s; send it faster or in "
            "smaller parts.",
        ) from None
    return b"".join(parts)


def _too_large(worker: Worker) -> Refused:
    return Refused(
        413,
        "body too large",
        f"The body is larger than {worker.limits.body_mb:g} MiB; send it in parts.",
    )


def decoded(body: bytes, kind: type[T]) -> T:
    """Return the body as this type; what does not fit is told by its place and near match.

    Examples
    --------
    >>> from promise.serving.bodies import LabelsSent
    >>> decoded(b'{"lables": []}', LabelsSent)
    Traceback (most recent call last):
        ...
    promise.serving.call.Refused: there is no field 'lables' ($); did you mean 'labels'?
    """
    return converted(parsed(body), kind)


def parsed(body: bytes) -> Any:
    """Return the body as plain JSON values."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        told = "the body is empty" if not body.strip() else f"the body is no JSON: {error}"
        raise Refused(400, "malformed request", f"{told}.") from error


def converted(value: Any, kind: type[T]) -> T:
    """Return plain JSON values as this type, or refuse them by place and near match."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise Refused(422, "invalid input", _told(str(error), kind)) from error


def _told(message: str, kind: Any) -> str:
    what, _, place = message.partition(" - at ")
    place = place.strip("`") or "$"
    found = _UNKNOWN_FIELD.match(what)
    if found is None:
        return f"{what} ({place})"
    field = found.group(1)
    return f"there is no field {field!r} ({place}); {near(field, _fields(kind, place))}"


def _fields(kind: Any, place: str) -> list[str]:
    """Return the field names of the struct at this place, by the struct types below `kind`."""
    about: Any = msgspec.inspect.type_info(kind)
    for step in re.findall(r"\.(\w+)", place):
        inner = next((f.type for f in about.fields if f.encode_name == step), None)
        while isinstance(inner, msgspec.inspect.ListType):
            inner = inner.item_type
        if isinstance(inner, msgspec.inspect.StructType):
            about = inner
    return [field.encode_name for field in getattr(about, "fields", ())]


def endpoint_named(call: Call) -> Endpoint:
    """Return the endpoint that the path names, or refuse with the near match."""
    name = call.path["name"]
    found = call.snapshot.endpoints.get(name)
    if found is not None:
        return found
    if call.catalogue.registry.versions(name):
        told = f"{name} is registered and not live: run `promise deploy {name}`."
        raise Refused(409, "model not deployed", told)
    known = sorted(call.snapshot.endpoints)
    hint = near(name, known) if known else "nothing is deployed yet; run `promise deploy NAME`."
    raise Refused(404, "unknown model", f"there is no model {name!r}; {hint}")


async def answer(
    call: Call, run: Callable[[Call], Any], *, threads: anyio.CapacityLimiter | None
) -> Response:
    """Run a handler and return its answer; a plain function runs in one of `threads`, if given."""
    if iscoroutinefunction(run):
        made = await run(call)
    elif threads is None:
        made = run(call)
    else:
        made = await anyio.to_thread.run_sync(run, call, limiter=threads)
    reply = made if isinstance(made, Reply) else Reply(made)
    content = reply.content
    raw = content if isinstance(content, bytes) else _ENCODER.encode(content)
    return Response(raw, status_code=reply.status, media_type=reply.media_type)


def problem_of(error: Exception) -> Problem:
    """Return what the client is told of an error; an unforeseen one is logged under a trace id."""
    if isinstance(error, Refused):
        return error.problem
    if isinstance(error, MalformedRequest):
        return problem(400, "malformed request", str(error))
    if isinstance(error, TooManyRows):
        return problem(413, "too many rows", str(error))
    if isinstance(error, EventConflict):
        return problem(409, "event id taken", str(error))
    if isinstance(error, DataError | ConfigError):
        return problem(422, "invalid input", str(error))
    if isinstance(error, ClientDisconnect):
        return problem(400, "connection closed", "The client left before the body was read.")
    if isinstance(error, StateError | sa.exc.OperationalError | sa.exc.TimeoutError):
        _LOG.warning("database away", extra={"reason": str(error.__cause__ or error)})
        return problem(
            503,
            "database away",
            "The database does not answer at the moment; try again shortly.",
            headers=[("retry-after", "1")],
        )
    return _unforeseen(error)


def _unforeseen(error: Exception) -> Problem:
    trace = secrets.token_hex(8)
    _LOG.error("request failed", exc_info=error, extra={"trace": trace})
    return problem(
        500,
        "unexpected error",
        f"Something went wrong on our side; the log has it under {trace}.",
        instance=f"urn:promise:trace:{trace}",
    )
