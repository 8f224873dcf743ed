"""Vectors of words, learned from sentences by gensim and read back without it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_matrix

from promise.data.columns import FloatArray, IntArray
from promise.errors import DataError, MissingExtra
from promise.job import Job
from promise.kernels.subwords import hash_ngrams

_EPOCHS = 5
_BLOCK = 20_000


@dataclass(frozen=True, eq=False)
class WordVectors:
    """The words that were frequent enough, each with its vector and how often it came.

    Parameters
    ----------
    words
        Most frequent first.
    vectors
        Float32 (n_words, d).
    counts
        Int64 (n_words,).
    """

    words: tuple[str, ...]
    vectors: FloatArray
    counts: IntArray

    @property
    def size(self) -> int:
        """How many numbers a vector has."""
        return int(self.vectors.shape[1])

    @cached_property
    def _index(self) -> dict[str, int]:
        return {word: row for row, word in enumerate(self.words)}

    def rows(self, words: Sequence[str]) -> IntArray:
        """Return the row of each word, -1 where it is not known."""
        return np.array([self._index.get(word, -1) for word in words], dtype=np.int64)

    def many(self, words: Sequence[str]) -> FloatArray:
        """Return the vectors of words, float32 (n, d); zeros for words that are not known."""
        rows = self.rows(words)
        found = np.zeros((len(rows), self.size), np.float32)
        found[rows >= 0] = self.vectors[rows[rows >= 0]]
        return found

    def save(self, folder: Path) -> None:
        """Write the words as JSON and the numbers as NumPy arrays."""
        (folder / "words.json").write_text(json.dumps(self.words), encoding="utf-8")
        np.save(folder / "vectors.npy", self.vectors)
        np.save(folder / "counts.npy", self.counts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        vectors = np.load(folder / "vectors.npy", allow_pickle=False)
        return cls(tuple(words), vectors, np.load(folder / "counts.npy", allow_pickle=False))


@dataclass(frozen=True, eq=False)
class SubwordVectors:
    """Word vectors that also make vectors of words never seen, as the mean of their n-grams'.

    Parameters
    ----------
    known
        The words that were frequent enough, their n-grams already counted in.
    table
        One vector for each bucket of n-grams, float32 (n_buckets, d).
    shortest, longest
        Lengths of the n-grams, the marks around the word counted.
    """

    known: WordVectors
    table: FloatArray
    shortest: int
    longest: int

    def many(self, words: Sequence[str]) -> FloatArray:
        """Return the vectors of words, float32 (n, d); zeros for one too short for an n-gram."""
        found = self.known.many(words)
        unseen = np.flatnonzero(self.known.rows(words) < 0)
        for start in range(0, len(unseen), _BLOCK):
            rows = unseen[start : start + _BLOCK]
            found[rows] = self._composed([words[row] for row in rows])
        return found

    def _composed(self, words: Sequence[str]) -> FloatArray:
        offsets, buckets = hash_ngrams(words, self.shortest, self.longest, len(self.table))
        ones = np.ones(len(buckets), np.float32)
        # A product of compressed rows adds in their order: each word's sum is always the same.
        sums = csr_matrix((ones, buckets, offsets), (len(words), len(self.table))) @ self.table
        counts = np.maximum(np.diff(offsets), 1).astype(np.float32)
        means: FloatArray = sums / counts[:, None]
        return means

    def save(self, folder: Path) -> None:
        """Write the words as JSON and the numbers as NumPy arrays."""
        self.known.save(folder)
        np.save(folder / "ngrams.npy", self.table)
        lengths = {"shortest": self.shortest, "longest": self.longest}
        (folder / "ngrams.json").write_text(json.dumps(lengths), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        lengths = json.loads((folder / "ngrams.json").read_text(encoding="utf-8"))
        table = np.load(folder / "ngrams.npy", allow_pickle=False)
        return cls(WordVectors.load(folder), table, **lengths)


def learn_words(
    sentences: Iterable[Sequence[str]], *, size: int, min_count: int, window: int, job: Job
) -> WordVectors:
    """Learn word vectors from sentences that may be gone through several times (Word2Vec, CBOW).

    Always on one thread, since only then is the result the same each time.

    Raises
    ------
    MissingExtra
        Without gensim.
    DataError
        When no word comes `min_count` times.
    """
    models = _gensim()
    trained = models.Word2Vec(
        vector_size=size, window=window, min_count=min_count, seed=job.seed, workers=1
    )
    return _known(_trained(trained, sentences, min_count))


def learn_subwords(
    sentences: Iterable[Sequence[str]],
    *,
    size: int,
    min_count: int,
    window: int,
    shortest: int,
    longest: int,
    n_buckets: int,
    job: Job,
) -> SubwordVectors:
    """Learn vectors of words and of their n-grams (Bojanowski et al. 2017); see `learn_words`."""
    models = _gensim()
    trained = models.FastText(
        vector_size=size,
        window=window,
        min_count=min_count,
        min_n=shortest,
        max_n=longest,
        bucket=n_buckets,
        seed=job.seed,
        workers=1,
    )
    known = _known(_trained(trained, sentences, min_count))
    table = np.ascontiguousarray(trained.wv.vectors_ngrams, dtype=np.float32)
    return SubwordVectors(known, table, shortest, longest)


def _gensim() -> Any:
    try:
        from gensim import models
    except ImportError as error:
        raise MissingExtra("learning vectors of words", "words") from error
    return models


def _trained(model: Any, sentences: Iterable[Sequence[str]], min_count: int) -> Any:
    model.build_vocab(sentences)
    if not model.wv.index_to_key:
        raise DataError(
            f"no word comes {min_count} times in these rows, so there is nothing to learn vectors "
            "of; give more rows, or another preset."
        )
    model.train(sentences, total_examples=model.corpus_count, epochs=_EPOCHS)
    return model.wv


def _known(vectors: Any) -> WordVectors:
    words = tuple(vectors.index_to_key)
    counts = np.array([vectors.get_vecattr(word, "count") for word in words], dtype=np.int64)
    return WordVectors(words, np.ascontiguousarray(vectors.vectors, dtype=np.float32), counts)
