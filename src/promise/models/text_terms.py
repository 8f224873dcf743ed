"""Texts as weighted terms: hashed words, pairs of words and character n-grams, TF-IDF."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_matrix

from promise.data.columns import Array, FloatArray, IntArray
from promise.kernels.article_terms import (
    BITS,
    PER_BYTE,
    count_terms,
    document_counts,
    text_margins,
    weigh,
)

N_BUCKETS = 2 << BITS
_CHUNK_BYTES = 4 << 20
_MOST_COLUMNS = 1_000_000
_TEXTS = 2_048  # whose terms are in memory at once where all are weighed
_PUNCTUATION = re.compile("[\xa0\xab\xbb\u2000-\u206f\u3000-\u3002]")
"""Marks beyond ASCII that stand between words."""


@dataclass(frozen=True, eq=False)
class Counted:
    """The terms of several texts, each bucket with how often it comes.

    Parameters
    ----------
    buckets, counts
        Int32 and float32, text after text.
    starts, ends
        Text `i` has `buckets[starts[i]:ends[i]]`.
    """

    buckets: IntArray
    counts: FloatArray
    starts: IntArray
    ends: IntArray

    @property
    def n_texts(self) -> int:
        """How many texts there are."""
        return len(self.ends)


def count(texts: Sequence[str], *, grams: bool) -> Counted:
    """Count the terms of texts, in time linear in their length.

    Examples
    --------
    >>> count(["to be or not to be"], grams=False).counts
    array([2., 2., 2., 1., 1., 1., 1., 1.], dtype=float32)
    """
    parts: list[tuple[Array, Array, Array]] = []
    batch: list[bytes] = []
    size = 0
    for text in texts:
        batch.append(_bytes(text))
        size += len(batch[-1])
        if size > _CHUNK_BYTES:
            parts.append(_counted(batch, grams))
            batch, size = [], 0
    if batch or not parts:
        parts.append(_counted(batch, grams))
    base = np.cumsum([0, *(len(part[0]) for part in parts)])
    ends = np.concatenate([part[2] + base[i] for i, part in enumerate(parts)])
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)[: len(ends)]
    buckets = np.concatenate([part[0] for part in parts])
    return Counted(buckets, np.concatenate([part[1] for part in parts]), starts, ends)


def _bytes(text: str) -> bytes:
    if not text.isascii():
        text = _PUNCTUATION.sub(" ", text)
    return text.lower().encode("utf-8", "replace")


def _counted(batch: list[bytes], grams: bool) -> tuple[Array, Array, Array]:
    data = np.frombuffer(b"".join(batch), np.uint8)
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in batch])]).astype(np.int64)
    room = PER_BYTE * (len(data) + len(batch))
    buckets, counts = np.empty(room, np.int32), np.empty(room, np.float32)
    ends = np.empty(len(batch), np.int64)
    n = count_terms(data, offsets, grams, buckets, counts, ends)
    return buckets[:n].copy(), counts[:n].copy(), ends


@dataclass(frozen=True, eq=False)
class Terms:
    """Which terms are kept and what each is worth: a fitted TF-IDF.

    Parameters
    ----------
    buckets
        The kept ones in order, int32 (n_columns,).
    worth
        Inverse document frequency of each, float32.
    grams
        Whether character n-grams are among them.
    """

    buckets: IntArray
    worth: FloatArray
    grams: bool

    @property
    def n_features(self) -> int:
        """How many columns the matrix has."""
        return len(self.buckets)

    @cached_property
    def _table(self) -> IntArray:
        table = np.full(N_BUCKETS, -1, np.int32)
        table[self.buckets] = np.arange(len(self.buckets), dtype=np.int32)
        return table

    @classmethod
    def fit(
        cls,
        counted: Counted,
        rows: IntArray,
        *,
        grams: bool,
        least: int | None = None,
        most_texts: float = np.inf,
        most_terms: int = _MOST_COLUMNS,
    ) -> Self:
        """Keep the terms of these rows.

        Parameters
        ----------
        least, most_texts
            In how many of them a term has to occur, and may; None: in two where there are many.
        most_terms
            How many are kept, those of most texts first.
        """
        found = np.zeros(N_BUCKETS, np.int32)
        document_counts(counted.buckets, counted.ends, counted.starts, rows, found)
        if least is None:
            least = _least(len(rows))
        return cls._kept(found, len(rows), grams, least, most_texts, most_terms)

    @classmethod
    def _kept(
        cls, found: IntArray, n: int, grams: bool, least: int, most_texts: float, most_terms: int
    ) -> Self:
        """Keep terms by the number of texts that have each bucket, `found` of `n`."""
        buckets = np.flatnonzero((found >= least) & (found <= most_texts)).astype(np.int32)
        if len(buckets) > most_terms:
            most = np.argsort(-found[buckets], kind="stable")[:most_terms]
            buckets = np.sort(buckets[most])
        worth = np.log((1.0 + n) / (1.0 + found[buckets])) + 1.0
        return cls(buckets, worth.astype(np.float32), grams)

    @classmethod
    def fit_weighed(cls, texts: Sequence[str], *, grams: bool) -> tuple[Self, Any]:
        """Return what `fit` keeps of all texts, and their weighed rows.

        Texts are counted twice, some at a time, so that no more than the rows is ever in memory.
        """
        found, every = np.zeros(N_BUCKETS, np.int32), range(0, len(texts), _TEXTS)
        for first in every:
            part = count(texts[first : first + _TEXTS], grams=grams)
            rows = np.arange(part.n_texts)
            document_counts(part.buckets, part.ends, part.starts, rows, found)
        terms = cls._kept(found, len(texts), grams, _least(len(texts)), np.inf, _MOST_COLUMNS)
        n = int(found[terms.buckets].sum(dtype=np.int64))
        columns, weights = np.empty(n, np.int32), np.empty(n, np.float32)
        offsets, at = np.zeros(len(texts) + 1, np.int64), 0
        for first in every:
            block = terms.transform(texts[first : first + _TEXTS])
            columns[at : at + block.nnz], weights[at : at + block.nnz] = block.indices, block.data
            offsets[first + 1 : first + 1 + block.shape[0]] = at + block.indptr[1:]
            at += block.nnz
        return terms, _matrix(weights, columns, offsets, (len(texts), terms.n_features))

    def weighed(self, counted: Counted, rows: IntArray | None = None) -> Any:
        """Return the TF-IDF rows of counted texts, a float32 CSR matrix (n, n_features)."""
        rows = np.arange(counted.n_texts) if rows is None else rows
        room = int((counted.ends[rows] - counted.starts[rows]).sum())
        columns, weights = np.empty(room, np.int32), np.empty(room, np.float32)
        offsets = np.zeros(len(rows) + 1, np.int64)
        n = weigh(
            counted.buckets, counted.counts, counted.starts, counted.ends, rows,
            self._table, self.worth, columns, weights, offsets,
        )  # fmt: skip
        return _matrix(weights[:n], columns[:n], offsets, (len(rows), self.n_features))

    def transform(self, texts: Sequence[str]) -> Any:
        """Return the TF-IDF rows of texts, a float32 CSR matrix (n, n_features)."""
        return self.weighed(count(texts, grams=self.grams))

    def sums(self, text: str, weights: FloatArray) -> FloatArray:
        """Return `transform([text]) @ weights`, float32 (k,), to the last bit and without a matrix.

        Parameters
        ----------
        weights
            Float32 (n_features, k), in rows.
        """
        data = np.frombuffer(_bytes(text), np.uint8)
        found: FloatArray = text_margins(data, self.grams, self._table, self.worth, weights)
        return found

    def save(self, folder: Path) -> None:
        """Write both arrays and the setting."""
        np.save(folder / "buckets.npy", self.buckets)
        np.save(folder / "worth.npy", self.worth)
        (folder / "terms.json").write_text(json.dumps({"grams": self.grams}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        told = json.loads((folder / "terms.json").read_text(encoding="utf-8"))
        buckets = np.load(folder / "buckets.npy", allow_pickle=False)
        return cls(buckets, np.load(folder / "worth.npy", allow_pickle=False), told["grams"])


def _least(n_texts: int) -> int:
    """Return in how many texts a term has to occur: of many texts in two."""
    return 1 if n_texts < 2_000 else 2


def _matrix(weights: Array, columns: Array, offsets: Array, shape: tuple[int, int]) -> Any:
    """Return a CSR matrix over these arrays; offsets that fit are of 32 bits."""
    if offsets[-1] < 2**31:
        offsets = offsets.astype(np.int32)
    return csr_matrix((weights, columns, offsets), shape=shape, copy=False)
