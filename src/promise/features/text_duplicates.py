"""Articles that are the same, or nearly: found before splitting, so that no copy judges another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from promise.data.columns import Array, IntArray
from promise.features.text import clean
from promise.features.text_reading import Words
from promise.job import Job
from promise.kernels.rows import text_hash
from promise.kernels.text_shingles import alike_pairs, hash_bands, join, leaders, overlaps, sign

_BLOCK = 5_000  # texts whose shingles are in memory at once
_SLACK = 0.15  # how far a signature's estimate may lie below the truth and still be looked at


@dataclass(frozen=True)
class Duplicates:
    """How alike two texts have to be to count as one.

    Near duplicates share many of their runs of words: their Jaccard similarity, different runs in
    both over different runs in either, reaches `threshold`. Candidates come from min-wise hashing
    (Broder 1997) in bands (Leskovec et al. 2014, section 3.4): with the defaults a pair at .8 is
    found with a chance above .999, and each pair that is found is then counted exactly. Groups are
    transitive: a and c may be together through b.

    Parameters
    ----------
    threshold
        Least Jaccard similarity, in (0, 1].
    run
        Words in a run; texts of fewer words are copies only of what says the same.
    bands, band
        How many bands of how many hash functions.
    """

    threshold: float = 0.8
    run: int = 4
    bands: int = 20
    band: int = 5

    def groups(self, texts: Sequence[str | None], job: Job | None = None) -> IntArray:
        """Return the group of each text, int64 (n,), numbered in order of first appearance.

        Texts without words are each alone: nothing can be said of them.

        Examples
        --------
        >>> long = "the bank raised its rate again on monday and markets fell sharply after that"
        >>> texts = ["Rates  RISE", "rates rise", long, long + " day", "", ""]
        >>> Duplicates().groups(texts).tolist()
        [0, 0, 1, 1, 2, 3]
        """
        plain = [text for part in _blocks(texts, _BLOCK) for text in _folded(part)]
        exact = _same(plain)
        distinct = np.flatnonzero(exact == np.arange(len(plain)))
        parents = np.arange(len(distinct))
        first, second = self._near([plain[row] for row in distinct.tolist()], job or Job())
        join(parents, first, second)
        leader = distinct[leaders(parents)]
        place = np.searchsorted(distinct, exact)
        _, start, group = np.unique(leader[place], return_index=True, return_inverse=True)
        order = np.argsort(np.argsort(start))
        found: IntArray = order[group]
        return found

    def _near(self, texts: list[str], job: Job) -> tuple[IntArray, IntArray]:
        """Return the pairs of texts that are alike enough."""
        rng = job.child("duplicates").rng()
        width = self.bands * self.band
        factors = rng.integers(2**64, size=width, dtype=np.uint64) | np.uint64(1)
        terms = rng.integers(2**64, size=width, dtype=np.uint64)
        blocks = [
            sign(*_shingles(part, self.run), factors, terms) for part in _blocks(texts, _BLOCK)
        ]
        if not blocks:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        long = np.array([text.count(" ") >= self.run - 1 for text in texts], dtype=bool)
        pairs = self._candidates(np.concatenate(blocks), np.flatnonzero(long))
        alike = [self._alike(texts, part) for part in np.array_split(pairs, len(pairs) // 5000 + 1)]
        kept = pairs[np.concatenate(alike)]
        return kept[:, 0], kept[:, 1]

    def _candidates(self, signatures: Array, rows: IntArray) -> IntArray:
        found = []
        for band in range(self.bands):
            keys = hash_bands(signatures, band * self.band, (band + 1) * self.band)
            order = rows[np.argsort(keys[rows], kind="stable")]
            found.append(alike_pairs(keys, order, signatures, self.threshold - _SLACK))
        return np.unique(np.concatenate(found), axis=0)

    def _alike(self, texts: list[str], pairs: IntArray) -> Array:
        """Say which pairs are alike enough, by all their runs."""
        rows, places = np.unique(pairs, return_inverse=True)
        places = places.reshape(-1, 2)
        hashes, ends = _shingles([texts[row] for row in rows.tolist()], self.run)
        found: Array = overlaps(hashes, ends, places[:, 0], places[:, 1]) >= self.threshold
        return found


def _folded(texts: Sequence[str | None]) -> list[str]:
    """Return texts without what copies differ in: markup, capitals, punctuation."""
    words = Words.of([clean(text) for text in texts])
    found = words.texts()
    return [" ".join(found[a:b]) for a, b in pairwise(words.ends.tolist())]


def _same(texts: list[str]) -> IntArray:
    """Return, for each text, the first one that is the same; one without words is its own."""
    hashes = text_hash(np.array(texts, dtype=object), 0)
    _, first, code = np.unique(hashes, return_index=True, return_inverse=True)
    empty = np.array([not text for text in texts], dtype=bool)
    found: IntArray = np.where(empty, np.arange(len(texts)), first[code])
    return found


def _shingles(texts: Sequence[str], run: int) -> tuple[Array, IntArray]:
    """Return the different runs of words of each text, sorted: uint64 hashes and int64 ends."""
    words = Words.of(texts)
    hashes, bounds = words.runs(run, run)
    rows = np.repeat(np.arange(len(texts)), np.diff(bounds))
    order = np.lexsort((hashes, rows))
    rows, hashes = rows[order], hashes[order]
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (rows[1:] != rows[:-1]) | (hashes[1:] != hashes[:-1])
    counts = np.bincount(rows[new], minlength=len(texts))
    return hashes[new], np.concatenate([[0], np.cumsum(counts)])


def _blocks(texts: Sequence[str | None], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def groups(texts: Sequence[str | None], *, threshold: float = 0.8) -> IntArray:
    """Return the group of each text, int64 (n,): copies and near copies share one.

    Examples
    --------
    >>> groups(["Rates rise.", "<p>Rates rise</p>", "A goal"]).tolist()
    [0, 0, 1]
    """
    return Duplicates(threshold=threshold).groups(texts)
