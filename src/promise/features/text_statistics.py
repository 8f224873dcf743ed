"""How an article is written: its length, its words, its sentences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from promise.data.columns import Columns, FloatArray, IntArray
from promise.features.text_reading import Reading, Words
from promise.job import Job


@dataclass(frozen=True)
class TextStatistics:
    """Length, mean length of words and of sentences, and variety of words; nothing is learned.

    Examples
    --------
    >>> articles = Columns({"body": np.array(["Go on. Go on and on!", ""], dtype=object)})
    >>> TextStatistics().transform(articles).round(2)[:, 1:].tolist() == [
    ...     [np.float32(2.17), 3.0, 0.5], [0.0, 0.0, 0.0]]
    True
    """

    kind: ClassVar[str] = "text_statistics"
    name: ClassVar[str] = "text_statistics"
    feature_names: ClassVar[tuple[str, ...]] = (
        "log_words", "word_length", "sentence_words", "word_variety",
    )  # fmt: skip
    n_features: ClassVar[int] = 4

    def fit(self, articles: Columns | Reading, labels: Any, job: Job) -> Self:  # noqa: ARG002
        """Return itself."""
        return self

    def transform(self, articles: Columns | Reading) -> FloatArray:
        """Return float32 (n, 4): ln(1 + words), bytes a word, words a sentence, different words.

        Variety is the share of words that are different, of the first 200, since it falls with
        length. All zeros for an article without words.
        """
        words = Reading.of(articles).words
        n_words = words.counts.astype(np.float64)
        some = np.maximum(n_words, 1.0)
        lengths = np.bincount(words.rows, words.stops - words.starts, len(words))
        columns = (
            np.log1p(n_words), lengths / some, n_words / np.maximum(n_sentences(words), 1),
            _variety(words),
        )  # fmt: skip
        return np.stack(columns, axis=1).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write nothing: nothing was learned."""

    @classmethod
    def load(cls, folder: Path) -> Self:  # noqa: ARG003
        """Return what `save` had nothing to write of."""
        return cls()


def n_sentences(words: Words) -> IntArray:
    """Return how many sentences with words each text has, int64 (n,)."""
    last = np.maximum(words.ends[1:] - 1, 0)
    found = np.zeros(len(words), np.int64)
    some = words.counts > 0
    found[some] = words.sentences[last[some]] + 1
    return found


def _variety(words: Words) -> FloatArray:
    rows = words.rows
    early = np.arange(len(rows)) - words.ends[rows] < 200
    rows, hashes = rows[early], words.hashes[early]
    order = np.lexsort((hashes, rows))
    rows, hashes = rows[order], hashes[order]
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (rows[1:] != rows[:-1]) | (hashes[1:] != hashes[:-1])
    seen = np.maximum(np.bincount(rows, minlength=len(words)), 1)
    shares: FloatArray = np.bincount(rows[new], minlength=len(words)) / seen
    return shares
