"""A graph filter: who is chosen together, plus a smooth low-rank view of it. Nothing is descended.

Shen et al. 2021 ("How Powerful is Graph Convolution for Recommendation?", GF-CF, equations 13-15):
the score of everyone for a history r is the linear filter r D⁻ᵇ Rᵀ C⁻ᵃ R D⁻ᵇ plus `alpha` times the
ideal low-pass filter r D⁻ᵇ V Vᵀ Dᵇ, where V holds the first right singular vectors of the
normalised matrix. The linear filter is walked, history by history, and never stored; the ideal one
is an inner product of vectors, which an index can search. Explicit noes are not walked over.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import local
from typing import Any, ClassVar, Self

import numpy as np
from threadpoolctl import threadpool_limits

from promise.data.columns import FloatArray, IntArray
from promise.errors import ArtifactError, DataError
from promise.job import Job
from promise.kernels.walks import walk, walk_many
from promise.models.array_files import read_arrays, write_arrays
from promise.models.collaborative import Found, best_without, write_kind
from promise.models.factors import gram
from promise.models.index import VectorIndex
from promise.models.interactions import Interactions
from promise.models.leading import leading
from promise.models.short_vectors import (
    Vectors,
    products,
    read_vectors,
    shortened,
    write_vectors,
)

_VECTORS, _ARRAYS = ("choosers", "chosen"), ("chooser_worth", "chosen_worth", "strengths")
_LEAST = 1e-4
"""Directions weaker than so much of the strongest one are rounding errors."""

_WIDER = 4
"""So many times what is wanted are taken from the walk before vectors are looked at: on Gowalla
that finds 99.95 % of what looking at everyone finds."""


@dataclass(frozen=True, eq=False)
class FittedGraphFilter:
    """Who chose whom, how much each counts, and the vectors of the low-rank part.

    Parameters
    ----------
    interactions
        The yeses alone.
    back
        The same, transposed.
    chooser_worth, chosen_worth
        How much a walk counts through each chooser, and to each chosen: float32 (n,) and (m,).
    choosers, chosen
        The low-rank part as vectors, float32 (n, d) and (m, d); `alpha` stands in the choosers'.
    strengths
        The singular values, float64 (d,).
    terms
        The numbers behind the filter, by name.
    """

    kind: ClassVar[str] = "graph_filter"
    kind_version: ClassVar[int] = 2
    interactions: Interactions
    back: Interactions
    chooser_worth: FloatArray
    chosen_worth: FloatArray
    choosers: Vectors
    chosen: Vectors
    strengths: FloatArray
    terms: dict[str, float]

    def scores(self, rows: IntArray, threads: int = 1) -> FloatArray:
        """Return the scores of everyone for these choosers, float32 (len(rows), m)."""
        rows = np.asarray(rows, np.int64)
        found = np.empty((len(rows), len(self.chosen)), np.float32)
        parts = [part for part in np.array_split(np.arange(len(rows)), threads) if len(part)]

        def walked(part: IntArray) -> None:
            of = self.interactions
            walk_many(
                rows[part], self.back.starts, self.back.others, of.starts, of.others,
                self._entry_worth, self.chooser_worth, self._most, found[part[0] : part[-1] + 1],
            )  # fmt: skip

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(walked, parts))
        found *= self.chosen_worth
        found += products(self.choosers[rows], self.chosen)
        return found

    def candidates(
        self, codes: IntArray, weights: FloatArray, k: int, index: VectorIndex | None = None
    ) -> Found:
        """Return the best `k` for a history, those of the history left out.

        With an index, the walk goes first: those whom it reaches best are looked at, and those who
        came since, whom it cannot reach. Only where it reaches too few is the index searched.
        """
        query = self.fold_in(codes, weights)
        near, walked = self._walked(codes, weights)
        if index is None:
            total = self.chosen @ query
            total[near] += walked
            return best_without(total, codes, k)
        front = leading(walked, _WIDER * k + len(codes))
        near, walked = near[front], walked[front]
        if len(near) < k + len(codes):
            more = index.search(query[None], k + len(codes))[0][0]
        else:
            more = index.recent(query, k)[0]
        everyone = np.union1d(near, more[more >= 0])
        vectors, there = index.take(everyone)
        total = vectors @ query
        total[np.searchsorted(everyone, near)] += walked
        open_ = np.flatnonzero(there & ~np.isin(everyone, codes))
        best = open_[leading(total[open_], k)]
        return everyone[best], total[best]

    def fold_in(self, codes: IntArray, weights: FloatArray) -> FloatArray:
        """Return the vector that a chooser of this history has, float32 (d,): its low-rank part."""
        counted = np.maximum(weights, 0) * self.chosen_worth[codes] ** 2
        scaled = np.asarray(self.terms["alpha"] * counted, np.float32)
        vector: FloatArray = scaled @ self.chosen[codes]
        return vector

    def fold_in_chosen(self, codes: IntArray, weights: FloatArray) -> FloatArray:
        """Return the vector of somebody whom these choosers chose, float32 (d,)."""
        sums = (np.maximum(weights, 0) * self.chooser_worth[codes]) @ self.choosers[codes]
        return (sums / (self.terms["alpha"] * self.strengths**2)).astype(np.float32)

    def similar(self, code: int, k: int) -> Found:
        """Return who is chosen by the same people, by the linear filter."""
        near, scores = self._walked(np.array([code]), np.ones(1, np.float32))
        others = near != code
        near, scores = near[others], scores[others]
        best = leading(scores, k)
        return near[best], scores[best]

    @property
    def _most(self) -> int:
        return int(self.terms["most_walks"])

    @cached_property
    def _entry_worth(self) -> FloatArray:
        of = self.interactions
        return of.weights * self.chosen_worth[of.others]

    @cached_property
    def _room(self) -> local:
        return local()

    def _walked(self, codes: IntArray, weights: FloatArray) -> Found:
        """Return whom a history leads to, and how much, in scratch room of the thread's own."""
        room, of = self._room, self.interactions
        if not hasattr(room, "scores"):
            room.reached = np.zeros(of.n_choosers, np.float32)
            room.scores = np.zeros(of.n_chosen, np.float32)
            room.met = np.empty(of.n_choosers + 1, np.int32)
            room.found = np.empty(of.n_chosen, np.int32)
        yes = np.asarray(weights) > 0
        history = np.asarray(codes, np.int32)[yes]
        sizes = (np.asarray(weights)[yes] * self.chosen_worth[history]).astype(np.float32)
        n = walk(
            history, sizes, self.back.starts, self.back.others, of.starts, of.others,
            self.chooser_worth, self._most, room.reached, room.scores, room.met, room.found,
        )  # fmt: skip
        near = room.found[:n].astype(np.int64)
        scores = room.scores[near] * self.chosen_worth[near]
        room.scores[near] = 0
        room.reached[room.met[: room.met[-1]]] = 0
        return near, scores

    def shortened(self) -> Self:
        """Return the same with its vectors in sixteen bits a number."""
        return replace(self, choosers=shortened(self.choosers), chosen=shortened(self.chosen))

    def save(self, folder: Path) -> None:
        """Write the arrays as `.npy` and the terms as JSON."""
        write_kind(folder, self)
        for name in ("interactions", "back"):
            (folder / name).mkdir()
            getattr(self, name).save(folder / name)
        for name in _VECTORS:
            write_vectors(folder, name, getattr(self, name))
        write_arrays(folder, self, _ARRAYS)
        told = {"kind": self.kind, "kind_version": self.kind_version, "terms": self.terms}
        (folder / "graph_filter.json").write_text(json.dumps(told), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, *, mapped: bool = False) -> Self:
        """Read back what `save` wrote; `mapped` leaves the arrays on the disk until they are read.

        Raises
        ------
        ArtifactError
            Where a newer installation wrote the folder.
        """
        path = folder / "graph_filter.json"
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if told["kind_version"] > cls.kind_version:
            raise ArtifactError(
                f"{folder} holds {cls.kind} {told['kind_version']}, this installation reads up to "
                f"{cls.kind_version}; upgrade it, or train the version again."
            )
        choosers, chosen = (read_vectors(folder, name, mapped=mapped) for name in _VECTORS)
        return cls(
            interactions=Interactions.load(folder / "interactions", mapped=mapped),
            back=Interactions.load(folder / "back", mapped=mapped),
            choosers=choosers,
            chosen=chosen,
            **read_arrays(folder, _ARRAYS, mapped=mapped),
            terms=told["terms"],
        )


