"""An inverted file over shortened vectors: how many lists to open is measured, not guessed."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from threadpoolctl import threadpool_limits

from promise.data.columns import Array, FloatArray, IntArray
from promise.errors import ArtifactError
from promise.job import Job
from promise.kernels.vector_lists import best_listed, nearest_lists
from promise.models.array_files import read_arrays
from promise.models.directions import directions, nearest_direction, unit
from promise.models.leading import leading
from promise.models.row_blocks import row_blocks
from promise.models.short_vectors import Vectors

_SAMPLE, _DEPTH = 200, 100
_TRAINED = 64
"""So many rows for each list are enough to place the lists."""

_SPARE = 2
"""So many times what is wanted are fetched, and scored again by the vectors themselves."""

_LONG = 0.9
"""A list counts as long as the row at this share of its rows by length: its best are sought."""

_ARRAYS = ("centres", "starts", "rows", "codes", "scales")


@dataclass(frozen=True, eq=False)
class Inverted:
    """An inverted file: rows that point the same way lie together, in eight bits a number.

    Lists are opened by the inner product with their middle direction, as long as their longer rows
    are: of trained vectors, whose lengths differ, that finds the same with half the lists that
    directions alone need.

    Parameters
    ----------
    centres
        Float32 (n_lists, d).
    starts
        Where each list starts: int64 (n_lists + 1,).
    rows, codes, scales
        List by list: int32 (n,), int8 (n, d), and what one step of a row's code is worth.
    opened
        How many lists are opened by a search.
    recall, wanted
        The share of the true best hundred found by sampled queries, and what was asked for.
    """

    centres: FloatArray
    starts: IntArray
    rows: IntArray
    codes: IntArray
    scales: FloatArray
    opened: int
    recall: float
    wanted: float

    @classmethod
    def build(cls, vectors: Vectors, queries: Vectors, wanted: float, job: Job) -> Self:
        """Return the file over these rows; as few lists are opened as the recall allows."""
        rng = job.rng()
        with threadpool_limits(limits=job.threads):
            listed = _listed(vectors, rng)
            asked = queries[np.sort(rng.permutation(len(queries))[:_SAMPLE])].astype(np.float32)
            truth = _truth(asked, vectors, min(_DEPTH, len(vectors)))
        return cls(*listed, 1, 0.0, wanted)._measured(asked, vectors, truth)

    @property
    def lists(self) -> int:
        """How many lists there are."""
        return len(self.centres)

    def _measured(self, asked: FloatArray, vectors: Vectors, truth: IntArray) -> Self:
        """Return the same with as many lists opened as the recall that is wanted takes."""
        opened, none = 1, np.zeros(len(vectors), bool)
        while True:
            share = replace(self, opened=opened)._recall(asked, vectors, truth, none)
            if share >= self.wanted or opened >= self.lists:
                return replace(self, opened=opened, recall=share)
            opened = min(self.lists, max(opened + 1, opened * 5 // 4))

    def _recall(self, asked: FloatArray, vectors: Vectors, truth: IntArray, gone: Array) -> float:
        depth = truth.shape[1]
        shares = []
        for query, best in zip(asked, truth, strict=True):
            rows = self.nearest(query, depth, gone)
            kept = rows[leading(vectors[rows] @ query, depth)]
            shares.append(len(np.intersect1d(kept, best)) / depth)
        return float(np.mean(shares))

    def nearest(self, vector: FloatArray, k: int, gone: Array) -> IntArray:
        """Return the rows nearest to a vector, more than wanted: they are to be scored again.

        No fewer than `k` while so many are there: further lists are opened where the nearest hold
        too few.

        Parameters
        ----------
        gone
            Bool (n,): rows that are passed over.
        """
        opened = self.opened
        while True:
            lists = nearest_lists(vector, self.centres, opened)
            found: IntArray = best_listed(
                vector, lists, self.starts, self.rows, self.codes, self.scales, gone,
                min(_SPARE * k, len(self.rows)),
            )  # fmt: skip
            if len(found) >= k or opened >= self.lists:
                return found
            opened = min(2 * opened, self.lists)

    def save(self, folder: Path) -> None:
        """Write one `.npy` for each array, and what was measured as JSON."""
        for name in _ARRAYS:
            np.save(folder / f"inverted_{name}.npy", getattr(self, name))
        told = {"opened": self.opened, "recall": self.recall, "wanted": self.wanted}
        (folder / "inverted.json").write_text(json.dumps(told), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, *, mapped: bool = False) -> Self:
        """Read back what `save` wrote; `mapped` shares it with the other readers of the files.

        Raises
        ------
        ArtifactError
            Where an earlier installation wrote the folder, in another library's format.
        """
        if (folder / "inverted.faiss").exists():
            raise ArtifactError(
                f"{folder} holds an index in FAISS's format, which is not read any more; train the "
                "version again."
            )
        told = json.loads((folder / "inverted.json").read_text(encoding="utf-8"))
        arrays = read_arrays(folder, [f"inverted_{name}" for name in _ARRAYS], mapped=mapped)
        given: dict[str, Any] = {name: arrays[f"inverted_{name}"] for name in _ARRAYS}
        return cls(**given, **told)


def _listed(
    vectors: Vectors, rng: np.random.Generator
) -> tuple[FloatArray, IntArray, IntArray, IntArray, FloatArray]:
    """Return centres, starts, rows, codes and scales."""
    n = len(vectors)
    lists = min(n, int(2 ** np.round(np.log2(4 * np.sqrt(n)))))
    chosen = np.sort(rng.permutation(n)[: _TRAINED * lists])
    centres = directions(unit(vectors[chosen]), lists, rng)
    member = nearest_direction(vectors, centres)
    rows = np.argsort(member, kind="stable").astype(np.int32)
    starts = np.searchsorted(member[rows], np.arange(lists + 1)).astype(np.int64)
    codes, scales = np.empty(vectors.shape, np.int8), np.empty(n, np.float32)
    lengths = np.empty(n, np.float32)
    for part in row_blocks(n):
        block = vectors[rows[part]]
        step = np.maximum(np.abs(block).max(axis=1), np.float32(1e-30)) / np.float32(127)
        codes[part] = np.rint(block / step[:, None])
        scales[part] = step
        lengths[part] = np.sqrt(np.einsum("ij,ij->i", block, block))
    for number in np.flatnonzero(np.diff(starts)):
        of = lengths[starts[number] : starts[number + 1]]
        centres[number] *= np.partition(of, int(_LONG * (len(of) - 1)))[int(_LONG * (len(of) - 1))]
    return centres, starts, rows, codes, scales


def _truth(asked: FloatArray, vectors: Vectors, depth: int) -> IntArray:
    """Return the true best rows of each query: int64 (q, depth), in no order."""
    best: IntArray = np.zeros((len(asked), 0), np.int64)
    scores: FloatArray = np.zeros((len(asked), 0), np.float32)
    for part in row_blocks(len(vectors)):
        fresh = asked @ vectors[part].T
        rows = np.broadcast_to(np.arange(part.start, part.stop), fresh.shape)
        best = np.concatenate([best, rows], axis=1)
        scores = np.concatenate([scores, fresh], axis=1)
        if best.shape[1] > depth:
            kept = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
            best = np.take_along_axis(best, kept, axis=1)
            scores = np.take_along_axis(scores, kept, axis=1)
    return best
