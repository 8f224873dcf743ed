"""TF-IDF of words and runs of words, and the few numbers it reduces to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix, vstack
from sklearn.utils.extmath import randomized_svd

from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.errors import ConfigError
from promise.features.text_reading import Lexicon, Reading
from promise.job import Job
from promise.kernels.model_files import load_state, save_state
from promise.kernels.text_words import count_texts

_BLOCK = 5_000  # articles whose terms are in memory at once
_BITS = 22  # buckets in which rare terms are first counted, 2 ** 22


@dataclass(frozen=True)
class Terms:
    """Which terms of a text count: its words, and runs of them.

    Parameters
    ----------
    shortest, longest
        Words in a run.
    """

    shortest: int = 1
    longest: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest:
            raise ConfigError(
                f"terms from {self.shortest} to {self.longest} were asked for; the shortest is at "
                "least 1 and no longer than the longest."
            )

    def of(self, reading: Reading) -> tuple[Array, IntArray]:
        """Return the terms of each article: uint64 hashes and int64 (n + 1,) ends."""
        return reading.words.runs(self.shortest, self.longest)


@dataclass(frozen=True, eq=False)
class FittedTfidf:
    """Weighs the terms that were learned.

    Parameters
    ----------
    terms
        What counts as one.
    lexicon
        The terms, by hash.
    idf
        Weight of each, float64 (m,).
    """

    kind: ClassVar[str] = "tfidf"
    terms: Terms
    lexicon: Lexicon
    idf: FloatArray

    @property
    def n_features(self) -> int:
        """How many terms there are."""
        return len(self.lexicon)

    def transform(self, articles: Columns | Reading) -> csr_matrix:
        """Return float32 (n, m): (1 + ln count) · idf, each row of length 1, or all zeros."""
        reading = Reading.of(articles)
        blocks = [self._block(part) for part in _blocks(reading)]
        return vstack(blocks, format="csr") if blocks else csr_matrix((0, len(self.lexicon)))

    def _block(self, reading: Reading) -> csr_matrix:
        hashes, ends = self.terms.of(reading)
        counts = counted(self.lexicon.find(hashes), ends, len(self.lexicon))
        counts.data = (1.0 + np.log(counts.data)) * self.idf[counts.indices]
        rows = np.repeat(np.arange(len(reading)), np.diff(counts.indptr))
        lengths = np.sqrt(np.bincount(rows, counts.data**2, len(reading)))
        counts.data = (counts.data / lengths[rows]).astype(np.float32)
        return counts

    def save(self, folder: Path) -> None:
        """Write the terms' hashes and weights."""
        state = {"hashes": self.lexicon.hashes, "idf": self.idf, "terms": asdict(self.terms)}
        save_state(state, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        state = load_state(folder)
        return cls(Terms(**state["terms"]), Lexicon(state["hashes"]), state["idf"])


@dataclass(frozen=True)
class Tfidf:
    """Learns which terms there are and how rare each is; labels are not used.

    Parameters
    ----------
    terms
        What counts as one.
    min_texts
        In how many articles a term has to occur.
    most_texts
        In what share of the articles it may occur.
    most_terms
        How many are kept, those of most articles first.

    Examples
    --------
    >>> import numpy as np
    >>> bodies = np.array(["rates rise", "rates fall", "rates rise"], dtype=object)
    >>> articles = Columns({"body": bodies})
    >>> fitted = Tfidf(Terms(longest=1), min_texts=2).fit(articles, None, Job())
    >>> (100 * fitted.transform(articles).toarray()).round().astype(int).tolist()
    [[61, 79], [100, 0], [61, 79]]
    """

    terms: Terms = Terms()
    min_texts: int = 2
    most_texts: float = 1.0
    most_terms: int = 200_000

    def fit(self, articles: Columns | Reading, labels: Any, job: Job) -> FittedTfidf:  # noqa: ARG002
        """Learn the terms, going through the articles twice in blocks."""
        reading = Reading.of(articles)
        hashes, texts = self._counted(reading)
        kept = (texts >= self.min_texts) & (texts <= self.most_texts * max(1, len(reading)))
        hashes, texts = hashes[kept], texts[kept]
        order = np.lexsort((hashes, -texts))[: self.most_terms]
        hashes, texts = hashes[order], texts[order]
        idf = np.log((1.0 + len(reading)) / (1.0 + texts)) + 1.0
        return FittedTfidf(self.terms, Lexicon(hashes), idf)

    def _counted(self, reading: Reading) -> tuple[Array, IntArray]:
        """Return the different terms and in how many articles each occurs.

        Most terms occur once. A first pass counts articles in buckets of several terms each, so
        that the second need keep only terms of buckets with articles enough.
        """
        sketched = self.min_texts > 1 and len(reading) > _BLOCK
        if sketched:
            counts = np.zeros(2**_BITS, np.int32)
            seen, first = np.full(2**_BITS, -1, np.int32), 0
            for part in _blocks(reading):
                count_texts(*self.terms.of(part), counts, seen, first)
                first += len(part)
        known: Array = np.empty(0, np.uint64)
        texts: IntArray = np.empty(0, np.int64)
        for part in _blocks(reading):
            hashes, ends = self.terms.of(part)
            rows = np.repeat(np.arange(len(part)), np.diff(ends))
            if sketched:
                enough = counts[hashes >> np.uint64(64 - _BITS)] >= self.min_texts
                hashes, rows = hashes[enough], rows[enough]
            known, texts = _added(known, texts, *_occurrences(hashes, rows))
        return known, texts


def _occurrences(hashes: Array, rows: IntArray) -> tuple[Array, IntArray]:
    """Return the different terms of a block and in how many of its rows each occurs."""
    known, codes = np.unique(hashes, return_inverse=True)
    cells = np.unique(codes.astype(np.int64) * (rows.max(initial=0) + 1) + rows)
    return known, np.bincount(cells // (rows.max(initial=0) + 1), minlength=len(known))


def _added(
    first: Array, first_texts: IntArray, second: Array, second_texts: IntArray
) -> tuple[Array, IntArray]:
    if not len(first):
        return second, second_texts
    known, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    texts = np.bincount(codes, np.concatenate([first_texts, second_texts]), len(known))
    return known, texts.astype(np.int64)


def _blocks(reading: Reading) -> Iterator[Reading]:
    if len(reading) <= _BLOCK:
        yield reading
        return
    for start in range(0, len(reading), _BLOCK):
        yield reading.take(np.arange(start, min(start + _BLOCK, len(reading))))


def counted(numbers: IntArray, ends: IntArray, n_terms: int) -> csr_matrix:
    """Return how often each term occurs in each text, float64 (n, n_terms); -1 is no term."""
    rows = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    known = numbers >= 0
    bounds = np.concatenate([[0], np.cumsum(np.bincount(rows[known], minlength=len(ends) - 1))])
    ones = np.ones(int(bounds[-1]))
    found = csr_matrix((ones, numbers[known], bounds), (len(ends) - 1, n_terms))
    found.sum_duplicates()
    return found


@dataclass(frozen=True, eq=False)
class FittedReduced:
    """The principal directions of the learned terms.

    Parameters
    ----------
    tfidf
        Weighs the terms.
    axes
        Float64 (m, n_features); columns beyond the rank of the training articles are zero.
    """

    kind: ClassVar[str] = "reduced_tfidf"
    name: ClassVar[str] = "tfidf"
    tfidf: FittedTfidf
    axes: FloatArray

    @property
    def n_features(self) -> int:
        """How many numbers an article becomes."""
        return int(self.axes.shape[1])

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """One name for each number."""
        return tuple(f"tfidf_{axis + 1}" for axis in range(self.n_features))

    def transform(self, articles: Columns | Reading) -> FloatArray:
        """Return float32 (n, n_features); zeros where no term is known."""
        # A product of compressed rows adds in their order: batch and single agree to the last bit.
        found: FloatArray = (self.tfidf.transform(articles) @ self.axes).astype(np.float32)
        return found

    def save(self, folder: Path) -> None:
        """Write terms and directions."""
        self.tfidf.save(folder)
        np.save(folder / "axes.npy", self.axes)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(FittedTfidf.load(folder), np.load(folder / "axes.npy", allow_pickle=False))


@dataclass(frozen=True)
class ReducedTfidf:
    """TF-IDF reduced by a truncated singular value decomposition (Halko et al. 2011)."""

    name: ClassVar[str] = "tfidf"
    n_features: int = 15
    tfidf: Tfidf = Tfidf(Terms(longest=1), most_texts=0.9, most_terms=50_000)

    def fit(self, articles: Columns | Reading, labels: Any, job: Job) -> FittedReduced:
        """Learn terms and directions; labels are not used."""
        reading = Reading.of(articles)
        tfidf = self.tfidf.fit(reading, labels, job)
        matrix = tfidf.transform(reading).astype(np.float64)
        rank = min(self.n_features, *matrix.shape)
        axes = np.zeros((tfidf.n_features, self.n_features))
        if rank and matrix.nnz:
            seed = job.child("svd").seed
            axes[:, :rank] = randomized_svd(matrix, rank, random_state=seed)[2].T
        return FittedReduced(tfidf, axes)
