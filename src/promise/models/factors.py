"""Vectors learned by least squares: what a fitted factorisation answers, folds in and saves."""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from promise.data.columns import FloatArray, IntArray
from promise.errors import ArtifactError, DataError
from promise.models.array_files import read_arrays, write_arrays
from promise.models.collaborative import Found, alike, lengths, searched, write_kind
from promise.models.index import VectorIndex
from promise.models.interactions import Interactions
from promise.models.row_blocks import row_blocks
from promise.models.short_vectors import (
    Vectors,
    products,
    read_vectors,
    shortened,
    write_vectors,
)

_VECTORS, _GRAMS = ("choosers", "chosen"), ("chooser_gram", "chosen_gram")


@dataclass(frozen=True, eq=False)
class Factors:
    """Vectors whose inner products are near 1 for a yes and near 0 for everyone else.

    Parameters
    ----------
    choosers, chosen
        Float32 (n, d) and (m, d), or the same in sixteen bits a number.
    chooser_gram, chosen_gram
        Sums of `v vᵀ` over choosers and over chosen, float64 (d, d): what is asked of products
        that nobody has said anything about.
    terms
        The numbers behind the loss, by name.
    """

    kind: ClassVar[str]
    kind_version: ClassVar[int] = 2
    choosers: Vectors
    chosen: Vectors
    chooser_gram: FloatArray
    chosen_gram: FloatArray
    terms: dict[str, float]

    @abstractmethod
    def held(self, n_own: int, *, chooser: bool) -> tuple[float, float]:
        """Return what the silence about everyone else weighs, and the decay.

        Parameters
        ----------
        n_own
            How many entries the new vector has.
        chooser
            Whether it is a chooser's.
        """

    def scores(self, rows: IntArray) -> FloatArray:
        """Return the scores of everyone for these choosers, float32 (len(rows), m)."""
        return products(self.choosers[rows], self.chosen)

    def candidates(
        self, codes: IntArray, weights: FloatArray, k: int, index: VectorIndex | None = None
    ) -> Found:
        """Return the best `k` for a history, those of the history left out."""
        return searched(self.fold_in(codes, weights), codes, k, self.chosen, index)

    def fold_in(self, codes: IntArray, weights: FloatArray) -> FloatArray:
        """Return the vector that a chooser of this history has, float32 (d,).

        It solves the chooser's share of the loss with everyone else's vectors as they are; a
        weight below 0 is a no.
        """
        return self._solved(self.chosen[codes], weights, self.chosen_gram, chooser=True)

    def fold_in_chosen(self, codes: IntArray, weights: FloatArray) -> FloatArray:
        """Return the vector of somebody whom these choosers chose, float32 (d,)."""
        return self._solved(self.choosers[codes], weights, self.chooser_gram, chooser=False)

    def _solved(
        self, vectors: FloatArray, weights: FloatArray, gram: FloatArray, *, chooser: bool
    ) -> FloatArray:
        if not len(vectors):
            return np.zeros(gram.shape[0], np.float32)
        own, sizes = vectors.astype(np.float64), np.asarray(weights, np.float64)
        silence, decay = self.held(len(own), chooser=chooser)
        system = (own * np.abs(sizes)[:, None]).T @ own + silence * gram
        system[np.diag_indices_from(system)] += decay
        wanted = own.T @ np.maximum(sizes, 0.0)
        return np.linalg.solve(system, wanted).astype(np.float32)

    def similar(self, code: int, k: int) -> Found:
        """Return who is chosen by the same people, by the cosine of the vectors."""
        return alike(self.chosen, self._lengths, code, k)

    def shortened(self) -> Self:
        """Return the same with its vectors in sixteen bits a number."""
        return replace(self, choosers=shortened(self.choosers), chosen=shortened(self.chosen))

    @cached_property
    def _lengths(self) -> FloatArray:
        return lengths(self.chosen)

    def save(self, folder: Path) -> None:
        """Write the vectors as `.npy` and the terms as JSON."""
        write_kind(folder, self)
        for name in _VECTORS:
            write_vectors(folder, name, getattr(self, name))
        write_arrays(folder, self, _GRAMS)
        told = {"kind": self.kind, "kind_version": self.kind_version, "terms": self.terms}
        (folder / "factors.json").write_text(json.dumps(told), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, *, mapped: bool = False) -> Self:
        """Read back what `save` wrote; `mapped` leaves the vectors on the disk until they are read.

        Raises
        ------
        ArtifactError
            Where the folder was written by another kind or a newer installation.
        """
        told: dict[str, Any] = json.loads((folder / "factors.json").read_text(encoding="utf-8"))
        if told["kind"] != cls.kind or told["kind_version"] > cls.kind_version:
            raise ArtifactError(
                f"{folder} holds {told['kind']} {told['kind_version']}, this installation reads "
                f"{cls.kind} up to {cls.kind_version}; train the version again."
            )
        choosers, chosen = (read_vectors(folder, name, mapped=mapped) for name in _VECTORS)
        grams = read_arrays(folder, _GRAMS, mapped=mapped)
        return cls(choosers, chosen, **grams, terms=told["terms"])


def begun(
    interactions: Interactions, size: int, spread: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return the vectors of choosers and of chosen that learning begins with, float32 (n, size).

    Raises
    ------
    DataError
        Where there is no pair to learn from.

    Examples
    --------
    >>> likes = Interactions.from_pairs(np.array([0, 1]), np.array([1, 0]))
    >>> [side.shape for side in begun(likes, 4, 0.1, np.random.default_rng(1))]
    [(2, 4), (2, 4)]
    """
    if not interactions.nnz:
        raise DataError("there is no pair to learn from; give at least one like.")
    choosers, chosen = (
        _drawn(count, size, spread, rng)
        for count in (interactions.n_choosers, interactions.n_chosen)
    )
    return choosers, chosen


def _drawn(count: int, size: int, spread: float, rng: np.random.Generator) -> FloatArray:
    """Draw block by block: the same numbers as all at once, without all of them in float64."""
    found = np.empty((count, size), np.float32)
    for rows in row_blocks(count):
        found[rows] = rng.normal(0.0, spread, found[rows].shape)
    return found


def gram(vectors: FloatArray, sizes: FloatArray | None = None) -> FloatArray:
    """Return the sum of `size · v vᵀ` over all rows, float64 (d, d)."""
    scaled = vectors if sizes is None else vectors * sizes[:, None].astype(vectors.dtype)
    found: FloatArray = (scaled.T @ vectors).astype(np.float64)
    return found
