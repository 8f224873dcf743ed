"""The bytes of an open file as its readers take them: decompressed, and for CSV in UTF-8."""

from __future__ import annotations

import atexit
import codecs
import contextlib
import lzma
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

# A thread between two reads of a file takes microseconds for it; this is for a busy machine.
REST_S = 0.5
# How much of a file is looked at in one go.
LOOK_BYTES = 1 << 20


def decompress(file: Any, compression: str | None) -> Any:
    """Return the decompressed bytes of an open file as another file."""
    if compression is None:
        return file
    if compression == "xz":
        return lzma.open(file)
    known: Any = compression
    return pa.input_stream(file, compression=known)


class EndableFile:
    """A file as UTF-8 that can be told to end, which brings a thread that reads ahead to rest.

    A thread of Arrow that runs Python while the interpreter ends would abort the process, or make
    it wait for ever. `let_go` is for the same thread's last act, to release what it was given.
    """

    closed = False

    def __init__(self, file: Any, encoding: str = "utf-8") -> None:
        self._file = file
        self._decoder = None if is_utf8(encoding) else codecs.getincrementaldecoder(encoding)()
        self._held = b""
        self._reading = threading.Lock()
        self._told_end = threading.Event()
        self._ended = False
        self._nothing = bytearray()  # the thread holds it until it is out of Python for good
        self._let_go = sys.getrefcount(self._nothing)

    def read(self, size: int) -> Any:
        """Return the next bytes, none at the end or once ended."""
        nothing = self._nothing  # held from before the end is told
        data = b""
        with self._reading:
            try:
                data = b"" if self._ended else self._next(size)
            finally:
                if not data:
                    self._told_end.set()
        return data or nothing

    def end(self) -> None:
        """Return when no thread reads any more: it was told of the end, or waits for a reader."""
        self._ended = True
        with self._reading:
            pass
        until = time.monotonic() + REST_S
        self._told_end.wait(REST_S)
        while sys.getrefcount(self._nothing) > self._let_go and time.monotonic() < until:
            time.sleep(0.001)

    def _next(self, size: int) -> bytes:
        if self._decoder is None:
            plain: bytes = self._file.read(size)
            return plain
        while len(self._held) < size:
            raw = self._file.read(size)
            self._held += self._decoder.decode(raw, final=not raw).encode()
            if not raw:
                break
        data, self._held = self._held[:size], self._held[size:]
        return data


@contextlib.contextmanager
def let_go(given: Any) -> Iterator[None]:
    """Leave the block when Arrow's threads hold an object no more that was given to a reader.

    A thread that reads ahead may be the last to hold the reader, and releases what is Python's in
    it whenever it comes to run: at the interpreter's end this would abort the process. The block
    must not hold the reader itself when it ends; an error's traceback may, for which the wait is
    bounded.
    """
    before = sys.getrefcount(given)
    try:
        yield
    finally:
        until = time.monotonic() + REST_S
        while sys.getrefcount(given) > before and time.monotonic() < until:
            time.sleep(0.001)


@contextlib.contextmanager
def csv_input(file: Any, reader: dict[str, Any]) -> Iterator[Any]:
    """Yield the decompressed UTF-8 of an open file, for Arrow's CSV reader.

    Arrow reads by itself what is local, in UTF-8 and not compressed by xz. Where bytes or their
    decoding need Python, none of Arrow's threads is left in it afterwards, nor at the exit.
    """
    name = getattr(file, "name", None)
    local = isinstance(name, str) and Path(name).is_file()
    squeezed, encoding = reader.get("compression"), reader.get("encoding") or "utf-8"
    if local and is_utf8(encoding) and squeezed != "xz":
        yield decompress(pa.OSFile(name), squeezed)
        return
    source = EndableFile(decompress(file, squeezed), encoding)
    atexit.register(source.end)
    try:
        with let_go(source):
            yield pa.PythonFile(source, mode="r")
    finally:
        atexit.unregister(source.end)
        source.end()


def is_utf8(encoding: str) -> bool:
    """Say whether Arrow reads an encoding by itself; it drops a byte-order mark, too."""
    return codecs.lookup(encoding).name in {"utf-8", "utf-8-sig"}


def written_in(file: Any, reader: dict[str, Any]) -> str:
    """Return the encoding of an open file: UTF-8 where that may come first and fits, or as told.

    Single bytes fit any text, UTF-8 hardly a text of another encoding: so it is tried where
    `utf8_first` allows it. Bytes of ASCII alone prove nothing and are read as told.
    """
    told: str = reader.get("encoding") or "utf-8"
    if not reader.get("utf8_first") or is_utf8(told):
        return told
    stream = decompress(file, reader.get("compression"))
    decoder = codecs.getincrementaldecoder("utf-8")()
    found, more = told, True
    while more:
        piece = bytes(stream.read(LOOK_BYTES))
        more = len(piece) > 0
        try:
            plain = decoder.decode(piece, final=not more).isascii()
        except UnicodeDecodeError:
            return told
        found = found if plain else "utf-8-sig"  # with or without its mark
    return found
