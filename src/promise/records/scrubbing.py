"""Takes an id out of the logs of lists, in place: readers and writers go on meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from promise.records.segments import segments

KEYS = ("id", "entity", "other")
"""Under these a line of the log holds ids of people."""
_BLANK = b"*"
_PART = 1 << 20  # searched at once: other threads wait for it


def blanked(id: str) -> bool:
    """Say whether this is what stands where an id was taken out.

    Examples
    --------
    >>> blanked("***"), blanked("ann")
    (True, False)
    """
    return bool(id) and not id.strip("*")


def scrub(folder: Path, model: str, ids: Iterable[str]) -> int:
    """Overwrite these ids in a model's log by as many asterisks; return how many there were.

    The log's lines keep their length and their places, so that nobody who reads or appends at
    this moment is disturbed. Lines that come later may hold the ids again.
    """
    patterns = [pattern for id in ids for pattern in _patterns(id)]
    return (
        sum(_scrub_file(path, patterns) for _, path in segments(folder, model)) if patterns else 0
    )


def _patterns(id: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield what to look for, where the id begins in it, and how many bytes it has."""
    value = msgspec.json.encode(id)
    for key in KEYS:
        head = b'"%b":' % key.encode()
        yield head + value, len(head) + 1, len(value) - 2


def _scrub_file(path: Path, patterns: list[tuple[bytes, int, int]]) -> int:
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:  # pruned between listing and opening
        return 0
    try:
        places = list(_places(handle, patterns))
        for place, length in places:
            os.pwrite(handle, _BLANK * length, place)
        if places:
            os.fdatasync(handle)
        return len(places)
    finally:
        os.close(handle)


def _places(handle: int, patterns: list[tuple[bytes, int, int]]) -> Iterator[tuple[int, int]]:
    """Yield where an id stands in a file, and how many bytes it has."""
    beyond = max(len(pattern) for pattern, _, _ in patterns) - 1  # what a part's end may cut off
    start = 0
    while part := os.pread(handle, _PART + beyond, start):
        for pattern, begin, length in patterns:
            place = part.find(pattern)
            while 0 <= place < _PART:
                yield start + place + begin, length
                place = part.find(pattern, place + len(pattern))
        start += _PART
