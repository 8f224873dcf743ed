"""Parts made ready to learn from: each name once, cut, with its label and what it is for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from promise.data.columns import Array, IntArray
from promise.engine.base import Engine
from promise.features.names import Names, pinned_suffixes
from promise.kernels.ngrams_names import suffix_hashes
from promise.models.hashed import BITS, Batch, counted, text_bytes
from promise.workloads.domains.split import CALIBRATE, TRAIN, TUNE, NameSplit
from promise.workloads.domains.spool import Spool, read_part

FEW = 5
"""A class of fewer names is learned from, and never sealed: nothing could be said of it."""

_SHOWN = 5
_SIDES = 6


@dataclass(frozen=True)
class Part:
    """One part, ready.

    Parameters
    ----------
    names
        Each name once.
    codes, sides
        Class and purpose of each name.
    rows
        Number of the first row of the source that holds it.
    levels
        Codes of the levels above, int32 (n, n_levels); -1 where unknown.
    """

    names: Names
    codes: IntArray
    sides: Array
    rows: IntArray
    levels: IntArray

    def take(self, places: IntArray) -> Batch:
        """Return these names as a batch."""
        return taken(self.names, self.codes, places)

    def only(self, places: IntArray) -> Part:
        """Return these names as a part."""
        return Part(
            taken_names(self.names, places),
            self.codes[places],
            self.sides[places],
            self.rows[places],
            self.levels[places],
        )

    def of(self, *sides: int) -> Batch:
        """Return the names that are for these purposes."""
        return self.take(np.flatnonzero(np.isin(self.sides, sides)))


@dataclass
class Found:
    """What is known of parts once they are ready; sums over parts are in no order.

    Parameters
    ----------
    counts
        Names by purpose and class, int64 (6, k).
    terms
        How often each bucket occurs in names to learn from, int64 (2 ** BITS,).
    held_terms
        The same of names that calibration and rules are judged on.
    endings
        (hash, class, count) of the endings of names to learn from.
    conflicts
        How many names came with several labels; the first of them with their labels' codes.
    duplicates
        How many rows repeat a name.
    """

    counts: IntArray
    terms: IntArray
    held_terms: IntArray
    endings: list[tuple[Array, Array, Array]] = field(default_factory=list)
    duplicates: int = 0
    conflicts: int = 0
    examples: list[tuple[int, str, list[int]]] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Take in what another shard found."""
        self.counts += other.counts
        self.terms += other.terms
        self.held_terms += other.held_terms
        self.endings += other.endings
        self.duplicates += other.duplicates
        self.conflicts += other.conflicts
        self.examples = sorted(self.examples + other.examples)[:_SHOWN]


def nothing_found(n_classes: int) -> Found:
    """Return what is known before any part is ready."""
    counts = np.zeros((_SIDES, n_classes), np.int64)
    return Found(counts, np.zeros(1 << BITS, np.int64), np.zeros(1 << BITS, np.int64))


@dataclass(frozen=True)
class Shard:
    """Some parts, for one process.

    Parameters
    ----------
    codes
        Code as laid out to code of the class, int32 (k,).
    kept
        Hashes of brands that are learned from whatever the split says.
    """

    paths: tuple[Path, ...]
    split: NameSplit
    codes: IntArray
    kept: Array


def settle(
    spool: Spool, split: NameSplit, codes: IntArray, engine: Engine | None, shards: int
) -> Found:
    """Make every part ready; any number of shards gives the same parts and the same sums."""
    paths = [spool.part(number) for number in range(spool.n_parts)]
    kept = _kept_brands(spool, paths)
    jobs = [
        Shard(tuple(paths[first::shards]), split, codes, kept)
        for first in range(min(shards, len(paths)))
    ]
    done = (
        map(settle_shard, jobs)
        if engine is None
        else engine.map_batches(settle_shard, jobs, workers=len(jobs))
    )
    total = nothing_found(len(codes))
    for found in done:
        total.add(found)
    return total


def settle_shard(shard: Shard) -> Found:
    """Make the parts of one shard ready and say what is in them."""
    total = nothing_found(len(shard.codes))
    for path in shard.paths:
        part = _settled(path, shard, total)
        _write(_ready(path), part)
        np.add.at(total.counts, (part.sides, part.codes), 1)
        learned = part.of(TRAIN)
        total.terms += counted([learned])
        total.held_terms += counted([part.of(CALIBRATE, TUNE)])
        total.endings.append(ending_counts(learned))
    total.endings = [joined_endings(total.endings)]
    return total


def ending_counts(batch: Batch) -> tuple[Array, Array, Array]:
    """Return each ending of these names and class with their count: hashes, codes, counts."""
    hashes, owners = suffix_hashes(batch.data, batch.offsets, batch.cuts, batch.rows)
    codes = batch.codes[owners.astype(np.int64)]
    return _summed(hashes, codes, np.ones(len(hashes), np.int64))


def joined_endings(parts: Sequence[tuple[Array, Array, Array]]) -> tuple[Array, Array, Array]:
    """Return the sums of several counts of endings."""
    if not parts:
        return np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64)
    hashes, codes, counts = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return _summed(hashes, codes, counts)


