"""TF-IDF of words and their pairs, reduced to a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils.extmath import randomized_svd

from promise.data.columns import Columns, FloatArray
from promise.features.text_reading import Reading
from promise.job import Job
from promise.models.text_terms import Terms, count


@dataclass(frozen=True, eq=False)
class FittedReduced:
    """The principal directions of the learned terms.

    Parameters
    ----------
    terms
        Weighs words and their pairs.
    axes
        Float64 (m, n_features); columns beyond the rank of the training articles are zero.
    """

    kind: ClassVar[str] = "reduced_terms"
    name: ClassVar[str] = "tfidf"
    terms: Terms
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
        weighed = self.terms.transform(Reading.of(articles).texts)
        found: FloatArray = (weighed @ self.axes).astype(np.float32)
        return found

    def save(self, folder: Path) -> None:
        """Write terms and directions."""
        self.terms.save(folder)
        np.save(folder / "axes.npy", self.axes)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(Terms.load(folder), np.load(folder / "axes.npy", allow_pickle=False))


@dataclass(frozen=True)
class ReducedTfidf:
    """TF-IDF reduced by a truncated singular value decomposition (Halko et al. 2011).

    Parameters
    ----------
    min_texts, most_texts
        In how many articles a term has to occur, and in what share of them it may.
    most_terms
        How many are kept, those of most articles first.

    Examples
    --------
    >>> bodies = np.array(["rates rise", "rates fall", "a goal"] * 2, dtype=object)
    >>> articles = Columns({"body": bodies})
    >>> ReducedTfidf(2).fit(articles, None, Job()).transform(articles).shape
    (6, 2)
    """

    name: ClassVar[str] = "tfidf"
    n_features: int = 15
    min_texts: int = 2
    most_texts: float = 0.9
    most_terms: int = 50_000

    def fit(self, articles: Columns | Reading, labels: Any, job: Job) -> FittedReduced:  # noqa: ARG002 — all groups share one signature
        """Learn terms and directions; labels are not used."""
        counted = count(Reading.of(articles).texts, grams=False)
        rows = np.arange(counted.n_texts)
        terms = Terms.fit(
            counted, rows, grams=False, least=self.min_texts,
            most_texts=self.most_texts * len(rows), most_terms=self.most_terms,
        )  # fmt: skip
        matrix = terms.weighed(counted).astype(np.float64)
        rank = min(self.n_features, *matrix.shape)
        axes = np.zeros((terms.n_features, self.n_features))
        if rank and matrix.nnz:
            seed = job.child("svd").seed
            axes[:, :rank] = randomized_svd(matrix, rank, random_state=seed)[2].T
        return FittedReduced(terms, axes)
