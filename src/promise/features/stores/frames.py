"""Byte strings one after the other in one, so that an append is a concatenation."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

_LENGTH = struct.Struct("<I")
_CHECKED = struct.Struct("<II")


def framed(payload: bytes) -> bytes:
    """Return a payload with its length before it.

    Examples
    --------
    >>> unframed(framed(b"a") + framed(b"bc"))
    (b'a', b'bc')
    """
    return _LENGTH.pack(len(payload)) + payload


def joined(payloads: Iterable[bytes]) -> bytes:
    """Return payloads framed, one after the other."""
    return b"".join(map(framed, payloads))


def unframed(frames: bytes) -> tuple[bytes, ...]:
    """Return the payloads that were framed, in their order."""
    found, at = [], 0
    while at < len(frames):
        (size,) = _LENGTH.unpack_from(frames, at)
        at += _LENGTH.size
        found.append(frames[at : at + size])
        at += size
    return tuple(found)


def sealed(body: bytes) -> bytes:
    """Return a record with its length and checksum, for files that a kill may cut short."""
    return _CHECKED.pack(len(body), zlib.crc32(body)) + body


def unsealed(data: bytes | memoryview) -> Iterator[tuple[bytes, int]]:
    """Yield each whole record with where it ends; the first that is cut short or damaged ends it.

    Examples
    --------
    >>> [body for body, _ in unsealed(sealed(b"one") + sealed(b"two")[:-1])]
    [b'one']
    """
    view, at = memoryview(data), 0
    while at + _CHECKED.size <= len(view):
        size, checksum = _CHECKED.unpack_from(view, at)
        at += _CHECKED.size
        body = bytes(view[at : at + size])
        at += size
        if len(body) < size or zlib.crc32(body) != checksum:
            return
        yield body, at
