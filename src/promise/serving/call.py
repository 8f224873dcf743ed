"""One request beside the lane: read within its limits, answered off the loop, refused in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from promise.clock import Clock
from promise.errors import DataError
from promise.pipeline.json_text import read_json
from promise.serving.absence import no_model
from promise.serving.arrivals import pass_over
from promise.serving.catalogue import Catalogue
from promise.serving.endpoints import Endpoint, Snapshot
from promise.serving.misfits import misfit
from promise.serving.problems import Problem, Refused
from promise.serving.worker import Worker
from promise.state.patience import at_most

T = TypeVar("T")
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
    until_s
        Monotonic seconds of the clock: how long the database is waited for.
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
    until_s: float
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """An answer with another status than 200, or one that is no JSON."""

    content: Any
    status: int = 200
    media_type: str = "application/json"
    headers: Sequence[tuple[bytes, bytes]] = ()


def as_response(refused: Problem) -> Response:
    """Return a problem as a response."""
    response = Response(refused.body, status_code=refused.status)
    response.raw_headers = [*refused.headers]
    return response


async def read_body(request: Request, worker: Worker) -> bytes:
    """Return the body, or refuse one that is too large or comes too slowly."""
    try:
        worker.limits.check_encoding(request.headers.get("content-encoding", ""))
        worker.limits.check_told_length(request.headers.get("content-length", ""))
        return await worker.arrivals.body(request.receive)
    except Refused as refused:
        if refused.unread:
            await pass_over(request.receive)
        raise


def decoded(body: bytes, kind: type[T]) -> T:
    """Return the body as this type, or say what came in its place and where.

    Examples
    --------
    >>> from promise.serving.bodies import LabelsSent
    >>> decoded(b'{"lables": []}', LabelsSent)
    Traceback (most recent call last):
        ...
    promise.errors.DataError: there is no field 'lables'; did you mean 'labels'?
    """
    return converted(read_json(body), kind)


def converted(value: Any, kind: type[T]) -> T:
    """Return plain JSON values as this type.

    Raises
    ------
    DataError
        Naming the entry and the field that do not fit, what came and what was expected.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        told = misfit(value, kind)
        assert told is not None, "what was refused does not fit"
        raise DataError(told) from error


def endpoint_named(call: Call) -> Endpoint:
    """Return the endpoint that the path names, or refuse with the near match."""
    name = call.path["name"]
    found = call.snapshot.endpoints.get(name)
    if found is not None:
        return found
    raise absent(call, name)


def absent(call: Call, name: str) -> Refused:
    """Return the refusal of a name that is not deployed, or not known at all."""
    return no_model(name, live=list(call.snapshot.endpoints), registered=call.catalogue.names())


async def answer(
    call: Call, run: Callable[[Call], Any], *, threads: anyio.CapacityLimiter | None
) -> Response:
    """Run a handler and return its answer; a plain function runs in one of `threads`, if given.

    It waits for a thread, and for the database, until the call's deadline and no longer.
    """
    with at_most(call.until_s - call.clock.monotonic()):
        made = await _made(call, run, threads)
    reply = made if isinstance(made, Reply) else Reply(made)
    content = reply.content
    raw = content if isinstance(content, bytes) else _ENCODER.encode(content)
    response = Response(raw, status_code=reply.status, media_type=reply.media_type)
    response.raw_headers.extend(reply.headers)
    return response


async def _made(
    call: Call, run: Callable[[Call], Any], threads: anyio.CapacityLimiter | None
) -> Any:
    if iscoroutinefunction(run):
        return await run(call)
    if threads is None:
        return run(call)
    # a thread that has begun is not abandoned: it keeps what it was given, or says why not
    left_s = call.until_s - call.clock.monotonic() if threads.available_tokens < 1 else math.inf
    with anyio.move_on_after(left_s):
        return await anyio.to_thread.run_sync(run, call, limiter=threads)
    detail = "the request's time was over before a thread was free for it; try again shortly."
    raise Refused(503, "no time left", detail, headers=[("retry-after", "1")])
