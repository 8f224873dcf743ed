"""Rows without end: one JSON object a line in, one answer a line out, in bounded memory.

`POST /v1/models/NAME/predict` with `content-type: application/x-ndjson`. Each line is one row; each
answer is one line, `{"id": …, "prediction": …, …}`, in the order of the rows. Rows are answered a
thousand at a time, routed, counted and logged like those of any batch. What the client has not
taken yet waits in a temporary file, so that it may send everything before it reads anything; above
`MOST_WAITING` the server stops reading until the client does, and a client that takes nothing for
`STALL_S` then, or once it has sent everything, is left. Long rows are answered fewer at a
time, so that they take no more memory than a body may.

A refusal of the first rows is an ordinary problem document. What goes wrong later ends the stream
with the line `{"error": {…}}`, which holds the problem document.

    curl -T names.ndjson -X POST -H 'content-type: application/x-ndjson' \
        localhost:8080/v1/models/apps/predict
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promise.errors import DataError
from promise.pipeline.json_text import MalformedRequest
from promise.serving.answered import Answered
from promise.serving.arrivals import Disconnected, Receive
from promise.serving.intake import Intake
from promise.serving.posts import Desk
from promise.serving.problems import Headers, Send
from promise.serving.refusals import problem_of
from promise.serving.request import Request

if TYPE_CHECKING:
    from promise.serving.worker import Worker

CONTENT_TYPE = b"application/x-ndjson"
BLOCK_ROWS = 1_000
MOST_WAITING = 1 << 30
"""Bytes of answers that may wait on disk for a client that does not read."""

STALL_S = 60.0
"""A client that has sent everything, or may not send more, takes some of its answers in so long."""

_IN_MEMORY = 1 << 22
_CHUNK = 1 << 16


def streams(headers: Headers) -> bool:
    """Say whether a request's body is a stream of lines.

    Examples
    --------
    >>> streams([(b"content-type", b"application/x-ndjson; charset=utf-8")])
    True
    """
    return any(
        name == b"content-type" and value.lower().startswith(CONTENT_TYPE)
        for name, value in headers
    )


@dataclass(frozen=True)
class Stream:
    """One request whose rows come line by line.

    Parameters
    ----------
    desk
        Returns who answers now; it may change while the stream lasts.
    deadline_ms
        How long each block of rows may take.
    """

    worker: Worker
    desk: Callable[[], Desk]
    entity: str | None
    deadline_ms: float

    async def answer(self, receive: Receive, send_: Send) -> None:
        """Answer every line; returns when the client has all answers.

        Raises
        ------
        PromiseError
            Where the first block is refused; nothing was sent then.
        Disconnected
            The client left.
        """
        blocks = self._blocks(receive)
        opening = await anext(blocks, None)
        if opening is None:
            raise DataError("the stream holds no row; send one JSON object on each line.")
        first = await self._answered(opening)
        backlog = Backlog()
        backlog.put(first[1])
        sending = asyncio.create_task(_send(first[0], backlog, send_))
        try:
            await self._rest(blocks, backlog)
            backlog.close()
            await _taken(sending, backlog)
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
            backlog.discard()

    async def _rest(self, blocks: AsyncIterator[tuple[int, list[bytes]]], backlog: Backlog) -> None:
        try:
            async for block in blocks:
                await backlog.room()
                backlog.put((await self._answered(block))[1])
        except Disconnected:
            raise
        except Exception as error:
            backlog.put(b'{"error":' + problem_of(error).body + b"}\n")

    async def _answered(self, block: tuple[int, list[bytes]]) -> tuple[Headers, bytes]:
        """Return headers and lines that answer a block."""
        number, lines = block
        desk = self.desk()
        assert desk.intake is not None, "asked only where something can be read"
        rows = [_row(desk.intake, line, number + i) for i, line in enumerate(lines, 1)]
        began_s = self.worker.clock.monotonic()
        hurried = self.deadline_ms < self.worker.limits.deadline_ms
        body = b'{"rows":[' + b",".join(lines) + b"]}"
        request = Request(
            desk.intake, rows, body, self.entity, began_s, began_s + self.deadline_ms * 1e-3,
            hurried=hurried,
        )  # fmt: skip
        answered = await self.worker.answering.answer(desk, request)
        return _headers(answered), _lines(answered)

    async def _blocks(self, receive: Receive) -> AsyncIterator[tuple[int, list[bytes]]]:
        """Yield rows as lines, with how many came before."""
        limits, lines = self.worker.limits, list[bytes]()
        seen = n_bytes = 0
        async for line in self._split(receive):
            lines.append(line)
            n_bytes += len(line)
            if len(lines) == min(BLOCK_ROWS, limits.rows) or n_bytes >= limits.body_bytes:
                yield seen, lines
                seen, lines, n_bytes = seen + len(lines), [], 0
        if lines:
            yield seen, lines

    async def _split(self, receive: Receive) -> AsyncIterator[bytes]:
        """Yield lines that are not blank, as they come."""
        limits, rest, more = self.worker.limits, b"", True
        while more:
            try:
                async with asyncio.timeout(limits.read_s):
                    message = await receive()
            except TimeoutError:
                raise limits.too_slow() from None
            if message["type"] != "http.request":
                raise Disconnected
            more = bool(message.get("more_body"))
            *lines, rest = (rest + message.get("body", b"")).split(b"\n")
            if len(rest) > limits.body_bytes:
                raise limits.too_large(unread=more)
            for line in lines if more else [*lines, rest]:
                if line.strip():
                    yield line.strip()


class Backlog:
    """Answers that wait for their client: a little in memory, the rest on disk."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 — `discard` closes it
        self._taken = self._put = self.passed = 0
        self._closed = False
        self._changed = asyncio.Event()

    def put(self, lines: bytes) -> None:
        """Add what is to be sent."""
        self._file.seek(self._put)
        self._file.write(lines)
        self._put += len(lines)
        self._changed.set()

    async def take(self) -> bytes:
        """Return what is to be sent next; nothing once it is closed and empty."""
        while self._taken == self._put:
            if self._closed:
                return b""
            await self._change()
        self._file.seek(self._taken)
        chunk = self._file.read(_CHUNK)
        self._taken += len(chunk)
        self.passed += len(chunk)
        if self._taken == self._put:
            self._taken = self._put = 0
            self._file.truncate(0)
        self._changed.set()
        return chunk

    async def room(self) -> None:
        """Wait until not too much waits.

        Raises
        ------
        Disconnected
            The client took nothing for `STALL_S`.
        """
        while self._put - self._taken > MOST_WAITING:
            try:
                async with asyncio.timeout(STALL_S):
                    await self._change()
            except TimeoutError:
                raise Disconnected from None

    def close(self) -> None:
        """Say that nothing more will come."""
        self._closed = True
        self._changed.set()

    def discard(self) -> None:
        """Give the disk back."""
        self._file.close()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def _row(intake: Intake, line: bytes, number: int) -> tuple[object, ...]:
    """Return the row of one line, or say which line holds none."""
    try:
        rows, batch, _ = intake.read(line)
    except (DataError, MalformedRequest) as error:
        raise DataError(f"line {number}: {error}") from error
    if batch:
        raise DataError(f"line {number}: it is a batch; send one row on each line.")
    return rows[0]


