"""Texts as weighted terms: hashed words, pairs of words and character n-grams, TF-IDF."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_matrix

from promise.data.columns import Array, FloatArray, IntArray
from promise.kernels.article_terms import BITS, PER_BYTE, count_terms, document_counts, weigh

N_BUCKETS = 2 << BITS
_CHUNK_BYTES = 4 << 20
_MOST_COLUMNS = 1_000_000
_PUNCTUATION = dict.fromkeys((160, 171, 187, *range(8192, 8304), *range(12288, 12291)), " ")
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
        text = text.translate(_PUNCTUATION)
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
    def fit(cls, counted: Counted, rows: IntArray, *, grams: bool) -> Self:
        """Keep the terms of these rows; of many texts, those that come in two of them."""
        found = np.zeros(N_BUCKETS, np.int32)
        document_counts(counted.buckets, counted.ends, counted.starts, rows, found)
        least = 1 if len(rows) < 2_000 else 2
        buckets = np.flatnonzero(found >= least).astype(np.int32)
        if len(buckets) > _MOST_COLUMNS:
            most = np.argsort(-found[buckets], kind="stable")[:_MOST_COLUMNS]
            buckets = np.sort(buckets[most])
        worth = np.log((1.0 + len(rows)) / (1.0 + found[buckets])) + 1.0
        return cls(buckets, worth.astype(np.float32), grams)

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
        if n < 2**31:
            offsets = offsets.astype(np.int32)
        shape = (len(rows), self.n_features)
        return csr_matrix((weights[:n], columns[:n], offsets), shape=shape, copy=False)

    def transform(self, texts: Sequence[str]) -> Any:
        """Return the TF-IDF rows of texts, a float32 CSR matrix (n, n_features)."""
        return self.weighed(count(texts, grams=self.grams))

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