@dataclass(frozen=True)
class GraphFilter:
    """How the filter is made.

    Parameters
    ----------
    size
        Numbers in a vector: how many singular vectors the ideal filter holds.
    alpha
        How much the ideal filter counts beside the linear one.
    chooser_power, chosen_power
        How much less somebody counts who chose or is chosen by many (a and b); the paper's by
        default.
    passes
        Power iterations of the randomised decomposition (Halko, Martinsson, Tropp 2011).
    most_walks
        Of somebody chosen by more than so many, only a part is walked over.

    Examples
    --------
    >>> likes = Interactions.from_pairs(np.array([0, 0, 1, 1, 2]), np.array([3, 4, 3, 4, 3]))
    >>> fitted = GraphFilter(size=2).fit(likes, Job(seed=1))
    >>> fitted.candidates(np.array([3]), np.ones(1, np.float32), k=1)[0]
    array([4])
    """

    kind: ClassVar[str] = "graph_filter"
    fitted: ClassVar[type[FittedGraphFilter]] = FittedGraphFilter
    size: int = 256
    alpha: float = 0.3
    chooser_power: float = 1.0
    chosen_power: float = 0.5
    passes: int = 2
    most_walks: int = 2_000

    def fit(self, interactions: Interactions, job: Job) -> FittedGraphFilter:
        """Normalise and decompose who chose whom, with as many threads as the job allows.

        Raises
        ------
        DataError
            Where there is no yes to learn from.
        """
        yes = interactions.positive()
        if not yes.nnz:
            raise DataError("there is no pair to learn from; give at least one like.")
        back = yes.transposed()
        chooser_worth = _worth(yes.counts, self.chooser_power)
        chosen_worth = _worth(back.counts, self.chosen_power)
        with threadpool_limits(job.threads):
            right, strengths = self._decomposed(yes, chooser_worth, chosen_worth, job)
            matrix = yes.matrix()
            choosers = matrix @ (right * (self.alpha * chosen_worth)[:, None])
        return FittedGraphFilter(
            interactions=yes,
            back=back,
            chooser_worth=chooser_worth,
            chosen_worth=chosen_worth,
            choosers=choosers.astype(np.float32),
            chosen=right / chosen_worth[:, None],
            strengths=strengths,
            terms={"alpha": self.alpha, "most_walks": float(self.most_walks)},
        )

    def _decomposed(
        self, yes: Interactions, chooser_worth: FloatArray, chosen_worth: FloatArray, job: Job
    ) -> tuple[FloatArray, FloatArray]:
        """Return the first right singular vectors (m, d) and values (d,), once normalised."""
        worth = np.sqrt(chooser_worth)[yes.rows()] * chosen_worth[yes.others]
        forth = yes.matrix()
        forth.data = worth.astype(np.float32)
        back = forth.T.tocsr()
        size = min(self.size, *forth.shape)
        width = min(size + max(16, size // 8), *forth.shape)
        drawn = job.rng().normal(size=(forth.shape[0], width)).astype(np.float32)
        basis = _upright(back @ drawn)
        for _ in range(self.passes):
            basis = _upright(back @ (forth @ basis))
        basis = _upright(basis)
        image = forth @ basis
        squares, turn = np.linalg.eigh((image.T @ image).astype(np.float64))
        first = np.argsort(-squares)[:size]
        strengths = np.sqrt(np.maximum(squares[first], 0.0))
        first, strengths = (of[strengths > _LEAST * strengths[0]] for of in (first, strengths))
        return _signed(basis @ turn[:, first].astype(np.float32)), strengths

    def memory_mb(self, n: int, m: int, nnz: int) -> float:
        """Return the peak memory of a fit above the interactions themselves, in MiB."""
        width = self.size + max(16, self.size // 8)
        # the transposed pairs, the normalised matrix both ways; an image and three of the basis
        return (36 * nnz + 4 * width * (n + 3 * m) + 8 * width * max(n - m, 0)) / 2**20


def _worth(counts: IntArray, power: float) -> FloatArray:
    return (np.maximum(counts, 1.0) ** -power).astype(np.float32)


def _upright(columns: FloatArray) -> FloatArray:
    """Return columns at right angles, of length 1, that span the same space; products alone.

    A second call brings the angles of a first one to the precision of the numbers (Yamamoto et al.
    2015); directions that are lost to rounding become zeros.
    """
    squares, turn = np.linalg.eigh(gram(columns))
    kept = squares > _LEAST**2 * squares[-1]
    scale = np.where(kept, 1.0 / np.sqrt(np.where(kept, squares, 1.0)), 0.0)
    upright: FloatArray = columns @ (turn * scale).astype(columns.dtype)
    return upright


def _signed(vectors: FloatArray) -> FloatArray:
    """Turn each column so that its largest number is positive: its sign is left to chance else."""
    largest = np.abs(vectors).argmax(axis=0)
    signed: FloatArray = vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return signed
