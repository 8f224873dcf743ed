"""Rows of an index that do not change: checked, sorted by id, searched, and saved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.errors import ArtifactError, DataError
from promise.job import Job
from promise.models.array_files import read_array
from promise.models.inverted import Inverted
from promise.models.leading import leading
from promise.models.row_blocks import row_blocks
from promise.models.short_vectors import ShortVectors, Vectors, read_vectors, write_vectors

FORMAT = 3


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Rows that do not change: their ids, their vectors and, where many, the inverted file.

    Parameters
    ----------
    ids
        Int64 (n,), ascending, each once: of equal scores the smaller id comes first.
    vectors
        Float32 (n, d), or the same in sixteen bits a number.
    inverted
        None where all rows are looked at.
    """

    ids: IntArray
    vectors: Vectors
    inverted: Inverted | None

    @classmethod
    def of(
        cls,
        ids: IntArray,
        vectors: Vectors,
        queries: FloatArray | None,
        *,
        job: Job,
        recall: float,
        exact_below: int,
    ) -> Self:
        """Sort rows by their ids, and make the inverted file where there are many.

        `VectorIndex.build` says what is given, and what is refused.
        """
        kept = vectors
        if not isinstance(vectors, ShortVectors):
            kept = np.ascontiguousarray(vectors, np.float32)
        check_rows(ids, kept)
        if (ids[1:] < ids[:-1]).any():
            order = np.argsort(ids)
            ids = ids[order]
            kept = kept.take(order) if isinstance(kept, ShortVectors) else kept[order]
        inverted = None
        if len(kept) >= exact_below:
            asked: Vectors = queries if queries is not None and len(queries) else kept
            inverted = Inverted.build(kept, asked, recall, job)
        return cls(ids, kept, inverted)

    def rows(self, ids: IntArray) -> IntArray:
        """Return the row of each id, -1 for an id that has none."""
        if not len(self.ids):
            return np.full(len(ids), -1, np.int64)
        row = np.searchsorted(self.ids, ids).clip(max=len(self.ids) - 1)
        return np.where(self.ids[row] == ids, row, -1)

    def nearest(self, vector: FloatArray, k: int, gone: Array) -> tuple[IntArray, FloatArray]:
        """Return the ids and inner products of the best rows, at most `k`, best first.

        Parameters
        ----------
        gone
            Bool (n,): rows that are passed over.
        """
        if self.inverted is None:
            scores = self.vectors @ vector
            scores[gone] = -np.inf
            rows = leading(scores, k)
            rows = rows[scores[rows] > -np.inf]
            return self.ids[rows], scores[rows]
        kept = self.inverted.nearest(vector, k, gone)
        # scores are those of the rows themselves, not of their shortened copies
        scores = self.vectors[kept] @ vector
        best = np.lexsort((self.ids[kept], -scores))[:k]
        return self.ids[kept[best]], scores[best]

    def save(self, folder: Path, *, vectors: bool) -> None:
        """Write everything, or everything but the vectors, into an existing folder."""
        np.save(folder / "ids.npy", self.ids)
        if vectors:
            write_vectors(folder, "vectors", self.vectors)
        told = {"format": FORMAT, "exact": self.inverted is None, "vectors": vectors}
        (folder / "index.json").write_text(json.dumps(told), encoding="utf-8")
        if self.inverted is not None:
            self.inverted.save(folder)

    @classmethod
    def load(cls, folder: Path, vectors: Vectors | None, *, mapped: bool) -> Self:
        """Read back what `save` wrote; see `VectorIndex.load`."""
        told: dict[str, Any] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        if told["format"] > FORMAT:
            raise ArtifactError(
                f"{folder} holds an index of format {told['format']}, this installation reads up "
                f"to {FORMAT}; upgrade it, or train the version again."
            )
        inverted = None if told["exact"] else Inverted.load(folder, mapped=mapped)
        ids = read_array(folder, "ids", mapped=mapped)
        if told.get("vectors", True):
            vectors = read_vectors(folder, "vectors", mapped=mapped)
        if vectors is None or len(vectors) != len(ids):
            found = "none came" if vectors is None else f"{len(vectors):,} came"
            raise ArtifactError(
                f"{folder} holds an index over {len(ids):,} vectors that lie elsewhere, and "
                f"{found}; train the version again."
            )
        return cls(ids, vectors, inverted)


def check_rows(ids: IntArray, vectors: Vectors) -> None:
    """Refuse rows that an index cannot hold.

    Raises
    ------
    DataError
        Where an id comes twice or is negative, or a vector is not finite.
    """
    if len(vectors.shape) != 2 or len(vectors) != len(ids):
        raise DataError(
            f"an index takes one vector for each id; {len(ids)} ids and vectors of shape "
            f"{vectors.shape} came."
        )
    if len(ids) and ids.min() < 0:
        raise DataError(f"the id {ids.min()} is negative; ids of an index run from 0 on.")
    known, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise DataError(f"the id {known[counts > 1][0]} comes twice; give each row its own id.")
    for rows in row_blocks(len(ids)):
        wrong = np.flatnonzero(~np.isfinite(vectors[rows]).all(axis=1))
        if len(wrong):
            raise DataError(
                f"the vector of id {ids[rows][wrong[0]]} is not finite; look at what it was "
                "learned from."
            )
