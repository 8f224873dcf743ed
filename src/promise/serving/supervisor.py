"""Keeps a server running: fixed worker slots, each restarted when it dies, drained together."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from promise.clock import Clock, SystemClock
from promise.errors import ConfigError, PromiseError
from promise.features.stores.opening import refuse_many_workers
from promise.serving.backlog import turn_away
from promise.serving.limits import Limits
from promise.serving.process import Order, told
from promise.settings import Settings
from promise.state.files import write_json

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
_STEADY_S = 30.0
_DEATHS_AT_START = 5
_LOOK_S = 0.1


class StartFailed(PromiseError):
    """The workers of a server die before they are ready."""


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port} ({error.strerror or error}); "
            "choose another by --port or --host."
        ) from error


@dataclass
class _Child:
    """A place that a process is kept in."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    ready_fd: int | None = None
    ready: bool = False
    started_s: float = 0.0
    deaths: int = 0
    again_s: float = 0.0


@dataclass
class Supervisor:
    """Runs workers on one socket, and the watch beside them, until told to stop.

    Workers are fresh interpreters that inherit the listening socket, so that a dead one loses
    only what it had accepted.

    Parameters
    ----------
    watch
        The command of the process that judges and moves routes; empty for none.
    on_ready
        Told once, when every worker is ready: model name to live version.
    """

    settings: Settings
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    open_access: bool | None = None
    limits: Limits = field(default_factory=Limits)
    watch: Sequence[str] = ()
    on_ready: Callable[[dict[str, int | None]], None] | None = None
    clock: Clock = field(default_factory=SystemClock)
    _children: list[_Child] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _socket: socket.socket | None = None
    _told: bool = False

    def bind(self) -> str:
        """Take the port and return the URL; `run` does it where it was not done.

        Raises
        ------
        ConfigError
            When the port is taken, or event state would be kept by several workers apart.
        """
        refuse_many_workers(self.settings, self.workers)
        if self._socket is None:
            self._socket = bound_socket(self.host, self.port)
        port = self._socket.getsockname()[1]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{port}"

    def run(self) -> None:
        """Serve until `stop`, SIGTERM or SIGINT; then drain and wait.

        Raises
        ------
        StartFailed
            The workers die again and again before any of them was ready.
        """
        self.bind()
        self._children = [_Child(f"worker-{slot}") for slot in range(self.workers)]
        if self.watch:
            self._children.append(_Child("watch"))
        with _signals(self.stop):
            try:
                while not self._stopping.is_set():
                    self._look()
                    self._wait()
            finally:
                self._drain()

    def stop(self) -> None:
        """Let `run` drain and return."""
        self._stopping.set()

    def _look(self) -> None:
        """Start what is missing or due again; take note of what died."""
        now = self.clock.monotonic()
        for slot, child in enumerate(self._children):
            if child.process is not None and child.process.poll() is not None:
                self._died(child, now)
            if child.process is None and now >= child.again_s:
                self._start(slot, child)
                child.started_s = now

    def _died(self, child: _Child, now: float) -> None:
        assert child.process is not None, "only a process that ran can die"
        code = child.process.returncode
        child.deaths = 1 if now - child.started_s >= _STEADY_S else child.deaths + 1
        pause_s = min(_FIRST_PAUSE_S * 2 ** (child.deaths - 1), _LONGEST_PAUSE_S)
        child.process, child.again_s = None, now + pause_s
        _close(child)
        _LOG.warning("%s ended with code %s; again in %.1f s", child.name, code, pause_s)
        never = child.name != "watch" and not any(c.ready for c in self._children)
        if never and child.deaths >= _DEATHS_AT_START:
            raise StartFailed(
                f"{child.name} ended {child.deaths} times before it was ready (code {code}); "
                "its messages are above."
            )

    def _start(self, slot: int, child: _Child) -> None:
        if child.name == "watch":
            child.process = subprocess.Popen([*self.watch], start_new_session=True)
            return
        assert self._socket is not None, "bound before anything starts"
        child.ready_fd, told_fd = os.pipe()
        order = Order(
            slot=slot,
            socket_fd=self._socket.fileno(),
            ready_fd=told_fd,
            parent=os.getpid(),
            open_access=is_loopback(self.host) if self.open_access is None else self.open_access,
            settings=told(self.settings),
            limits=self.limits,
        )
        command = [sys.executable, "-m", "promise.serving.process", order.to_json()]
        # A session of its own: Ctrl-C reaches the supervisor alone, which drains the workers.
        child.process = subprocess.Popen(
            command, pass_fds=(order.socket_fd, told_fd), start_new_session=True
        )
        os.close(told_fd)
        self._write_pids()

    def _wait(self) -> None:
        """Wait a moment, or until a worker says that it is ready."""
        waiting = [c for c in self._children if c.ready_fd is not None]
        if not waiting:
            self._stopping.wait(_LOOK_S)
            return
        by_fd = {c.ready_fd: c for c in waiting if c.ready_fd is not None}
        told = select.poll()  # unlike select, it knows descriptors above 1023
        for fd in by_fd:
            told.register(fd, select.POLLIN)
        for fd, _ in told.poll(1e3 * _LOOK_S):
            child = by_fd[fd]
            message = os.read(fd, 1 << 20)
            _close(child)
            if message:
                self._became_ready(child, msgspec.json.decode(message))

    def _became_ready(self, child: _Child, message: dict[str, Any]) -> None:
        child.ready = True
        everybody = all(c.ready for c in self._children if c.name != "watch")
        if everybody and not self._told and self.on_ready is not None:
            self._told = True
            self.on_ready(message["models"])

    def _write_pids(self) -> None:
        running = [c for c in self._children if c.name != "watch" and c.process is not None]
        pids = [c.process.pid for c in running if c.process is not None]
        try:
            write_json(self.settings.run / "workers.json", {"pids": pids})
        except (PromiseError, OSError) as error:
            _LOG.warning("the list of workers could not be written: %s", error)

    def _drain(self) -> None:
        """Tell every process to end, and wait; what does not end is killed."""
        # Who is connected by now must find a worker that accepts: this copy would outlive them.
        self._close_socket()
        running = [c.process for c in self._children if c.process is not None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        until_s = self.clock.monotonic() + self.limits.drain_s + 15.0
        for process in running:
            try:
                process.wait(max(0.1, until_s - self.clock.monotonic()))
            except subprocess.TimeoutExpired:
                _LOG.error("process %d did not end in time and is killed", process.pid)
                process.kill()
                process.wait()
        for child in self._children:
            _close(child)

    def _close_socket(self) -> None:
        if self._socket is not None:
            turn_away(self._socket)
            self._socket.close()
            self._socket = None


def _close(child: _Child) -> None:
    if child.ready_fd is not None:
        os.close(child.ready_fd)
        child.ready_fd = None


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on SIGTERM and SIGINT; left alone outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stop()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
