"""The replay in bounded memory: each kind of entity by shards of its keys, features on disk.

A feature depends on the events of one entity alone, so a replay of some entities' events gives
their rows the same bits as a replay of all events (`tests/workloads/fraud/test_sharded.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.features.keyed import Keyed
from promise.features.replay import replay
from promise.features.sets import FeatureSet
from promise.kernels.rows import mix
from promise.workloads.fraud.spool import Spool, stretches

CHUNK_ROWS = 1 << 17
SHARD_ROWS = 1 << 21
"""About how many events are replayed at a time; an entity's are never parted."""


@dataclass(frozen=True)
class Shard:
    """The features of some rows for one kind of entity.

    Parameters
    ----------
    start
        Number of its first column in the whole matrix.
    bounds
        Place of the first row of each chunk among its rows, rising.
    """

    rows: Path
    values: Path
    start: int
    width: int
    bounds: IntArray

    def chunk(self, number: int) -> tuple[IntArray, FloatArray]:
        """Return the row numbers within a chunk and their features (m, width)."""
        low, high = int(self.bounds[number]), int(self.bounds[number + 1])
        rows = np.fromfile(self.rows, np.int64, high - low, offset=low * 8)
        size = self.width * 4
        values = np.fromfile(self.values, np.float32, (high - low) * self.width, offset=low * size)
        return rows, values.reshape(-1, self.width)


@dataclass(frozen=True)
class Sharded:
    """Features of all events, in shards on disk: read chunk by chunk in order of time."""

    n_rows: int
    width: int
    shards: tuple[Shard, ...]

    def chunks(self, stop: int | None = None) -> Iterator[tuple[int, FloatArray]]:
        """Yield (first row, float32 features) up to a row."""
        end = self.n_rows if stop is None else stop
        for number, (start, last) in enumerate(stretches(self.n_rows, CHUNK_ROWS)):
            if start >= end:
                return
            matrix = np.full((last - start, self.width), np.nan, dtype=np.float32)
            for shard in self.shards:
                rows, values = shard.chunk(number)
                matrix[rows - start, shard.start : shard.start + shard.width] = values
            yield start, matrix[: end - start]

    def gather(self, rows: IntArray) -> FloatArray:
        """Return the features at rising positions, float32 (m, width)."""
        parts = [np.empty((0, self.width), dtype=np.float32)]
        for start, matrix in self.chunks():
            low, high = np.searchsorted(rows, [start, start + len(matrix)])
            if high > low:
                parts.append(matrix[rows[low:high] - start])
        return np.concatenate(parts)


def replay_sharded(
    spool: Spool,
    keyed: Keyed,
    folder: Path,
    *,
    threads: int = 2,
    shard_rows: int = SHARD_ROWS,
    tell: Callable[[str], None] = lambda _: None,
) -> Sharded:
    """Compute the features of all events of a spool, with the memory of one shard at a time.

    Parameters
    ----------
    folder
        Where the features are written: four bytes for each value, eight for each row and kind of
        entity.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Shard] = []
    start = 0
    for number, kernel in enumerate(keyed.features.kernels):
        features = FeatureSet(kernel.views)
        tell(f"replaying {spool.n_rows:,} events by {' and '.join(kernel.entity) or 'themselves'}")
        for place, rows in enumerate(_parts(spool, kernel.entity, shard_rows)):
            history = spool.history(rows, keyed.label_delay)
            matrix = replay(features, history, threads=threads)
            shard = Shard(
                folder / f"{number}-{place}.rows",
                folder / f"{number}-{place}.values",
                start,
                len(kernel.columns),
                _bounds(rows, spool.n_rows),
            )
            rows.tofile(shard.rows)
            matrix.astype(np.float32, order="C").tofile(shard.values)
            found.append(shard)
        start += len(kernel.columns)
    return Sharded(spool.n_rows, start, tuple(found))


def _parts(spool: Spool, roles: tuple[str, ...], shard_rows: int) -> Iterator[IntArray]:
    """Yield rising positions, each entity's in one part."""
    if not roles:
        for start, stop in stretches(spool.n_rows, shard_rows):
            yield np.arange(start, stop)
        return
    n_parts = max(1, -(-spool.n_rows // shard_rows))
    for part in range(n_parts):
        found = [np.zeros(0, dtype=np.int64)]
        for start, stop in stretches(spool.n_rows):
            mine = _mixed(spool, roles, start, stop) % np.uint64(n_parts) == part
            found.append(start + np.flatnonzero(mine))
        yield np.concatenate(found)


def _mixed(spool: Spool, roles: tuple[str, ...], start: int, stop: int) -> Array:
    """Return one hash for the keys of several roles."""
    mixed = spool.column(f"key:{roles[0]}", start, stop)
    for role in roles[1:]:
        mixed = mix(mixed) ^ spool.column(f"key:{role}", start, stop)
    return mix(mixed)


def _bounds(rows: IntArray, n_rows: int) -> IntArray:
    edges = [start for start, _ in stretches(n_rows, CHUNK_ROWS)]
    found: IntArray = np.searchsorted(rows, [*edges, n_rows]).astype(np.int64)
    return found