def _summed(hashes: Array, codes: Array, counts: Array) -> tuple[Array, Array, Array]:
    order = np.lexsort((codes, hashes))
    hashes, codes, counts = hashes[order], codes[order], counts[order]
    new = np.ones(len(hashes), dtype=bool)
    new[1:] = (hashes[1:] != hashes[:-1]) | (codes[1:] != codes[:-1])
    starts = np.flatnonzero(new)
    return hashes[starts], codes[starts], np.add.reduceat(counts, starts) if len(starts) else counts


def _kept_brands(spool: Spool, paths: Sequence[Path]) -> Array:
    """Return the brands of classes that have few names; a known class has names from before."""
    few = np.flatnonzero(spool.tally.counts < FEW)
    few = few[few >= spool.tally.known]
    found = [np.empty(0, np.uint64)]
    for path in paths if len(few) else ():
        table = read_part(path)
        table = table.filter(pa.array(np.isin(table["label"].to_numpy(), few)))
        found.append(_names(table["name"]).brand_hashes)
    return np.unique(np.concatenate(found))


def _settled(path: Path, shard: Shard, total: Found) -> Part:
    table = read_part(path)
    names = _names(table["name"])
    rows, labels = table["row"].to_numpy(), table["label"].to_numpy()
    levels = [table[name].to_numpy() for name in table.column_names if name.startswith("level_")]
    hashes = names.hashes
    order = np.lexsort((rows, hashes))
    new = np.ones(len(order), dtype=bool)
    new[1:] = hashes[order][1:] != hashes[order][:-1]
    first = order[new]
    codes = shard.codes[labels]
    settled = codes[first].astype(np.int64)
    total.duplicates += len(order) - len(first)
    for place, group in _contested(codes, order, new):
        settled[place] = _elected(codes[group])
        total.conflicts += 1
        told = list(dict.fromkeys(codes[group].tolist()))
        total.examples.append((int(rows[group[0]]), names.text(int(group[0])), told))
    total.examples = sorted(total.examples)[:_SHOWN]
    kept = taken_names(names, first)
    sides = shard.split.sides(kept)
    sides[np.isin(kept.brand_hashes, shard.kept)] = TRAIN
    above = np.column_stack([level[first] for level in levels]) if levels else None
    return Part(
        kept, settled, sides, rows[first],
        np.empty((len(first), 0), np.int32) if above is None else above,
    )  # fmt: skip


def _contested(codes: Array, order: Array, new: Array) -> Iterator[tuple[int, IntArray]]:
    """Yield the place of each name that has several labels, and its rows in order."""
    group = np.cumsum(new) - 1
    ordered = codes[order]
    differs = np.zeros(len(order), dtype=bool)
    differs[1:] = ~new[1:] & (ordered[1:] != ordered[:-1])
    for place in np.unique(group[differs]).tolist():
        first, last = np.searchsorted(group, [place, place + 1])
        yield place, order[first:last]


def _elected(codes: Array) -> int:
    """Return the label that most rows give, the first seen of equally frequent ones."""
    values, first, counts = np.unique(codes, return_index=True, return_counts=True)
    return int(values[np.lexsort((first, -counts))[0]])


def taken_names(names: Names, places: IntArray) -> Names:
    """Return these names."""
    batch = taken(names, np.zeros(len(names), np.int64), places)
    return Names(batch.data, batch.offsets, names.kinds[places], names.suffixes)


def taken(names: Names, codes: IntArray, places: IntArray) -> Batch:
    """Return these names with their codes as a batch."""
    starts, lengths = names.offsets[places], np.diff(names.offsets)[places]
    offsets = np.zeros(len(places) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    return Batch(
        names.data[np.repeat(starts, lengths) + within],
        offsets,
        names.cuts[places],
        codes[places],
    )


def _names(column: Any) -> Names:
    cells = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(cells, pa.ChunkedArray):
        cells = pa.array([], pa.large_binary())
    data, offsets = text_bytes(cells)
    return Names(data, offsets, np.zeros(len(cells), np.int8), pinned_suffixes())


def _ready(path: Path) -> Path:
    return path.with_suffix(".ready")


def _write(path: Path, part: Part) -> None:
    names = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(),
        len(part.names),
        [None, pa.py_buffer(part.names.offsets), pa.py_buffer(part.names.data)],
    )
    arrays = {"name": names, "code": pa.array(part.codes), "side": pa.array(part.sides),
              "row": pa.array(part.rows)}  # fmt: skip
    for i in range(part.levels.shape[1]):
        arrays[f"level_{i}"] = pa.array(np.ascontiguousarray(part.levels[:, i]))
    table = pa.table(arrays)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def read_ready(spool: Spool, number: int) -> Part:
    """Return one part that `settle` made ready."""
    with pa.OSFile(str(_ready(spool.part(number)))) as file:
        table = pa.ipc.open_file(file).read_all()
    levels = [table[name].to_numpy() for name in table.column_names if name.startswith("level_")]
    n = table.num_rows
    return Part(
        names=_names(table["name"]),
        codes=table["code"].to_numpy(),
        sides=table["side"].to_numpy(),
        rows=table["row"].to_numpy(),
        levels=np.column_stack(levels) if levels else np.empty((n, 0), np.int32),
    )


def parts_of(spool: Spool) -> Iterator[Part]:
    """Yield every part, one in memory at a time."""
    for number in range(spool.n_parts):
        yield read_ready(spool, number)
