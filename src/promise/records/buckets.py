"""Counts of a moment: cells by slot, buckets over all slots, and hours of old buckets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from promise.records.machine import machine_slot
from promise.state.moments import from_text, to_text

BUCKET_S = 2
"""Evidence is summed into buckets of so many seconds: a stage loses at most one at its start."""
HOUR_S = 3600
"""Old buckets are summed into hours."""

_MERGED = ""  # the slot of sums over all slots


@dataclass(frozen=True)
class Bucket:
    """Counts of one (model, version, arm) in one bucket of time, over all workers.

    Parameters
    ----------
    over
        Latency target in milliseconds to how many answers took longer.
    """

    start: datetime
    requests: int
    errors: int
    over: dict[float, int]


@dataclass(frozen=True)
class Cell:
    """What one slot counted of one (model, version, arm) in one bucket, so far."""

    slot: str
    model: str
    version: int
    arm: str
    start: datetime
    requests: int
    errors: int
    over: dict[float, int]


def bucket_start(moment: datetime, width_s: int = BUCKET_S) -> datetime:
    """Return the start of the bucket that a moment falls into.

    Examples
    --------
    >>> bucket_start(datetime(2026, 1, 1, 12, 0, 17, tzinfo=UTC)).second
    16
    """
    seconds = int(moment.timestamp() // width_s) * width_s
    return datetime.fromtimestamp(seconds, UTC)


def cell_row(cell: Cell) -> dict[str, Any]:
    """Return a cell as a row of the table `counts`."""
    return {
        "model": cell.model,
        "version": cell.version,
        "arm": cell.arm,
        "bucket": to_text(cell.start),
        "slot": machine_slot(cell.slot),
        "requests": cell.requests,
        "errors": cell.errors,
        "over_ms": _over_text(cell.over),
    }


def _over_text(over: dict[float, int]) -> str:
    return json.dumps([[target, over[target]] for target in sorted(over)])


def buckets(rows: Iterable[Any]) -> list[Bucket]:
    """Merge rows in time order into one bucket for each start."""
    found: list[Bucket] = []
    for start, requests, errors, over_text in rows:
        moment, over = from_text(start), _over(over_text)
        if found and found[-1].start == moment:
            last = found.pop()
            requests, errors = requests + last.requests, errors + last.errors
            _add_over(over, last.over)
        found.append(Bucket(moment, requests, errors, over))
    return found


def _over(text: str) -> dict[float, int]:
    return {float(target): int(n) for target, n in json.loads(text)}


def _add_over(total: dict[float, int], more: dict[float, int]) -> None:
    for target, n in more.items():
        total[target] = total.get(target, 0) + n


def coarser(found: Sequence[Bucket], before: datetime, width_s: int) -> list[Bucket]:
    """Sum buckets of before a moment into wider ones, where they counted the same targets.

    Examples
    --------
    >>> start = datetime(2026, 1, 1, tzinfo=UTC)
    >>> pair = [Bucket(start, 3, 1, {}), Bucket(start.replace(second=2), 4, 0, {})]
    >>> [bucket.requests for bucket in coarser(pair, start.replace(hour=1), 60)]
    [7]
    """
    sums: list[Bucket] = []
    for bucket in found:
        start = bucket_start(bucket.start, width_s)
        last = sums[-1] if sums else None
        same = last is not None and bucket_start(last.start, width_s) == start
        if (
            last is None
            or not same
            or bucket.start >= before
            or last.over.keys() != bucket.over.keys()
        ):
            sums.append(bucket)
            continue
        over = dict(bucket.over)
        _add_over(over, last.over)
        requests, errors = last.requests + bucket.requests, last.errors + bucket.errors
        sums[-1] = Bucket(last.start, requests, errors, over)
    return sums


def hours(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Return one row for each hour, over all slots."""
    sums: dict[tuple[str, int, str, str], tuple[int, int, dict[float, int]]] = {}
    for model, version, arm, bucket, requests, errors, over_text in rows:
        key = (model, version, arm, to_text(bucket_start(from_text(bucket), HOUR_S)))
        was = sums.get(key, (0, 0, {}))
        over = _over(over_text)
        _add_over(over, was[2])
        sums[key] = (was[0] + requests, was[1] + errors, over)
    return [
        {
            "model": model,
            "version": version,
            "arm": arm,
            "bucket": bucket,
            "slot": _MERGED,
            "requests": requests,
            "errors": errors,
            "over_ms": _over_text(over),
        }
        for (model, version, arm, bucket), (requests, errors, over) in sums.items()
    ]
