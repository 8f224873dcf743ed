"""Segments: append-only files of JSON lines, one writer each, read by whole lines."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".jsonl"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_BLOCK = 1 << 20


@dataclass(frozen=True)
class SegmentName:
    """What a segment's file name tells.

    Parameters
    ----------
    slot
        Which worker wrote it, with its machine.
    start_ms
        When it was begun; orders the segments of a slot.
    """

    slot: str
    start_ms: int

    def __str__(self) -> str:
        return f"{self.slot}-{self.start_ms:013d}{SUFFIX}"

    @classmethod
    def parse(cls, name: str) -> SegmentName | None:
        """Read a file name; None where it is no segment.

        Examples
        --------
        >>> SegmentName.parse("k3x9qa.0-1767225600000.jsonl")
        SegmentName(slot='k3x9qa.0', start_ms=1767225600000)
        >>> SegmentName.parse("notes.txt") is None
        True
        """
        slot, minus, start = name.removesuffix(SUFFIX).rpartition("-")
        if not name.endswith(SUFFIX) or not minus or not start.isdigit():
            return None
        return cls(slot, int(start))


def segments(folder: Path, model: str) -> list[tuple[SegmentName, Path]]:
    """List a model's segments, oldest first."""
    try:
        names = [entry.name for entry in os.scandir(folder / model)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [(parsed, folder / model / n) for n in names if (parsed := SegmentName.parse(n))]
    return sorted(found, key=lambda entry: (entry[0].start_ms, entry[0].slot))


def models(folder: Path) -> list[str]:
    """List the models that have a log here."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


class SegmentWriter:
    """Appends whole lines of one slot and model; what could not be written waits for the next try.

    Parameters
    ----------
    limit
        A segment of this many bytes is closed and the next one begun.
    """

    def __init__(self, folder: Path, slot: str, limit: int) -> None:
        self._folder = folder
        self._slot = slot
        self._limit = limit
        self._handle: int | None = None
        self._size = 0
        self._hour = 0
        self._waiting = bytearray()
        self._retired: list[int] = []

    @property
    def waiting_lines(self) -> int:
        """Lines that were given to `write` and are not in a file yet."""
        return self._waiting.count(b"\n")

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were given to `write` and are not in a file yet."""
        return len(self._waiting)

    def write(self, lines: bytes | bytearray, now_ms: int) -> None:
        """Append lines, the ones that waited first.

        Raises
        ------
        OSError
            When the disk refuses; what is not written stays in `waiting_lines`.
        """
        self._waiting += lines
        if not self._waiting:
            return
        self._rotate(now_ms)
        handle = self._opened(now_ms)
        done = 0
        try:
            while done < len(self._waiting):
                done += os.write(handle, self._waiting[done : done + _BLOCK])
        except OSError as error:
            if error.errno not in _FULL:  # a full disk goes on in the middle of the line
                self._retire()
                done = self._waiting.rfind(b"\n", 0, done) + 1
            raise
        finally:
            del self._waiting[:done]
            self._size += done

    def _rotate(self, now_ms: int) -> None:
        if self._handle is None:
            return
        late = self._size >= self._limit or now_ms // 3_600_000 != self._hour
        gone = os.fstat(self._handle).st_nlink == 0
        if gone or (late and self._ends_whole(self._handle)):
            self._retire()

    def _ends_whole(self, handle: int) -> bool:
        """Say whether the open segment ends with a whole line, not in the middle of one."""
        return self._size == 0 or os.pread(handle, 1, self._size - 1) == b"\n"

    def _opened(self, now_ms: int) -> int:
        if self._handle is not None:
            return self._handle
        self._folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL
        start_ms = now_ms
        while True:
            try:
                path = self._folder / str(SegmentName(self._slot, start_ms))
                self._handle = os.open(path, flags, 0o644)
                break
            except FileExistsError:
                start_ms += 1
        self._size, self._hour = 0, now_ms // 3_600_000
        return self._handle

    def _retire(self) -> None:
        if self._handle is not None:
            self._retired.append(self._handle)
            self._handle = None

    def sync(self) -> None:
        """Bring everything written to the disk itself; called by one thread alone."""
        handle = self._handle
        if handle is not None:
            with contextlib.suppress(OSError):
                os.fdatasync(handle)
        while self._retired:
            old = self._retired.pop()
            with contextlib.suppress(OSError):
                os.fdatasync(old)
            os.close(old)

    def close(self) -> int:
        """Sync and close; return how many lines are lost because the disk refused them."""
        lost = self.waiting_lines
        self._waiting.clear()
        self._retire()
        self.sync()
        return lost


@dataclass(frozen=True)
class Line:
    """One whole line of a segment.

    Parameters
    ----------
    end
        Bytes of the segment up to and including this line.
    """

    segment: str
    end: int
    data: bytes


def read_lines(path: Path, offset: int, limit: int) -> Iterator[Line]:
    """Yield the whole lines behind an offset, about `limit` bytes; a torn last one waits."""
    try:
        file = path.open("rb")
    except FileNotFoundError:  # pruned between listing and reading
        return
    with file:
        file.seek(offset)
        end = offset
        for data in file:
            if not data.endswith(b"\n") or end - offset >= limit:
                return
            end += len(data)
            yield Line(path.name, end, data[:-1])
