"""Bodies on their way: whoever sends too slowly is cut off, by one timer for all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from promise.serving.limits import Limits

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_LOOKS = 4
"""How often within the allowed time is looked for what is overdue."""

_LINGER_S = 1.0
"""How long the rest of a refused body is read."""


class Disconnected(Exception):
    """The client went away before its request was whole."""


class Arrivals:
    """Reads bodies within their size and time.

    A body is nearly always there when it is asked for; a timer of its own would cost each request
    more than reading it does. A slow one is noticed up to a quarter of the allowed time late.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits, self._limit_bytes = limits, limits.body_bytes
        self._began_s: dict[asyncio.Task[Any], float] = {}
        self._overdue: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def body(self, receive: Receive) -> bytes:
        """Return the whole body.

        Raises
        ------
        Refused
            It is too large (413) or comes too slowly (408).
        Disconnected
            The client left.
        """
        task = asyncio.current_task()
        assert task is not None, "requests are answered in tasks"
        loop = asyncio.get_running_loop()
        self._began_s[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._limits.read_s / _LOOKS, self._look, loop)
        try:
            message = await receive()
            if message["type"] != "http.request" or message.get("more_body"):
                return await self._parts(message, receive)
        except asyncio.CancelledError:
            if task in self._overdue and not task.uncancel():
                raise self._limits.too_slow() from None
            raise
        finally:
            del self._began_s[task]
            self._overdue.discard(task)
        body: bytes = message.get("body", b"")
        if len(body) > self._limit_bytes:
            raise self._limits.too_large(unread=False)
        return body

    async def _parts(self, message: MutableMapping[str, Any], receive: Receive) -> bytes:
        body = bytearray()
        while message["type"] == "http.request":
            body += message.get("body", b"")
            if len(body) > self._limit_bytes:
                raise self._limits.too_large(unread=bool(message.get("more_body")))
            if not message.get("more_body"):
                return bytes(body)
            message = await receive()
        raise Disconnected

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cut off what is overdue; look again for as long as anything is on its way."""
        until_s = loop.time() - self._limits.read_s
        for task, began_s in list(self._began_s.items()):
            if began_s <= until_s and task not in self._overdue:
                self._overdue.add(task)
                task.cancel()
        self._timer = None
        if self._began_s:
            self._timer = loop.call_later(self._limits.read_s / _LOOKS, self._look, loop)


async def pass_over(receive: Receive) -> None:
    """Read the rest of a refused body without keeping it, for a moment.

    A client that is still sending when its connection is closed is told of a reset instead of the
    refusal.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            message = await receive()
            while message["type"] == "http.request" and message.get("more_body"):
                message = await receive()
