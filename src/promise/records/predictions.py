"""The prediction log: lines of JSON in segments, batched, with a declared loss window."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from promise.clock import Clock, SystemClock
from promise.records.ids import PredictionIds
from promise.records.machine import machine_slot
from promise.records.segments import SegmentWriter

_log = logging.getLogger(__name__)
_SYNC_S = 1.0


@dataclass(frozen=True)
class LogStats:
    """What a log has done so far.

    Parameters
    ----------
    dropped
        Lines that the full buffer could not take, or that no disk took until the close.
    oldest_s
        Age of the oldest line that is not in a file yet.
    worst_s
        The largest age that a line had when it came into a file: the measured loss window.
    failures
        Writes that the disk refused; each was tried again.
    error
        Why the last write failed; empty once one succeeded again.
    """

    written: int
    dropped: int
    waiting: int
    oldest_s: float
    worst_s: float
    failures: int = 0
    error: str = ""


class _Buffer:
    """Lines of one model that wait for the writer, as bytes: nothing for the collector to walk."""

    __slots__ = ("data", "lines")

    def __init__(self) -> None:
        self.data = bytearray()
        self.lines = 0


class PredictionLog:
    """One worker's log; `append` never blocks, a thread writes every `flush_s` seconds.

    One line is one answered row:
    `{"id", "model", "version", "arm", "at" (seconds since 1970), "ms", "entity" (or null),
    "row": {...}, "answer": {...}, "source": "model|cache|previous|heuristic"}`.
    A shadow's line carries the id of the answer that the user got, so that one label joins both.

    A process that is killed loses what it took in the last `flush_s` seconds; a machine that
    loses power, about the last second. Files are `folder/MODEL/SLOT-START.jsonl`; each process
    begins its own, so that a line torn by a kill stays the last of its file.

    Parameters
    ----------
    slot
        The worker's place; the machine's id is put before it.
    limit
        Most lines that wait; what comes while so many wait is dropped and counted.
    limit_mb
        The same bound in MiB, for long lines.
    segment_mb
        A new segment begins at this size, and every hour.
    """

    def __init__(
        self,
        folder: Path,
        slot: str,
        *,
        flush_s: float = 0.25,
        limit: int = 100_000,
        segment_mb: float = 64.0,
        limit_mb: float = 256.0,
        clock: Clock | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.slot = machine_slot(slot)
        self._clock = clock or SystemClock()
        self._limit, self._limit_bytes = limit, int(limit_mb * 2**20)
        self._segment_bytes = int(segment_mb * 2**20)
        self._ids = PredictionIds(self.folder, self.slot, self._clock)
        self._guard = threading.Lock()
        self._buffers: dict[str, _Buffer] = {}
        self._lines = self._bytes = 0  # taken and not yet in a file
        self._since: float | None = None  # when the oldest waiting line came
        self._blocked_since: float | None = None
        self._writers: dict[str, SegmentWriter] = {}
        self._written = self._dropped = self._failures = 0
        self._worst_s, self._error = 0.0, ""
        self._stop = threading.Event()
        self._threads = [
            self._started("log", flush_s, self._flush),
            self._started("sync", _SYNC_S, self._sync),
        ]

    def _started(self, name: str, every_s: float, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(
            target=self._run, args=(every_s, work), name=f"{name}-{self.slot}", daemon=True
        )
        thread.start()
        return thread

    def new_id(self) -> str:
        """Return the next prediction's id: `SLOT-TIME-NUMBER`, base 36; unique and ordered."""
        return self._ids.next()

    def append(self, model: str, line: bytes) -> None:
        """Keep one line without its newline; when the buffer is full it is counted as dropped."""
        if b"\n" in line:
            line = line.replace(b"\n", b" ")  # in JSON a newline can only be a blank
        with self._guard:
            if self._lines >= self._limit or self._bytes >= self._limit_bytes:
                self._dropped += 1
                return
            buffer = self._buffers.get(model)
            if buffer is None:
                buffer = self._buffers[model] = _Buffer()
            buffer.data += line
            buffer.data += b"\n"
            buffer.lines += 1
            self._lines += 1
            self._bytes += len(line) + 1
            if self._since is None:
                self._since = self._clock.monotonic()

    def stats(self) -> LogStats:
        """Return what was written, dropped and waits."""
        with self._guard:
            oldest = self._blocked_since if self._blocked_since is not None else self._since
            age = 0.0 if oldest is None else max(0.0, self._clock.monotonic() - oldest)
            return LogStats(
                self._written,
                self._dropped,
                self._lines,
                age,
                max(self._worst_s, age if self._blocked_since is not None else 0.0),
                self._failures,
                self._error,
            )

    def close(self) -> None:
        """Write everything and close the segments; what the disk refuses now is dropped."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._flush()
        lost = sum(writer.close() for writer in self._writers.values())
        self._writers.clear()
        with self._guard:
            self._dropped += lost
            self._lines = self._bytes = 0
            self._since = self._blocked_since = None

    def _run(self, every_s: float, work: Callable[[], None]) -> None:
        while not self._stop.wait(every_s):
            try:
                work()
            except Exception:  # the log must outlive what it cannot foresee
                self._failures += 1
                _log.exception("the prediction log stumbled", extra={"slot": self.slot})

    def _flush(self) -> None:
        with self._guard:
            taken, self._buffers = self._buffers, {}
            since, self._since = self._since, None
        if self._blocked_since is None:
            self._blocked_since = since
        now_ms = int(self._clock.now().timestamp() * 1000)
        error = ""
        for model in {**self._writers, **taken}:
            buffer = taken.get(model)
            error = self._write(model, b"" if buffer is None else buffer.data, now_ms) or error
        self._settle(error)

    def _write(self, model: str, lines: bytes | bytearray, now_ms: int) -> str:
        """Hand lines to the model's segment; return why that failed, or nothing."""
        writer = self._writers.get(model)
        if writer is None:
            folder = self.folder / model
            writer = SegmentWriter(folder, self.slot, self._segment_bytes)
            self._writers = {**self._writers, model: writer}  # the other thread walks it
        before = writer.waiting_bytes + len(lines), writer.waiting_lines + lines.count(b"\n")
        try:
            writer.write(lines, now_ms)
            why = ""
        except OSError as error:
            self._failures += 1
            why = f"{error.strerror} ({writer.waiting_bytes:,} bytes wait)"
        with self._guard:
            self._bytes -= before[0] - writer.waiting_bytes
            self._lines -= before[1] - writer.waiting_lines
            self._written += before[1] - writer.waiting_lines
        return why

    def _settle(self, error: str) -> None:
        if error and not self._error:
            _log.warning("the prediction log cannot be written", extra={"reason": error})
        with self._guard:
            self._error = error
            if self._blocked_since is not None and not error:
                age = self._clock.monotonic() - self._blocked_since
                self._worst_s = max(self._worst_s, age)
                self._blocked_since = None

    def _sync(self) -> None:
        for writer in self._writers.values():
            writer.sync()
