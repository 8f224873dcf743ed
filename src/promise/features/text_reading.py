"""Articles read once for all feature groups: cleaned, and their words as hashes.

Hashes of 64 bits stand for words: two words of one article set share one with a chance of about
n²/2⁶⁵, one in thirty million for a million words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix

from promise.data.columns import Array, Columns, IntArray
from promise.features.text import BODY, SOURCE, TITLE, clean, text_or_none
from promise.kernels.ngrams_names import filled
from promise.kernels.rows import text_hash
from promise.kernels.text_words import cut_words, join_words, number_terms


@dataclass(frozen=True, eq=False)
class Words:
    """The words of a batch of texts, in order.

    Parameters
    ----------
    data
        All texts, lower-case, as UTF-8.
    hashes, starts, stops
        Word `j` is `data[starts[j]:stops[j]]`: uint64, int64, int64 (n_words,).
    ends
        Text `i` has the words `ends[i]` to `ends[i + 1]`, int64 (n + 1,).
    sentences
        Number of each word's sentence within its text, int32 (n_words,).

    Examples
    --------
    >>> found = Words.of(["The minister's plan.", "", "Why?"])
    >>> found.texts(), found.ends.tolist()
    (['the', 'minister', 'plan', 'why'], [0, 3, 3, 4])
    """

    data: Array
    hashes: Array
    starts: IntArray
    stops: IntArray
    ends: IntArray
    sentences: IntArray

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Cut cleaned texts into words."""
        encoded = [text.lower().encode("utf-8", "replace") for text in texts]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(text) for text in encoded], out=offsets[1:])
        data = np.frombuffer(b"".join(encoded), np.uint8)
        return cls(data, *cut_words(data, offsets))

    def __len__(self) -> int:
        return len(self.ends) - 1

    @property
    def counts(self) -> IntArray:
        """How many words each text has, int64 (n,)."""
        return np.diff(self.ends)

    @property
    def rows(self) -> IntArray:
        """The text of each word, int64 (n_words,)."""
        return np.repeat(np.arange(len(self)), self.counts)

    def text(self, word: int) -> str:
        """Return one word."""
        return bytes(self.data[self.starts[word] : self.stops[word]]).decode("utf-8", "replace")

    def texts(self) -> list[str]:
        """Return every word."""
        whole = self.data.tobytes()
        places = zip(self.starts.tolist(), self.stops.tolist(), strict=True)
        return [whole[first:last].decode("utf-8", "replace") for first, last in places]

    def runs(self, shortest: int, longest: int) -> tuple[Array, IntArray]:
        """Hash runs of so many words: uint64 hashes and int64 (n + 1,) ends."""
        hashes, ends = join_words(self.hashes, self.ends, shortest, longest)
        return hashes, ends

    def take(self, rows: IntArray) -> Words:
        """Return the texts at these positions, without cutting them again."""
        counts = self.counts[rows]
        ends = np.concatenate([[0], np.cumsum(counts)])
        kept = np.repeat(self.ends[rows] - ends[:-1], counts) + np.arange(ends[-1])
        return Words(
            self.data, self.hashes[kept], self.starts[kept], self.stops[kept], ends,
            self.sentences[kept],
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Reading:
    """A batch of articles; what several groups need of it is made once, when first asked for.

    Parameters
    ----------
    titles, bodies
        Cleaned texts, empty where missing.
    sources
        Names of sources in one spelling, None where missing.
    """

    titles: tuple[str, ...]
    bodies: tuple[str, ...]
    sources: tuple[str | None, ...]

    @classmethod
    def of(cls, articles: Columns | Reading) -> Reading:
        """Read articles; what is a reading already stays one.

        Parameters
        ----------
        articles
            Columns with any of `title`, `body` and `source`.
        """
        if isinstance(articles, Reading):
            return articles
        titles, bodies, sources = (
            articles[name].tolist() if name in articles else [None] * articles.n_rows
            for name in (TITLE, BODY, SOURCE)
        )
        return cls(
            tuple(clean(text_or_none(cell)) for cell in titles),
            tuple(clean(text_or_none(cell)) for cell in bodies),
            tuple(_source(cell) for cell in sources),
        )

    def __len__(self) -> int:
        return len(self.bodies)

    @cached_property
    def texts(self) -> list[str]:
        """Title and body of each article as one text."""
        pairs = zip(self.titles, self.bodies, strict=True)
        return ["\n".join(filter(None, pair)) for pair in pairs]

    @cached_property
    def words(self) -> Words:
        """The words of titles and bodies."""
        return Words.of(self.texts)

    @cached_property
    def title_words(self) -> Words:
        """The words of the titles."""
        return Words.of(self.titles)

    @cached_property
    def hashes(self) -> Array:
        """What identifies each article's content and source, uint64 (n,)."""
        cells = zip(self.sources, self.texts, strict=True)
        whole = [f"{source or ''}\0{text}" for source, text in cells]
        return text_hash(np.array(whole, dtype=object), 0)

    def take(self, rows: IntArray) -> Reading:
        """Return the articles at these positions; words that were cut stay cut."""
        chosen = rows.tolist()
        titles, bodies, sources = (
            tuple(cells[row] for row in chosen)
            for cells in (self.titles, self.bodies, self.sources)
        )
        taken = Reading(titles, bodies, sources)
        for name in ("words", "title_words"):
            if name in self.__dict__:
                taken.__dict__[name] = self.__dict__[name].take(rows)
        if "hashes" in self.__dict__:
            taken.__dict__["hashes"] = self.hashes[rows]
        return taken


def _source(cell: object) -> str | None:
    name = clean(text_or_none(cell)).casefold()
    return name or None


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Finds a fixed list of words in texts.

    Parameters
    ----------
    hashes
        Of the words, uint64 (m,), all different.

    Examples
    --------
    >>> Lexicon.of(["rates", "goal"]).find(Words.of(["A goal, no rates"]).hashes).tolist()
    [-1, 1, -1, 0]
    """

    hashes: Array

    @classmethod
    def of(cls, words: Sequence[str]) -> Self:
        """List words; each has to be one word, as texts are cut."""
        return cls(Words.of(list(words)).hashes)

    def __len__(self) -> int:
        return len(self.hashes)

    @cached_property
    def table(self) -> tuple[Array, Array]:
        """The words as an open-addressed table of their numbers, counted from 1."""
        keys, numbers = filled(self.hashes, np.arange(1, len(self) + 1, dtype=np.int32))
        return keys, numbers

    def find(self, hashes: Array) -> IntArray:
        """Return each word's number in the list, -1 where it is not in it, int32."""
        found: IntArray = number_terms(hashes, *self.table)
        return found

    def counts(self, hashes: Array, ends: IntArray) -> csr_matrix:
        """Return how often each listed word occurs in each text, float64 (n, m).

        Parameters
        ----------
        hashes, ends
            Text `i` has the words `hashes[ends[i]:ends[i + 1]]`.
        """
        numbers = self.find(hashes)
        rows = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
        known = numbers >= 0
        bounds = np.concatenate([[0], np.cumsum(np.bincount(rows[known], minlength=len(ends) - 1))])
        ones = np.ones(int(bounds[-1]))
        found = csr_matrix((ones, numbers[known], bounds), (len(ends) - 1, len(self)))
        found.sum_duplicates()
        return found
