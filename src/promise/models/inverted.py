"""FAISS's inverted file over shortened vectors: how many lists to open is measured, not guessed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from promise.data.columns import FloatArray, IntArray
from promise.job import Job
from promise.models.leading import leading

_SAMPLE, _DEPTH = 200, 100
_TRAINED = 64
"""So many rows for each list are enough to place the lists."""

_SPARE = 2
"""So many times what is wanted are fetched, and scored again by the vectors themselves."""


@dataclass(frozen=True, eq=False)
class Inverted:
    """An inverted file over rows; each list holds eight bits a number.

    Parameters
    ----------
    file
        FAISS's index.
    lists, opened
        How many lists there are, and how many are opened by a search.
    recall, wanted
        The share of the true best hundred found by sampled queries, and what was asked for.
    """

    file: Any
    lists: int
    opened: int
    recall: float
    wanted: float

    @classmethod
    def build(cls, vectors: FloatArray, queries: FloatArray, wanted: float, job: Job) -> Self:
        """Return the file over these rows; as few lists are opened as the recall allows."""
        import faiss

        n, size = vectors.shape
        rng = job.rng()
        lists = int(2 ** np.round(np.log2(4 * np.sqrt(n))))
        faiss.omp_set_num_threads(job.threads)
        file: Any = faiss.index_factory(size, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
        file.cp.seed, file.cp.niter = job.seed, 8
        file.cp.min_points_per_centroid, file.cp.max_points_per_centroid = 1, _TRAINED
        chosen = rng.permutation(n)[: _TRAINED * lists]
        file.train(vectors[np.sort(chosen)])
        file.add(vectors)
        asked = queries[np.sort(rng.permutation(len(queries))[:_SAMPLE])].astype(np.float32)
        depth = min(_DEPTH, n)
        truth = faiss.knn(asked, vectors, depth, metric=faiss.METRIC_INNER_PRODUCT)[1]
        found = cls(file, lists, 1, 0.0, wanted)
        opened = 1
        while True:
            file.nprobe = opened
            share = found._recall(asked, vectors, truth)
            if share >= wanted or opened >= lists:
                return cls(file, lists, opened, share, wanted)
            opened = min(lists, max(opened + 1, opened * 5 // 4))

    def _recall(self, asked: FloatArray, vectors: FloatArray, truth: IntArray) -> float:
        depth = truth.shape[1]
        shares = []
        for query, best in zip(asked, truth, strict=True):
            rows = self.rows(query, depth)
            kept = rows[leading(vectors[rows] @ query, depth)]
            shares.append(len(np.intersect1d(kept, best)) / depth)
        return float(np.mean(shares))

    def rows(self, vector: FloatArray, k: int) -> IntArray:
        """Return the rows nearest to a vector, more than wanted: they are to be scored again."""
        import faiss

        faiss.omp_set_num_threads(1)  # one query is answered by the thread that asks
        found: IntArray = self.file.search(vector[None], _SPARE * k)[1][0]
        return found[found >= 0]

    def save(self, folder: Path) -> None:
        """Write FAISS's own file, and what was measured as JSON."""
        import faiss

        faiss.write_index(self.file, str(folder / "inverted.faiss"))
        told = {
            "lists": self.lists,
            "opened": self.opened,
            "recall": self.recall,
            "wanted": self.wanted,
        }
        (folder / "inverted.json").write_text(json.dumps(told), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        import faiss

        told = json.loads((folder / "inverted.json").read_text(encoding="utf-8"))
        file: Any = faiss.read_index(str(folder / "inverted.faiss"))
        file.nprobe = told["opened"]
        return cls(file, **told)
