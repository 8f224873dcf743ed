"""Names that are kept in bounded number: for calibration, for rules, and for later updates."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from promise.data.columns import IntArray
from promise.features.names import Names, pinned_suffixes
from promise.models.hashed import Batch, Kept
from promise.workloads.domains.parts import Part, taken
from promise.workloads.domains.split import (
    BRAND,
    CALIBRATE,
    OF_NO_CLASS,
    RANDOM,
    REGISTRABLE,
    STRANGE,
    TRAIN,
    TUNE,
)

HELD = 50_000
"""At most so many names calibrate, and judge rules; the first by part."""

KEPT = {
    TRAIN: 100_000, RANDOM: 10_000, REGISTRABLE: 10_000, BRAND: 10_000,
    CALIBRATE: 10_000, TUNE: 10_000, OF_NO_CLASS: 20_000, STRANGE: 10_000,
}  # fmt: skip
"""How many names of each purpose a version keeps: those of the smallest hashes, so that the sample
is an even one of all names that were ever seen."""


def held_out(parts: Iterable[Part], side: int) -> Batch:
    """Return the names that are for this purpose, from all parts."""
    pieces, seen = [], 0
    for part in parts:
        rows = np.flatnonzero(part.sides == side)[: HELD - seen]
        pieces.append(part.take(rows))
        seen += len(rows)
    return joined_batches(pieces)


def joined_batches(pieces: list[Batch]) -> Batch:
    """Return several batches as one."""
    lengths = [np.diff(piece.offsets) for piece in pieces]
    return Batch(
        np.concatenate([piece.data for piece in pieces]),
        np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64),
        np.concatenate([piece.cuts for piece in pieces]),
        np.concatenate([piece.codes for piece in pieces]),
    )


def share_of(batch: Batch, number: int, n_parts: int) -> Batch:
    """Return every `n_parts`-th name, from the given one on: what is learned beside one part."""
    return taken_batch(batch, np.arange(number, len(batch.codes), n_parts))


def taken_batch(batch: Batch, places: IntArray) -> Batch:
    """Return these names of a batch."""
    return taken(names_of(batch), batch.codes, places)


def names_of(batch: Batch) -> Names:
    """Return the names of a batch as such."""
    kinds = np.zeros(len(batch.codes), np.int8)
    return Names(batch.data, batch.offsets, kinds, pinned_suffixes())


def sample(parts: Iterable[Part]) -> Kept:
    """Return an even, bounded sample of the names of each purpose."""
    kept: Kept | None = None
    for part in parts:
        batch = part.take(np.arange(len(part.codes)))
        sides = part.sides
        if kept is not None:
            batch = joined_batches([kept.batch, batch])
            sides = np.concatenate([kept.sides, sides])
        places = _smallest(names_of(batch), sides)
        kept = Kept(taken_batch(batch, places), sides[places])
    if kept is None:
        raise ValueError("a sample wants at least one part")
    return kept


def _smallest(names: Names, sides: IntArray) -> IntArray:
    order = np.argsort(names.hashes, kind="stable")
    found = [order[sides[order] == side][:limit] for side, limit in KEPT.items()]
    return np.sort(np.concatenate(found))


def part_of(kept: Kept, n_classes: int) -> Part:
    """Return kept names as a part.

    They have no rows in the source at hand: numbers below 0 that follow from the name stand for
    them, so that versions are compared on equal names.
    """
    names = names_of(kept.batch)
    codes = np.where(kept.batch.codes < 0, n_classes, kept.batch.codes)
    rows = -1 - (names.hashes >> np.uint64(1)).astype(np.int64)
    return Part(names, codes, kept.sides, rows, np.empty((len(codes), 0), np.int32))
