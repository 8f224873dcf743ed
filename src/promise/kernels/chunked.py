"""Training on more rows than memory holds: one pass at a time over chunks of encoded rows.

`chunks` is a function that starts a new pass: an iterator of (x float32 (n, d), y, row numbers),
and a fourth item, `order` (n, 2), where rows have one. Rows are chosen by the hash of their number
only, so every pass, machine and thread count sees the same choice, however the file is sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.rows import hash_fold, row_hash

Array = npt.NDArray[Any]
Chunks = Callable[[], Iterator[tuple[Array, ...]]]


def survey(chunks: Chunks, n_classes: int) -> dict[str, Any]:
    """Read all labels once: rows, columns, and the classes' counts or the mean and spread."""
    rows, columns, mean, squares = 0, 0, 0.0, 0.0
    counts = np.zeros(n_classes, dtype=np.int64)
    for x, y, *_ in chunks():
        n = len(y)
        if n == 0:
            continue
        columns = x.shape[1]
        if n_classes:
            counts += np.bincount(np.asarray(y, dtype=np.int64), minlength=n_classes)
        else:
            # Chan, Golub and LeVeque (1979): merge means without losing digits to a large offset.
            part, delta = float(np.mean(y)), float(np.mean(y)) - mean
            squares += float(np.sum((y - part) ** 2)) + delta**2 * rows * n / (rows + n)
            mean += delta * n / (rows + n)
        rows += n
    if rows == 0:
        raise ValueError("there are no rows to learn from.")
    found = {"rows": rows, "columns": columns, "counts": counts.tolist()}
    return {**found, "mean": mean, "std": float(np.sqrt(squares / rows))}


def hash_sample(chunks: Chunks, size: int, seed: int, by_entity: bool = False) -> tuple[Array, ...]:
    """Keep the `size` rows with the smallest hashes, in row order; all rows where they are fewer.

    The order of the chunks does not matter, and a larger sample contains the smaller. With
    `by_entity` the hash is that of the row's entity, so that histories stay whole but the last.
    """
    kept: list[tuple[Array, ...]] = []
    limit, held = np.uint64(0xFFFFFFFFFFFFFFFF), 0
    for chunk in chunks():
        hashes = row_hash(chunk[3][:, 0] if by_entity else chunk[2], seed)
        mask = hashes <= limit
        kept.append((hashes[mask], *(part[mask] for part in chunk)))
        held += int(mask.sum())
        if held > size + max(size // 4, 1024):
            kept = [smallest(kept, size)]
            limit, held = kept[0][0].max(), size
    sample = smallest(kept, size)
    order = np.argsort(sample[3], kind="stable")
    return tuple(part[order] for part in sample[1:])


def smallest(parts: list[tuple[Array, ...]], size: int) -> tuple[Array, ...]:
    """Return the rows whose first item is among the `size` smallest."""
    hashes = np.concatenate([part[0] for part in parts])
    if len(hashes) > size:
        keep = np.sort(np.argpartition(hashes, size - 1)[:size])
    else:
        keep = np.arange(len(hashes))
    merged = [hashes[keep]]
    starts = np.cumsum([0, *(len(part[0]) for part in parts)])
    for at in range(1, len(parts[0])):
        pieces = [
            part[at][keep[(keep >= low) & (keep < high)] - low]
            for part, low, high in zip(parts, starts[:-1], starts[1:], strict=True)
        ]
        merged.append(np.concatenate(pieces))
    return tuple(merged)


def in_batches(chunks: Chunks, rows: int) -> Iterator[tuple[Array, ...]]:
    """Cut and join chunks into batches of exactly so many rows; the last may be shorter."""
    waiting: list[tuple[Array, ...]] = []
    held = 0
    for chunk in chunks():
        at, n = 0, len(chunk[1])
        while at < n:
            take = min(rows - held, n - at)
            waiting.append(tuple(part[at : at + take] for part in chunk))
            at, held = at + take, held + take
            if held == rows:
                yield joined(waiting)
                waiting, held = [], 0
    if waiting:
        yield joined(waiting)


def joined(parts: list[tuple[Array, ...]]) -> tuple[Array, ...]:
    """Return the rows of all parts, in order."""
    if len(parts) == 1:
        return parts[0]
    return tuple(np.concatenate(pieces) for pieces in zip(*parts, strict=True))


def hash_part(chunks: Chunks, part: int, parts: int, seed: int) -> tuple[Array, ...]:
    """Return the rows that their hash deals to this part, of so many, in row order."""
    kept = []
    for chunk in chunks():
        mask = hash_fold(chunk[2], parts, seed) == part
        kept.append(tuple(piece[mask] for piece in chunk))
    rows = joined(kept)
    order = np.argsort(rows[2], kind="stable")
    return tuple(piece[order] for piece in rows)