def _headers(answered: Answered) -> Headers:
    told = [header for header in answered.post.headers if header[0] != b"content-type"]
    return [(b"content-type", CONTENT_TYPE), *told]


def _lines(answered: Answered) -> bytes:
    """Return each answer with its id on a line of its own, and whether another stood in."""
    end = b"\n"
    if answered.fallback is not None:
        end = b',"fallback":"' + answered.fallback.encode() + b'"}\n'
    return b"".join(
        b'{"id":"' + id.encode() + b'",' + (one[1:] if end == b"\n" else one[1:-1]) + end
        for id, one in zip(answered.ids, answered.encoded, strict=True)
    )


async def _taken(sending: asyncio.Task[None], backlog: Backlog) -> None:
    """Wait until the client has all answers; one that takes none any more has left."""
    while not sending.done():
        passed = backlog.passed
        await asyncio.wait({sending}, timeout=STALL_S)
        if not sending.done() and backlog.passed == passed:
            raise Disconnected
    await sending


async def _send(headers: Headers, backlog: Backlog, send_: Send) -> None:
    await send_({"type": "http.response.start", "status": 200, "headers": headers})
    while chunk := await backlog.take():
        await send_({"type": "http.response.body", "body": chunk, "more_body": True})
    await send_({"type": "http.response.body", "body": b""})
