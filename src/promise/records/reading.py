"""Reading the prediction log: its whole lines, its torn ones, and when segments go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from promise.clock import Clock, SystemClock
from promise.records.segments import models, read_lines, segments

_DAY_S = 86_400.0


def parse_line(data: bytes) -> dict[str, Any] | None:
    """Return a line's object; None where it is damaged."""
    try:
        parsed = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return parsed if isinstance(parsed, dict) and "id" in parsed else None


def read_all(folder: Path, model: str) -> Iterator[dict[str, Any]]:
    """Yield every line of a model, oldest segment first; torn and damaged lines are left out."""
    for _, path in segments(folder, model):
        for line in read_lines(path, 0, limit=1 << 62):
            parsed = parse_line(line.data)
            if parsed is not None:
                yield parsed


def torn(folder: Path, model: str) -> int:
    """Count segments whose last line was torn by a kill or a full disk, and is lost."""
    found = 0
    newest = {name.slot: path for name, path in segments(folder, model)}
    for name, path in segments(folder, model):
        if newest[name.slot] != path:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 1))
                found += file.read(1) not in (b"", b"\n")
    return found


def prune(folder: Path, keep_days: float, clock: Clock | None = None) -> int:
    """Remove segments whose last line is older than `keep_days`; return how many."""
    before = (clock or SystemClock()).now().timestamp() - keep_days * _DAY_S
    removed = 0
    for model in models(folder):
        for _, path in segments(folder, model):
            if path.stat().st_mtime < before:
                path.unlink(missing_ok=True)
                removed += 1
    return removed
