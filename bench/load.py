"""A load generator in a process of its own: python -m bench.load, told by JSON on its input.

Keep-alive connections over raw sockets. Without a rate each connection sends its next request when
the answer is there (closed loop); with a rate requests are due at fixed times however slow the
answers are, and latency counts from the time that was due (open loop, no coordinated omission).
The last line printed is a JSON object.

The clock is the kernel's (timerfd): timers of an event loop count whole milliseconds, so that one
that waits for less spins, takes a whole core from the server beside it, and is then itself put off
by the scheduler.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import uvloop

_LAST_S = 5.0
"""How long the last answers may take."""


@dataclass
class Order:
    """What to send, where, how fast and how long.

    Parameters
    ----------
    bodies
        Sent in turn.
    rate
        Requests per second over all connections; 0 for a closed loop.
    paths
        Asked for by GET, in turn; then nothing is posted.
    """

    port: int
    path: str
    bodies: list[str]
    connections: int = 16
    seconds: float = 5.0
    rate: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)


@dataclass
class Told:
    """What came back: latencies in milliseconds.

    Parameters
    ----------
    sent_late_p99_ms
        How late this process itself noticed what was due: counted into the latencies, and no fault
        of the server's.
    """

    requests: int
    failed: int
    seconds: float
    per_second: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    worst_ms: float
    sent_late_p99_ms: float
    codes: dict[str, int]


class Connection(asyncio.Protocol):
    """One keep-alive connection; `done` is called for every whole answer."""

    def __init__(self, crew: Crew) -> None:
        self.crew, self.sent_s, self.buffer = crew, 0.0, b""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Be free for work."""
        self.transport = transport
        self.crew.free(self)

    def send(self, request: bytes, due_s: float) -> None:
        """Send one request."""
        self.sent_s = due_s
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take in one answer."""
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 : (head.find(b"\r", at) + 1 or end + 1) - 1] or 0)
        if len(self.buffer) < end + 4 + length:
            return
        self.buffer = b""
        self.crew.done(self, int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 — asyncio's
        """Count what was cut off, and connect again."""
        self.crew.lost(self)


class Crew:
    """All connections and what they measured."""

    def __init__(self, order: Order) -> None:
        self.order, self.loop = order, asyncio.get_running_loop()
        extra = "".join(f"{k}: {v}\r\n" for k, v in order.headers.items())
        self.requests = [
            (
                f"POST {order.path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
                f"{extra}content-length: {len(body.encode())}\r\n\r\n{body}"
            ).encode()
            for body in (order.bodies if not order.paths else ())
        ]
        self.requests += [
            f"GET {path} HTTP/1.1\r\nhost: bench\r\n{extra}\r\n".encode() for path in order.paths
        ]
        self.latencies: list[float] = []
        self.sent_late: list[float] = []
        self.codes: dict[str, int] = {}
        self.idle: list[Connection] = []
        self.busy: set[Connection] = set()
        self.late: list[float] = []  # due times that found no free connection
        self.n, self.failed, self.ending = 0, 0, False
        self.began_s = time.perf_counter()

    def free(self, connection: Connection) -> None:
        """Give a connection its next request, if one is due."""
        self.busy.discard(connection)
        if self.ending:
            return
        if self.order.rate == 0:
            self.give(connection, time.perf_counter())
        elif self.late:
            self.give(connection, self.late.pop(0))
        else:
            self.idle.append(connection)

    def give(self, connection: Connection, due_s: float) -> None:
        """Send the next request."""
        self.busy.add(connection)
        connection.send(self.requests[self.n % len(self.requests)], due_s)
        self.n += 1

    def done(self, connection: Connection, code: int) -> None:
        """Note an answer."""
        self.latencies.append(time.perf_counter() - connection.sent_s)
        self.codes[str(code)] = self.codes.get(str(code), 0) + 1
        self.failed += code != 200
        self.free(connection)

    def lost(self, connection: Connection) -> None:
        """Note a cut connection; one that was idle is no failure."""
        if self.ending:
            return
        if connection in self.busy:
            self.failed += 1
            self.codes["cut"] = self.codes.get("cut", 0) + 1
        self.busy.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        self.loop.create_task(self.connect())

    async def connect(self) -> None:
        """Open one connection."""
        try:
            await self.loop.create_connection(
                lambda: Connection(self), "127.0.0.1", self.order.port
            )
        except OSError:
            self.failed += 1
            await asyncio.sleep(0.05)

    async def run(self) -> Told:
        """Send for as long as ordered, then wait for the last answers."""
        await asyncio.gather(*(self.connect() for _ in range(self.order.connections)))
        self.began_s = time.perf_counter()
        if self.order.rate == 0:
            await asyncio.sleep(self.order.seconds)
        else:
            await self._at_rate()
        seconds = time.perf_counter() - self.began_s
        self.ending = self.order.rate == 0
        until_s = time.perf_counter() + _LAST_S
        while (self.busy or self.late) and time.perf_counter() < until_s:
            await asyncio.sleep(0.01)
        self.ending = True
        self.failed += len(self.busy) + len(self.late)
        return self._told(seconds)

    async def _at_rate(self) -> None:
        total, step = int(self.order.rate * self.order.seconds), 1 / self.order.rate
        given, all_given = 0, asyncio.Event()

        def give_due() -> None:
            nonlocal given
            timer.read()
            now = time.perf_counter()
            n_due = min(total, 1 + int((now - self.began_s) / step))
            for number in range(given, n_due):
                self._due(self.began_s + number * step, now)
            given = n_due
            if given == total:
                all_given.set()

        timer = Timer(step)
        self.loop.add_reader(timer.handle, give_due)
        try:
            await all_given.wait()
        finally:
            self.loop.remove_reader(timer.handle)
            timer.close()

    def _due(self, due_s: float, now: float) -> None:
        """Send what is due, or keep it until a connection is free."""
        self.sent_late.append(now - due_s)
        while self.idle:
            connection = self.idle.pop()
            if not connection.transport.is_closing():
                return self.give(connection, due_s)
        self.late.append(due_s)
        return None

    def _told(self, seconds: float) -> Told:
        ms = sorted(1e3 * s for s in self.latencies) or [float("nan")]
        late_ms = sorted(1e3 * s for s in self.sent_late) or [0.0]

        def at(share: float, among: list[float] = ms) -> float:
            return among[min(len(among) - 1, int(share * len(among)))]

        return Told(
            requests=len(self.latencies), failed=self.failed, seconds=seconds,
            per_second=len(self.latencies) / seconds, p50_ms=at(0.5), p99_ms=at(0.99),
            p999_ms=at(0.999), worst_ms=ms[-1],
            sent_late_p99_ms=at(0.99, late_ms), codes=self.codes,
        )  # fmt: skip


class Timer:
    """The kernel's periodic timer behind a descriptor that is readable once it is due."""

    def __init__(self, every_s: float) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.handle = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        whole, part = divmod(round(1e9 * every_s), 10**9)
        spec = (ctypes.c_long * 4)(whole, part, whole, part)  # interval, first
        if self.handle < 0 or libc.timerfd_settime(self.handle, 0, spec, None):
            raise OSError(ctypes.get_errno(), "the kernel gives no timer")

    def read(self) -> None:
        """Take note that it was due."""
        os.read(self.handle, 8)

    def close(self) -> None:
        """Give it back."""
        os.close(self.handle)


async def generate(order: Order) -> Told:
    """Run one order."""
    return await Crew(order).run()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(generate(Order(**json.loads(sys.stdin.read())))))))
