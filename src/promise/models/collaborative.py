"""What collaborative sources share: vectors of choosers and of chosen, whose products rank."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Protocol, Self, runtime_checkable

import numpy as np

from promise.data.columns import FloatArray, IntArray
from promise.errors import ArtifactError
from promise.job import Job
from promise.models.base import Registry
from promise.models.index import VectorIndex
from promise.models.interactions import Interactions
from promise.models.leading import leading
from promise.models.short_vectors import Vectors, vector_blocks

RECOMMENDERS = Registry("promise.recommenders")
"""Every collaborative source that is installed, Promise's own and third parties'."""


Found = tuple[IntArray, FloatArray]
"""Codes of the chosen, int64 (k,), and their scores, float32 (k,), best first."""


class Recommended(Protocol):
    """A fitted collaborative source: immutable, safe to share, saved as arrays.

    A chooser's history is given as codes of the chosen, each once, and their weights.
    """

    kind: ClassVar[str]

    @property
    def choosers(self) -> Vectors:
        """Who chooses, float32 (n, d)."""
        ...

    @property
    def chosen(self) -> Vectors:
        """Who can be chosen, float32 (m, d); the larger the inner product, the better."""
        ...

    def scores(self, rows: IntArray) -> FloatArray:
        """Return the scores of everyone for these choosers, float32 (len(rows), m)."""
        ...

    def candidates(
        self, codes: IntArray, weights: FloatArray, k: int, index: VectorIndex | None = None
    ) -> Found:
        """Return the best `k` for a history, those of the history left out.

        Parameters
        ----------
        index
            Over `chosen`, by code, with whatever came and went since; None: all are looked at.
        """
        ...

    def fold_in(self, codes: IntArray, weights: FloatArray) -> FloatArray:
        """Return the vector that a chooser of this history has, float32 (d,)."""
        ...

    def fold_in_chosen(self, codes: IntArray, weights: FloatArray) -> FloatArray:
        """Return the vector of somebody whom these choosers chose, float32 (d,)."""
        ...

    def similar(self, code: int, k: int) -> Found:
        """Return who is chosen by the same people, and how much alike they are, best first."""
        ...

    def save(self, folder: Path) -> None:
        """Write everything `load` needs into an existing empty folder; nothing executable."""
        ...

    @classmethod
    def load(cls, folder: Path, *, mapped: bool = False) -> Self:
        """Read back what `save` wrote; `mapped` leaves large arrays on the disk until read."""
        ...


@runtime_checkable
class Shortens(Protocol):
    """A source that can hold its vectors in half the memory."""

    def shortened(self) -> Self:
        """Return the same with its vectors in sixteen bits a number."""
        ...


class Recommender(Protocol):
    """A frozen configuration of a collaborative source."""

    kind: ClassVar[str]

    def fit(self, interactions: Interactions, job: Job) -> Recommended:
        """Learn from who chose whom."""
        ...

    def memory_mb(self, n: int, m: int, nnz: int) -> float:
        """Return the peak memory of a fit above the interactions themselves, in MiB."""
        ...


def best_without(scores: FloatArray, history: IntArray, k: int) -> Found:
    """Return the best `k` of everyone but those of the history."""
    open_ = scores.copy()
    open_[history] = -np.inf
    places = leading(open_, min(k, len(open_) - len(history)))
    return places.astype(np.int64), open_[places]


def searched(
    vector: FloatArray, history: IntArray, k: int, chosen: Vectors, index: VectorIndex | None
) -> Found:
    """Return the best `k` for a chooser's vector, those of the history left out."""
    if index is None:
        return best_without(chosen @ vector, history, k)
    ids, scores = index.search(vector[None], k + len(history))
    kept = np.flatnonzero((ids[0] >= 0) & ~np.isin(ids[0], history))[:k]
    return ids[0][kept], scores[0][kept]


def lengths(vectors: Vectors) -> FloatArray:
    """Return the length of each row, float32 (n,)."""
    squares = [np.einsum("ij,ij->i", block, block) for block in vector_blocks(vectors)]
    found: FloatArray = np.sqrt(np.concatenate(squares))
    return found


def alike(chosen: Vectors, length: FloatArray, code: int, k: int) -> Found:
    """Return whose vectors point where this one's does; nobody for a vector of zeros."""
    if not length[code]:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    cosine = (chosen @ chosen[code]) / np.maximum(length * length[code], np.float32(1e-30))
    return best_without(cosine, np.array([code]), k)


def write_kind(folder: Path, model: Recommended) -> None:
    """Write which kind of source a folder holds, so that `load_recommended` finds its type."""
    (folder / "kind.txt").write_text(model.kind + "\n", encoding="utf-8")


def load_recommended(folder: Path, *, mapped: bool = False) -> Recommended:
    """Read back a collaborative source of any installed kind.

    Raises
    ------
    ArtifactError
        Where the folder holds none.
    """
    path = folder / "kind.txt"
    if not path.is_file():
        raise ArtifactError(f"{folder} holds no collaborative source: it has no kind.txt.")
    kind = RECOMMENDERS.resolve(path.read_text(encoding="utf-8").strip())
    found: Recommended = kind.fitted.load(folder, mapped=mapped)
    return found
