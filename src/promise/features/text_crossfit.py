"""Features that look at labels, made honest for the articles that they were learned from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.features.text_labels import TextLabels
from promise.features.text_reading import Reading
from promise.features.text_sources import FittedSources, SourceQuality
from promise.features.text_topics import FittedVocabularies, Keywords, Topics
from promise.job import Job
from promise.kernels.model_files import load_state, save_state
from promise.kernels.rows import mix

Learned = FittedVocabularies | FittedSources
_KINDS: dict[str, type[Learned]] = {kind.kind: kind for kind in (FittedVocabularies, FittedSources)}


@dataclass(frozen=True, eq=False)
class FittedCrossfit:
    """Scores an article that was learned from by what was learned without it, others by the mean.

    A training article is known again by the hash of its content and source, so that copies of one
    article share a part, and `transform` depends on nothing but the article.

    Parameters
    ----------
    whole
        The parts' mean: what was learned from all articles would score new ones on another scale
        than the scorer saw when it was trained.
    parts
        Each learned without the articles of its part.
    hashes
        Of the training articles, uint64, sorted.
    """

    kind: ClassVar[str] = "crossfit"
    whole: Learned
    parts: tuple[Learned, ...]
    hashes: Array

    @property
    def name(self) -> str:
        """The group's name."""
        return self.whole.name

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name for each number."""
        return self.whole.feature_names

    @property
    def n_features(self) -> int:
        """How many numbers an article becomes."""
        return self.whole.n_features

    def transform(self, articles: Columns | Reading) -> FloatArray:
        """Return float32 (n, n_features)."""
        reading = Reading.of(articles)
        at = np.searchsorted(self.hashes, reading.hashes)
        seen = np.append(self.hashes, np.uint64(0))[at] == reading.hashes
        seen &= at < len(self.hashes)
        found = self.whole.transform(reading)
        part = dealt(reading.hashes, len(self.parts))
        for number in np.unique(part[seen]).tolist():
            rows = np.flatnonzero(seen & (part == number))
            found[rows] = self.parts[number].transform(reading.take(rows))
        return found

    def save(self, folder: Path) -> None:
        """Write each part into a folder of its own."""
        save_state({"hashes": self.hashes, "of": self.whole.kind, "n": len(self.parts)}, folder)
        for number, learned in enumerate((self.whole, *self.parts)):
            home = folder / f"part-{number}"
            home.mkdir()
            learned.save(home)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        state = load_state(folder)
        kind, homes = _KINDS[state["of"]], [folder / f"part-{n}" for n in range(state["n"] + 1)]
        whole, *parts = [kind.load(home) for home in homes]
        return cls(whole, tuple(parts), state["hashes"])


@dataclass(frozen=True)
class Crossfit:
    """Learns a group several times, each time without a part of the articles.

    Parameters
    ----------
    group
        What is learned.
    n_parts
        In how many parts the articles are dealt, by their hash.
    """

    group: Topics | Keywords | SourceQuality
    n_parts: int = 5

    @property
    def name(self) -> str:
        """The group's name."""
        return self.group.name

    @property
    def n_features(self) -> int:
        """How many numbers an article becomes."""
        return self.group.n_features

    def fit(self, articles: Columns | Reading, labels: Any, job: Job) -> FittedCrossfit:
        """Learn the parts and their mean."""
        reading, members = Reading.of(articles), TextLabels.of(labels)
        part = dealt(reading.hashes, self.n_parts)
        parts: list[Any] = []
        for number in range(self.n_parts):
            rows = np.flatnonzero(part != number)
            parts.append(self.group.fit(reading.take(rows), members.take(rows), job))
        whole = type(parts[0]).mean(parts)
        return FittedCrossfit(whole, tuple(parts), np.unique(reading.hashes))


def dealt(hashes: Array, n_parts: int) -> IntArray:
    """Deal articles into parts by their hash, int64 (n,); not the parts of any other split."""
    found: IntArray = (mix(hashes ^ np.uint64(0x7E57)) % np.uint64(n_parts)).astype(np.int64)
    return found
