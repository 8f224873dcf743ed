"""Runs work in processes of this machine: a fork per piece, a deadline and a memory watch."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from promise.engine.base import Handle
from promise.engine.bounds import DYING_S, Bounds, Overrun
from promise.engine.handle import LocalHandle, Reason, T, failure_of, read_outcome
from promise.engine.memory import MemoryWatch, Sample
from promise.engine.messages import Ended, Request, Started
from promise.engine.zygote import PRELOAD, Zygote
from promise.errors import ConfigError

GRACE_S = 2.0
"""How far work may overrun its deadline, to save what it has learned, before it is killed."""

_POLL_S = 0.05


class LocalEngine:
    """Runs importable functions in forked processes of this machine, as many as there are threads.

    Parameters
    ----------
    threads
        How many single-threaded pieces of work run at once.
    memory_mb
        Bound on the PSS of this process and everything it starts. Above it the newest piece of
        work whose end brings the sum below the bound is killed, else the largest.
    folder
        Where results and logs pass through; by default a temporary folder.
    grace_s
        How far work may overrun its deadline before it is killed.
    preload
        Modules that the zygote imports once for all children.

    Examples
    --------
    >>> import math
    >>> with LocalEngine(threads=2, memory_mb=None, preload=()) as engine:
    ...     engine.isolate(math.sqrt, 16.0)
    4.0
    """

    def __init__(
        self,
        *,
        threads: int,
        memory_mb: float | None,
        folder: Path | None = None,
        grace_s: float = GRACE_S,
        preload: Sequence[str] = PRELOAD,
    ) -> None:
        if os.name != "posix":
            raise ConfigError("the local engine needs Linux or macOS; on Windows use WSL.")
        self.threads = max(1, threads)
        self.memory_mb = memory_mb
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="engine-", dir=folder)).absolute()
        self._bounds = Bounds(memory_mb, grace_s)
        self._preload = tuple(preload)
        self._changed = threading.Condition()
        self._queue: deque[LocalHandle[Any]] = deque()
        self._running: dict[int, LocalHandle[Any]] = {}
        self._count = 0
        self._closed = self._stopped = False
        self._zygote: Zygote | None = self._start_zygote()
        self._watch = MemoryWatch(self._weigh, bound_mb=memory_mb)
        self._watch.start()
        self._supervisor = threading.Thread(
            target=self._supervise, name="promise-engine", daemon=True
        )
        self._supervisor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def peak_mb(self) -> float:
        """The most memory that all processes together were seen to hold, in MiB of PSS."""
        return self._watch.peak_mb

    def submit(
        self,
        fn: Callable[..., T],
        *args: Any,
        name: str,
        deadline_s: float | None = None,
        memory_mb: float | None = None,
        threads: int = 1,
    ) -> LocalHandle[T]:
        """Queue a piece of work; it starts as soon as its threads are free.

        `deadline_s` is on the monotonic clock. The function must be importable by name, since the
        child does not run the user's script.
        """
        module = getattr(fn, "__module__", None) or ""
        if module == "__main__" or "<" in getattr(fn, "__qualname__", ""):
            raise ConfigError(
                f"{getattr(fn, '__qualname__', fn)} cannot run in another process: move it to the "
                "top level of a module that can be imported."
            )
        call = pickle.dumps((fn, args), protocol=pickle.HIGHEST_PROTOCOL)
        with self._changed:
            if self._closed:
                raise ConfigError("the engine is closed; open a new one.")
            self._count += 1
            number = self._count
            stem = str(self._folder / f"task-{number}")
            path, cwd = tuple(sys.path), os.getcwd()  # noqa: PTH109
            request = Request(
                number, call, module, f"{stem}.result", f"{stem}.log", path, cwd, threads
            )
            handle = LocalHandle[T](
                name, number, request, deadline_s, memory_mb, min(threads, self.threads),
                self._changed,
            )  # fmt: skip
            self._queue.append(handle)
            self._dispatch()
        return handle

    def wait(
        self, handles: Sequence[Handle[T]], timeout_s: float | None = None
    ) -> tuple[list[Handle[T]], list[Handle[T]]]:
        """Wait until at least one has ended, or the time is up: (ended, not ended)."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while handles and not any(h.done for h in handles):
                left = 1.0 if until is None else until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, 1.0))
            return [h for h in handles if h.done], [h for h in handles if not h.done]

    def cancel(self, handles: Iterable[Handle[Any]]) -> None:
        """Stop these pieces of work; their results raise `FitFailed`."""
        with self._changed:
            for handle in handles:
                if isinstance(handle, LocalHandle) and not handle.done:
                    self._kill(handle, "deadline", "was stopped before it finished")

    def isolate(
        self,
        fn: Callable[..., T],
        *args: Any,
        name: str | None = None,
        deadline_s: float | None = None,
        memory_mb: float | None = None,
        threads: int = 1,
    ) -> T:
        """Run one function in its own process and return its value; raises `FitFailed`."""
        handle = self.submit(
            fn, *args, name=name or fn.__name__, deadline_s=deadline_s, memory_mb=memory_mb,
            threads=threads,
        )  # fmt: skip
        try:
            return handle.result()
        except BaseException:
            self.cancel([handle])  # Ctrl-C while waiting must not leave it running
            raise

    def map_batches(
        self, fn: Callable[[Any], T], items: Iterable[Any], *, workers: int
    ) -> Iterator[T]:
        """Yield `fn(item)` in the order of the items, reading at most `2 * workers` ahead."""
        ahead: deque[LocalHandle[T]] = deque()
        try:
            for i, item in enumerate(items):
                ahead.append(self.submit(fn, item, name=f"{fn.__name__} {i}"))
                if len(ahead) >= 2 * max(1, workers):
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            self.cancel(ahead)

    def close(self) -> None:
        """Kill what runs, end the zygote and remove the folder; safe to call again."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            for handle in [*self._queue, *self._running.values()]:
                self._kill(handle, "deadline", "was stopped before it finished")
            until = time.monotonic() + DYING_S
            while any(h.pid is not None for h in self._running.values()):
                if not self._changed.wait(until - time.monotonic()):
                    break  # the zygote's end takes the rest along
            self._stopped = True
        self._watch.stop()
        self._supervisor.join()
        with self._changed:
            if self._zygote is not None:
                self._zygote.close()
            for handle in list(self._running.values()):
                self._finish(handle, -signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)

    # Everything below runs with `self._changed` held, in whichever thread came.

    def _start_zygote(self) -> Zygote:
        return Zygote(self._folder / "zygote.log", self._preload)

    def _dispatch(self) -> None:
        """Start queued work while threads are free, in the order it came."""
        while self._queue and not self._closed:
            handle = self._queue[0]
            busy = sum(h.threads for h in self._running.values())
            if busy + handle.threads > self.threads:
                return
            self._queue.popleft()
            if handle.deadline_s is not None and time.monotonic() > handle.deadline_s:
                self._kill(handle, "deadline", "did not start before its deadline")
                continue
            if self._zygote is None:
                self._zygote = self._start_zygote()
            self._running[handle.number] = handle
            with suppress(OSError):  # a dead zygote is noticed and replaced by the supervisor
                if handle.request is not None:
                    self._zygote.send(handle.request)

    def _kill(self, handle: LocalHandle[Any], reason: Reason, why: str) -> None:
        """End a piece of work for a named reason; queued work ends at once."""
        if handle.killed is not None:
            return
        handle.killed, handle.killed_s = (reason, why), time.monotonic()
        if handle.number not in self._running:
            with suppress(ValueError):
                self._queue.remove(handle)
            self._finish(handle, -signal.SIGKILL)
        elif handle.pid is not None:
            with suppress(OSError):
                os.killpg(handle.pid, signal.SIGKILL)

    def _finish(self, handle: LocalHandle[Any], status: int) -> None:
        """Record how a piece of work ended and let the waiting ones know."""
        self._running.pop(handle.number, None)
        request, handle.request = handle.request, None
        outcome = None
        if request is not None:
            outcome = read_outcome(Path(request.result))
            handle.failure = failure_of(handle, outcome, status, Path(request.log))
            for leftover in (request.result, f"{request.result}.part", request.log):
                Path(leftover).unlink(missing_ok=True)
        if outcome is not None:
            handle.value = outcome.value
            handle.peak_mb = max(handle.peak_mb, outcome.pss_mb)
        handle.ended_s = time.monotonic()
        if handle.started_s is None:
            handle.started_s = handle.ended_s
        self._dispatch()
        self._changed.notify_all()

    # The two threads.

    def _supervise(self) -> None:
        """Follow the zygote's messages and the deadlines."""
        while not self._stopped:
            zygote = self._zygote
            try:
                messages = [] if zygote is None else zygote.receive(_POLL_S)
            except EOFError:
                with self._changed:
                    self._replace_zygote()
                continue
            with self._changed:
                for message in messages:
                    self._follow(message)
                self._end(self._bounds.late(self._running, self._queue, time.monotonic()))
                if zygote is None:
                    self._changed.wait(_POLL_S)

    def _follow(self, message: Started | Ended) -> None:
        """Take note of a start or an end."""
        handle = self._running.get(message.number)
        if handle is None:
            return
        if isinstance(message, Ended):
            self._finish(handle, message.status)
            return
        handle.pid, handle.started_s = message.pid, time.monotonic()
        if handle.killed is not None:  # it was to end before we knew its process
            with suppress(OSError):
                os.killpg(message.pid, signal.SIGKILL)

    def _replace_zygote(self) -> None:
        """Bury a zygote that died, and its children with it; the next work starts another."""
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None
        for handle in list(self._running.values()):
            handle.killed = handle.killed or ("crash", "ended with the process that starts work")
            self._finish(handle, -signal.SIGKILL)

    def _weigh(self, sample: Sample) -> None:
        """Note each piece's memory and kill what breaks a bound."""
        with self._changed:
            held: dict[int, float] = {}
            for handle in self._running.values():
                if handle.pid is not None:
                    held[handle.number] = sample.below(handle.pid)
                    handle.peak_mb = max(handle.peak_mb, held[handle.number])
            self._end(self._bounds.heavy(self._running, held, sample.total_mb, time.monotonic()))

    def _end(self, overrun: Iterable[Overrun]) -> None:
        """Kill what has overrun a bound."""
        for found in list(overrun):
            self._kill(found.handle, found.reason, found.why)
