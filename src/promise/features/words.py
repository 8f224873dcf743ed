"""Featurize for names by the vectors of their words: the designs that n-grams replaced."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from promise.data.columns import Columns, FloatArray, IntArray
from promise.features.name_shape import SHAPE, shapes
from promise.features.names import tokens
from promise.kernels.dense import dot_rows
from promise.kernels.rows import text_hash
from promise.models.blend import matrix_column
from promise.models.hashed import NAME
from promise.models.words import SubwordVectors, WordVectors

VIEW = "words"
"""The view whose matrix the scorer's members read."""

_BLOCK = 10_000  # names whose vectors are in memory at once


@dataclass(frozen=True)
class Sentences:
    """Names as the words they are made of, each word kept once.

    Parameters
    ----------
    words
        The different words, in order of first appearance.
    codes, offsets
        Name `i` is the words `codes[offsets[i]:offsets[i + 1]]`.

    Examples
    --------
    >>> list(Sentences.of(["mail.example.com", "example.com"]))
    [['mail', 'example', 'com'], ['example', 'com']]
    """

    words: list[str]
    codes: IntArray
    offsets: IntArray

    @classmethod
    def of(cls, names: Sequence[str]) -> Sentences:
        """Cut names into words."""
        known: dict[str, int] = {}
        codes, ends = [], [0]
        for name in names:
            codes += [known.setdefault(word, len(known)) for word in tokens(name)]
            ends.append(len(codes))
        return cls(list(known), np.array(codes, dtype=np.int64), np.array(ends, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[list[str]]:
        for start, end in zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True):
            yield [self.words[code] for code in self.codes[start:end].tolist()]

    def sums(self, weights: FloatArray, table: FloatArray) -> FloatArray:
        """Return the weighted sum of its words' rows for each name, float64 (n, d).

        Parameters
        ----------
        weights
            One for each different word.
        table
            (n_words, d).
        """
        shape = (len(self), len(self.words))
        picked = csr_matrix((weights[self.codes], self.codes, self.offsets), shape)
        # A product of compressed rows adds in their order, whatever the rows beside them.
        found: FloatArray = picked @ np.asarray(table, dtype=np.float64)
        return found


class Worded(ABC):
    """Featurize stages that make one matrix of the column `NAME`."""

    @abstractmethod
    def matrix(self, names: Sequence[str]) -> FloatArray:
        """Return float32 (n, d); names are normalised, or empty."""
        ...

    def needs(self, request: Columns) -> tuple[str, ...]:  # noqa: ARG002 — the stage's signature
        """Names need no keyed state."""
        return ()

    def many(
        self,
        columns: Columns,
        state: Mapping[str, bytes],  # noqa: ARG002 — the stage's signature
        at: datetime | None,  # noqa: ARG002
    ) -> Columns:
        """Return the request with the matrix of its names."""
        names = columns[NAME].tolist()
        blocks = [self.matrix(names[i : i + _BLOCK]) for i in range(0, max(1, len(names)), _BLOCK)]
        return columns.with_columns({matrix_column(VIEW): np.concatenate(blocks)})


@dataclass(frozen=True, eq=False)
class AveragedWords(Worded):
    """The mean vector of a name's known words, and its shape; reads the column `NAME`."""

    kind: ClassVar[str] = "averaged_words"
    kind_version: ClassVar[int] = 1
    vectors: WordVectors

    def matrix(self, names: Sequence[str]) -> FloatArray:
        """Return float32 (n, d + 7): the mean of the known words' vectors, then the shape."""
        cut = Sentences.of(names)
        known = (self.vectors.rows(cut.words) >= 0).astype(np.float64)
        total = cut.sums(known, np.ones((len(known), 1)))
        mean = cut.sums(known, self.vectors.many(cut.words)) / np.maximum(total, 1.0)
        return np.hstack([mean.astype(np.float32), shapes(names)])

    def save(self, folder: Path) -> None:
        """Write the vectors."""
        self.vectors.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(WordVectors.load(folder))


@dataclass(frozen=True, eq=False)
class PooledWords(Worded):
    """Pooled subword vectors and hashed rare words, reduced together, and part of the shape.

    A word weighs 1 / (1 + how often it came in training). Rare words are those without a vector of
    their own; each is also counted in one of `n_buckets` columns.

    Parameters
    ----------
    mean, axes
        Principal components: float64 (d + n_buckets,) and (k, d + n_buckets).
    kept
        Which numbers of the shape are kept.
    """

    kind: ClassVar[str] = "pooled_words"
    kind_version: ClassVar[int] = 1
    vectors: SubwordVectors
    mean: FloatArray
    axes: FloatArray
    kept: tuple[int, ...] = tuple(range(len(SHAPE)))

    def matrix(self, names: Sequence[str]) -> FloatArray:
        """Return float32 (n, k + kept): the principal components, then the shape."""
        cut = Sentences.of(names)
        size = self.vectors.known.size
        pooled = pooled_vectors(cut, self.vectors)
        buckets = self.axes[:, size:].T  # (n_buckets, k)
        rows, rare = rare_buckets(cut, self.vectors, len(buckets))
        reduced = dot_rows(pooled, self.axes[:, :size]) + cut.sums(rare, buckets[rows])
        reduced -= dot_rows(self.mean[None, :], self.axes)
        return np.hstack([reduced.astype(np.float32), shapes(names)[:, list(self.kept)]])

    def save(self, folder: Path) -> None:
        """Write vectors, components and what is kept."""
        self.vectors.save(folder)
        np.save(folder / "mean.npy", self.mean)
        np.save(folder / "axes.npy", self.axes)
        told = {"kept": [SHAPE[number] for number in self.kept]}
        (folder / "features.json").write_text(json.dumps(told), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        told = json.loads((folder / "features.json").read_text(encoding="utf-8"))
        return cls(
            vectors=SubwordVectors.load(folder),
            mean=np.load(folder / "mean.npy", allow_pickle=False),
            axes=np.load(folder / "axes.npy", allow_pickle=False),
            kept=tuple(SHAPE.index(name) for name in told["kept"]),
        )


def pooled_vectors(cut: Sentences, vectors: SubwordVectors) -> FloatArray:
    """Return each name's mean vector, a word weighing 1 / (1 + its count), float64 (n, d)."""
    rows = vectors.known.rows(cut.words)
    counts = np.where(rows >= 0, vectors.known.counts[np.maximum(rows, 0)], 0)
    weights = 1.0 / (1.0 + counts)
    total = cut.sums(weights, np.ones((len(weights), 1)))
    sums = cut.sums(weights, vectors.many(cut.words))
    return np.divide(sums, total, out=np.zeros_like(sums), where=total > 0)


def rare_buckets(
    cut: Sentences, vectors: SubwordVectors, n_buckets: int
) -> tuple[IntArray, FloatArray]:
    """Return the bucket of each different word, and 1.0 where the word is rare, else 0.0."""
    words = np.array(cut.words, dtype=object)
    buckets = (text_hash(words, 0) % np.uint64(n_buckets)).astype(np.int64)
    return buckets, (vectors.known.rows(cut.words) < 0).astype(np.float64)


def principal_axes(
    names: Sequence[str], vectors: SubwordVectors, n_buckets: int, n_axes: int
) -> tuple[FloatArray, FloatArray]:
    """Return mean (d + n_buckets,) and axes (n_axes, d + n_buckets) of greatest variance.

    Sums over blocks of names, so that memory does not grow with their number. Each axis points to
    where its largest number is positive, so that equal data have equal axes.
    """
    size = vectors.known.size
    width = size + n_buckets
    total, products = np.zeros(width), np.zeros((width, width))
    with threadpool_limits(1):  # more threads would sum in another order
        for start in range(0, len(names), _BLOCK):
            cut = Sentences.of(names[start : start + _BLOCK])
            pooled = pooled_vectors(cut, vectors)
            buckets, rare = rare_buckets(cut, vectors, n_buckets)
            to_bucket = csr_matrix((rare, (np.arange(len(rare)), buckets)), (len(rare), n_buckets))
            shape = (len(cut), len(rare))
            bags = csr_matrix((np.ones(len(cut.codes)), cut.codes, cut.offsets), shape) @ to_bucket
            total += np.concatenate([pooled.sum(axis=0), np.asarray(bags.sum(axis=0)).ravel()])
            products[:size, :size] += pooled.T @ pooled
            products[size:, :size] += bags.T @ pooled
            products[size:, size:] += (bags.T @ bags).toarray()
        products[:size, size:] = products[size:, :size].T
        mean = total / max(1, len(names))
        covariance = products / max(1, len(names)) - np.outer(mean, mean)
        axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :n_axes].T
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return mean, np.ascontiguousarray(axes * np.where(largest < 0, -1.0, 1.0))
