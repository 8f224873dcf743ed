"""HTTP for the worker: uvicorn's, with a time limit on headers, which uvicorn does not have."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

IDLE_S = 75.0
"""How long a connection may stay open without a request."""

_LAST_S = 1.0
"""How long a connection that was just made may stay silent once the server is closing."""

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class TimedProtocol(HttpToolsProtocol):  # type: ignore[misc]
    """Knows since when it waits for the headers of a request.

    Parameters
    ----------
    headers_since
        Loop time of the first byte of a request whose headers are not whole yet, else None.
    silent_since
        Loop time of the connection, until its first byte.
    """

    headers_since: float | None = None
    silent_since: float | None = None
    _leaving = False

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request from now on."""
        super().connection_made(transport)
        self.silent_since = self.loop.time()

    def on_message_begin(self) -> None:
        """Wait for the rest of the headers."""
        super().on_message_begin()
        self.silent_since, self.headers_since = None, self.loop.time()

    def on_headers_complete(self) -> None:
        """Wait no longer."""
        self.headers_since = None
        super().on_headers_complete()
        if self._leaving:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close once the request that may be on its way is answered."""
        self._leaving = True
        if self.silent_since is None and self.headers_since is None:
            super().shutdown()

    def hang_up(self, now_s: float, *, read_s: float) -> None:
        """Close the connection where a request's headers, or a first byte, are overdue."""
        if self.transport.is_closing():
            return
        idle_s = _LAST_S if self._leaving else IDLE_S
        if self.headers_since is not None and now_s - self.headers_since > read_s:
            self.transport.write(_TOO_SLOW)
            self.transport.close()
        elif self.silent_since is not None and now_s - self.silent_since > idle_s:
            self.transport.close()


async def hang_up_on_slow(connections: set[Any], *, read_s: float) -> None:
    """Close overdue connections again and again, for as long as it runs."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(min(1.0, read_s / 4))
        for connection in list(connections):
            connection.hang_up(loop.time(), read_s=read_s)
