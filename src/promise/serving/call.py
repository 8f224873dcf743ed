"""One request beside the lane: read within its limits, answered off the loop, refused in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from promise.clock import Clock
from promise.errors import near
from promise.serving.absence import no_model
from promise.serving.arrivals import pass_over
from promise.serving.catalogue import Catalogue
from promise.serving.endpoints import Endpoint, Snapshot
from promise.serving.problems import Problem, Refused
from promise.serving.worker import Worker

T = TypeVar("T")
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
    """Return the body as this type; what does not fit is told by its place and near match.

    Examples
    --------
    >>> from promise.serving.bodies import LabelsSent
    >>> decoded(b'{"lables": []}', LabelsSent)
    Traceback (most recent call last):
        ...
    promise.serving.problems.Refused: there is no field 'lables' ($); did you mean 'labels'?
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
    raise absent(call, name)


def absent(call: Call, name: str) -> Refused:
    """Return the refusal of a name that is not deployed, or not known at all."""
    return no_model(name, live=list(call.snapshot.endpoints), registered=call.catalogue.names())


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
