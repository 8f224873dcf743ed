"""What went wrong with a request, as documents that clients can read (RFC 9457)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, NamedTuple

import msgspec

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

CONTENT_TYPE = "application/problem+json"
_CONTENT_TYPE = (b"content-type", CONTENT_TYPE.encode())


class Problem(NamedTuple):
    """A refusal that is ready to be sent: status, headers (with length) and JSON body."""

    status: int
    headers: Headers
    body: bytes


def problem(
    status: int,
    title: str,
    detail: str,
    *,
    instance: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    **more: Any,
) -> Problem:
    """Return the problem document that tells a client what came, what was expected, what to do.

    Parameters
    ----------
    title
        The kind of problem, the same for every occurrence.
    detail
        This occurrence, in words.
    instance
        The path of the request, or an id under which the log knows this occurrence.
    headers
        Further headers, e.g. `("retry-after", "1")`.
    more
        Further members of the document.

    Examples
    --------
    >>> found = problem(404, "unknown model", "there is no model 'chrun'", near=["churn"])
    >>> found.status, found.headers[0]
    (404, (b'content-type', b'application/problem+json'))
    >>> msgspec.json.decode(found.body)["detail"]
    "there is no model 'chrun'"
    """
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if instance is not None:
        document["instance"] = instance
    document.update(more)
    body = msgspec.json.encode(document)
    lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    length = (b"content-length", b"%d" % len(body))
    return Problem(status, [_CONTENT_TYPE, length, *lines], body)


async def send(send: Send, refused: Problem) -> None:
    """Send a problem over ASGI."""
    await send(
        {"type": "http.response.start", "status": refused.status, "headers": refused.headers}
    )
    await send({"type": "http.response.body", "body": refused.body})


class Refused(Exception):
    """A request that cannot be answered as asked; carries its problem document.

    Parameters
    ----------
    unread
        Whether the client still sends its body: it reads no answer before it is done.

    Examples
    --------
    >>> Refused(404, "unknown model", "there is no model 'chrun'").problem.status
    404
    """

    def __init__(
        self, status: int, title: str, detail: str, *, unread: bool = False, **more: Any
    ) -> None:
        super().__init__(detail)
        self.unread = unread
        self.problem = problem(status, title, detail, **more)


COUNTED = {
    400: "bad_requests",
    408: "slow_clients",
    413: "too_large",
    422: "bad_requests",
    429: "shed",
    500: "server_errors",
    504: "late",
}
"""Which total counts a refusal, by its status; the others are not counted."""

OF_NO_MODEL = ("shed", "slow_clients", "unknown_model", "disconnected")
"""Totals that are not told apart by model."""
