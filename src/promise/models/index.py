"""Vectors that are found by their inner product, with rows that come, change and go meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Self

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.job import Job
from promise.models.array_files import read_array
from promise.models.index_snapshot import Snapshot, check_rows
from promise.models.short_vectors import Vectors

EXACT_BELOW = 10_000
"""Fewer rows than this are all looked at."""

_ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class Delta:
    """Rows that are new or changed since the snapshot; only the first `n` of the arrays count.

    An older value goes on reading what it has while a newer one appends behind it.
    """

    ids: IntArray
    vectors: FloatArray
    n: int = 0

    @classmethod
    def empty(cls, size: int) -> Self:
        """Return room for a few rows."""
        return cls(np.full(64, -1, np.int64), np.zeros((64, size), np.float32))

    def appended(self, ids: IntArray, vectors: FloatArray) -> Self:
        """Return a delta with further rows; room doubles when it is used up."""
        end = self.n + len(ids)
        kept = self
        if end > len(self.ids):
            room = max(2 * len(self.ids), end)
            kept = replace(self, ids=np.full(room, -1, np.int64), vectors=_grown(self, room))
            kept.ids[: self.n] = self.ids[: self.n]
        kept.ids[self.n : end] = ids
        kept.vectors[self.n : end] = vectors
        return replace(kept, n=end)


def _grown(delta: Delta, room: int) -> FloatArray:
    vectors = np.zeros((room, delta.vectors.shape[1]), np.float32)
    vectors[: delta.n] = delta.vectors[: delta.n]
    return vectors


class VectorIndex:
    """The nearest rows by inner product, with rows that come, change and go meanwhile.

    A snapshot never changes. New and changed rows stand beside it and are all looked at; rows that
    went are marked and passed over. `merged` makes a snapshot of what is there; swapping it in is
    the caller's. Any number of threads may search while one writes.

    Examples
    --------
    >>> index = VectorIndex.build(np.eye(3, dtype=np.float32), ids=np.array([10, 20, 30]))
    >>> index.put(np.array([40]), np.full((1, 3), 0.5, np.float32))
    >>> index.remove(np.array([20]))
    >>> index.search(np.array([[0.0, 1.0, 0.1]], np.float32), 2)[0]
    array([[40, 30]])
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._gone = np.zeros(len(snapshot.ids), bool)
        self._n_gone = 0
        self._delta = Delta.empty(snapshot.vectors.shape[1])
        self._places: dict[int, int] = {}
        self._lock = Lock()

    @classmethod
    def build(
        cls,
        vectors: Vectors,
        ids: IntArray | None = None,
        *,
        queries: FloatArray | None = None,
        job: Job | None = None,
        recall: float = 0.96,
        exact_below: int = EXACT_BELOW,
    ) -> Self:
        """Return an index over these rows.

        Parameters
        ----------
        vectors
            Float32 (n, d), or the same in sixteen bits a number; not copied where the ids ascend.
        ids
            Int64 (n,), each once, from 0 on; None: the row numbers.
        queries
            Vectors as they will be asked for, float32 (q, d): how many lists are opened is measured
            with them. None: the rows themselves.
        recall
            The share of the true best hundred that is to be found, measured over these queries.
        exact_below
            Fewer rows than this are all looked at.

        Raises
        ------
        DataError
            Where an id comes twice or is negative, or a vector is not finite.
        """
        codes = np.asarray(np.arange(len(vectors)) if ids is None else ids, np.int64)
        made = Snapshot.of(
            codes, vectors, queries, job=job or Job(), recall=recall, exact_below=exact_below
        )
        return cls(made)

    def __len__(self) -> int:
        return len(self._snapshot.ids) - self._n_gone + len(self._places)

    @property
    def size(self) -> int:
        """How many numbers a vector has."""
        return int(self._snapshot.vectors.shape[1])

    @property
    def exact(self) -> bool:
        """Whether every row is looked at."""
        return self._snapshot.inverted is None

    @property
    def snapshot(self) -> Snapshot:
        """The rows that do not change."""
        return self._snapshot

    @property
    def changes(self) -> int:
        """How many rows came, changed or went since the snapshot: when to merge."""
        return self._delta.n + self._n_gone

    @property
    def measured_recall(self) -> float:
        """The share of the true best hundred that was found when this was built; 1 where exact."""
        inverted = self._snapshot.inverted
        return 1.0 if inverted is None else inverted.recall

    def search(self, vectors: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """Return the ids and inner products of the nearest rows, best first.

        Parameters
        ----------
        vectors
            Float32 (q, d).

        Returns
        -------
        Int64 and float32 (q, k); -1 and minus infinity where there are fewer rows than asked for.
        """
        ids = np.full((len(vectors), k), -1, np.int64)
        scores = np.full((len(vectors), k), -np.inf, np.float32)
        for number, vector in enumerate(np.ascontiguousarray(vectors, np.float32)):
            parts = self._snapshot.nearest(vector, k, self._gone), self.recent(vector, k)
            codes, found = (np.concatenate(some) for some in zip(*parts, strict=True))
            best = np.lexsort((codes, -found))[:k]
            ids[number, : len(best)] = codes[best]
            scores[number, : len(best)] = found[best]
        return ids, scores

    def recent(self, vector: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """Return the best of the rows that came or changed since the snapshot, at most `k`."""
        ids = self._delta.ids[: self._delta.n]
        live = np.flatnonzero(ids >= 0)
        scores = self._delta.vectors[live] @ np.asarray(vector, np.float32)
        best = np.lexsort((ids[live], -scores))[:k]
        return ids[live[best]], scores[best]

    def put(self, ids: IntArray, vectors: FloatArray) -> None:
        """Add rows, or change those of known ids; the next search finds them.

        Raises
        ------
        DataError
            Where an id comes twice or is negative, or a vector is not finite.
        """
        codes = np.asarray(ids, np.int64)
        rows = np.ascontiguousarray(vectors, np.float32)
        check_rows(codes, rows)
        with self._lock:
            self._forget(codes)
            first = self._delta.n
            self._delta = self._delta.appended(codes, rows)  # before anyone is told where to look
            self._places |= {int(code): first + i for i, code in enumerate(codes)}

    def remove(self, ids: IntArray) -> None:
        """Leave these rows out from now on; ids that have none change nothing."""
        with self._lock:
            self._forget(np.asarray(ids, np.int64))

    def _forget(self, ids: IntArray) -> None:
        rows = np.unique(self._snapshot.rows(ids))
        rows = rows[rows >= 0]
        self._n_gone += int((~self._gone[rows]).sum())
        self._gone[rows] = True
        for code in ids.tolist():
            place = self._places.pop(code, None)
            if place is not None:
                self._delta.ids[place] = -1

    def take(self, ids: IntArray) -> tuple[FloatArray, Array]:
        """Return the vectors of these ids, float32 (n, d), and whether each is there, bool (n,).

        Zeros stand where there is none.
        """
        codes = np.asarray(ids, np.int64)
        rows = self._snapshot.rows(codes)
        rows[rows >= 0] = np.where(self._gone[rows[rows >= 0]], -1, rows[rows >= 0])
        vectors = np.zeros((len(codes), self.size), np.float32)
        vectors[rows >= 0] = self._snapshot.vectors[rows[rows >= 0]]
        if self._places:
            places = np.array([self._places.get(code, -1) for code in codes.tolist()], np.int64)
            vectors[places >= 0] = self._delta.vectors[places[places >= 0]]
            rows = np.maximum(rows, places)
        return vectors, rows >= 0

    def everything(self) -> tuple[IntArray, FloatArray]:
        """Return all ids, ascending, and their vectors."""
        with self._lock:
            kept = np.flatnonzero(~self._gone)
            live = np.flatnonzero(self._delta.ids[: self._delta.n] >= 0)
            ids = np.concatenate([self._snapshot.ids[kept], self._delta.ids[live]])
            vectors = np.concatenate([self._snapshot.vectors[kept], self._delta.vectors[live]])
        order = np.argsort(ids, kind="stable")
        return ids[order], vectors[order]

    def merged(self, job: Job | None = None, *, exact_below: int = EXACT_BELOW) -> VectorIndex:
        """Return a new index over all rows as they are now, none of them aside."""
        ids, vectors = self.everything()
        target = self._snapshot.inverted.wanted if self._snapshot.inverted else 0.96
        return VectorIndex.build(vectors, ids, job=job, recall=target, exact_below=exact_below)

    def recall_against_exact(self, queries: FloatArray, k: int = 100) -> float:
        """Return the share of the true best `k` that a search finds, over these queries.

        Whoever scores no less than the last of the best counts as one of them.
        """
        ids, vectors = self.everything()
        k = min(k, len(ids))
        if not k or not len(queries):
            return 1.0
        found = self.search(queries, k)[1]
        shares = []
        for query, scores in zip(np.asarray(queries, np.float32), found, strict=True):
            last = np.partition(vectors @ query, len(ids) - k)[len(ids) - k]
            shares.append((scores >= last - _ROUNDING * abs(last)).mean())
        return float(np.mean(shares))

    def lies_over(self, vectors: Vectors) -> bool:
        """Say whether the snapshot's vectors are these very ones, in their order, no copy."""
        of = self._snapshot
        in_order = len(of.ids) == len(vectors) and (
            not len(of.ids) or of.ids[-1] == len(of.ids) - 1
        )
        return of.vectors is vectors and bool(in_order)

    def save(self, folder: Path, *, vectors: bool = True) -> None:
        """Write everything into an existing empty folder: arrays and JSON.

        What came, changed or went since the snapshot is written as such.

        Parameters
        ----------
        vectors
            Whether the snapshot's vectors are written too; else who loads brings them.
        """
        with self._lock:
            n = self._delta.n
            np.save(folder / "gone.npy", np.flatnonzero(self._gone))
            np.save(folder / "delta_ids.npy", self._delta.ids[:n])
            np.save(folder / "delta_vectors.npy", self._delta.vectors[:n])
        self._snapshot.save(folder, vectors=vectors)

    @classmethod
    def load(cls, folder: Path, *, vectors: Vectors | None = None, mapped: bool = False) -> Self:
        """Read back what `save` wrote; `mapped` leaves it on the disk until it is read.

        Parameters
        ----------
        vectors
            Those that the index lies over, where it was written without.

        Raises
        ------
        ArtifactError
            Where a newer installation wrote the folder, an earlier one in FAISS's format, or it
            was written without vectors and none are given.
        """
        index = cls(Snapshot.load(folder, vectors, mapped=mapped))
        index.remove(index.snapshot.ids[read_array(folder, "gone")])
        delta_ids = read_array(folder, "delta_ids")
        live = delta_ids >= 0
        index.put(delta_ids[live], read_array(folder, "delta_vectors")[live])
        return index
