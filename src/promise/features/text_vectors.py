"""Articles as mean vectors: of words learned from the articles themselves, or by an encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from promise.data.columns import Columns, FloatArray
from promise.features.text_reading import Lexicon, Reading, Words
from promise.job import Job
from promise.models.encoder import Encoder, open_encoder
from promise.models.words import WordVectors, learn_words


@dataclass(frozen=True, eq=False)
class FittedWordEmbeddings:
    """Averages the vectors of an article's known words."""

    kind: ClassVar[str] = "word_embeddings"
    name: ClassVar[str] = "word_embeddings"
    vectors: WordVectors
    lexicon: Lexicon = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lexicon", Lexicon.of(self.vectors.words))

    @property
    def n_features(self) -> int:
        """How many numbers an article becomes."""
        return self.vectors.size

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name for each number."""
        return tuple(f"words_{axis + 1}" for axis in range(self.n_features))

    def transform(self, articles: Columns | Reading) -> FloatArray:
        """Return float32 (n, n_features); zeros where no word is known."""
        words = Reading.of(articles).words
        counts = self.lexicon.counts(words.hashes, words.ends)
        total = np.asarray(counts.sum(axis=1)).reshape(-1, 1)
        sums = counts @ self.vectors.vectors.astype(np.float64)
        means: FloatArray = (sums / np.maximum(total, 1.0)).astype(np.float32)
        return means

    def save(self, folder: Path) -> None:
        """Write the vectors."""
        self.vectors.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(WordVectors.load(folder))


@dataclass(frozen=True)
class WordEmbeddings:
    """Vectors of words by Word2Vec, learned from the training articles; labels are not used.

    Parameters
    ----------
    n_features
        How many numbers a vector has.
    min_count
        How often a word has to come.
    window
        How many words on either side belong to its context.
    most_articles
        How many articles, drawn at random, are learned from at most.
    """

    name: ClassVar[str] = "word_embeddings"
    n_features: int = 100
    min_count: int = 3
    window: int = 5
    most_articles: int = 20_000

    def fit(
        self,
        articles: Columns | Reading,
        labels: Any,  # noqa: ARG002 — all groups share one signature
        job: Job,
    ) -> FittedWordEmbeddings | None:
        """Learn the vectors; None where no word comes often enough.

        Raises
        ------
        MissingExtra
            Without gensim.
        """
        words = Reading.of(articles).words
        if len(words) > self.most_articles:
            drawn = job.child("articles").rng().permutation(len(words))[: self.most_articles]
            words = words.take(np.sort(drawn))
        if np.unique(words.hashes, return_counts=True)[1].max(initial=0) < self.min_count:
            return None
        vectors = learn_words(
            _Sentences(words),
            size=self.n_features,
            min_count=self.min_count,
            window=self.window,
            job=job.child("words"),
        )
        return FittedWordEmbeddings(vectors)


@dataclass(frozen=True, eq=False)
class _Sentences:
    """Articles as lists of words, made anew each time they are gone through."""

    words: Words

    def __iter__(self) -> Iterator[list[str]]:
        whole = self.words.data.tobytes()
        for first, last in zip(self.words.ends[:-1].tolist(), self.words.ends[1:].tolist()):  # noqa: B905
            starts = self.words.starts[first:last].tolist()
            stops = self.words.stops[first:last].tolist()
            yield [
                whole[a:b].decode("utf-8", "replace") for a, b in zip(starts, stops, strict=True)
            ]


@dataclass(frozen=True, eq=False)
class FittedSentenceEmbeddings:
    """Articles as a pretrained encoder sees them: the whole text, long ones pooled by windows."""

    kind: ClassVar[str] = "sentence_embeddings"
    name: ClassVar[str] = "sentence_embeddings"
    encoder: Encoder

    @property
    def n_features(self) -> int:
        """How many numbers an article becomes."""
        return self.encoder.size

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name for each number."""
        return tuple(f"sentences_{axis + 1}" for axis in range(self.n_features))

    def transform(self, articles: Columns | Reading) -> FloatArray:
        """Return float32 (n, n_features); zeros for an empty article."""
        reading = Reading.of(articles)
        if not len(reading):
            return np.zeros((0, self.n_features), np.float32)
        found = np.asarray(self.encoder.encode(reading.texts), dtype=np.float32)
        empty = np.array([not text for text in reading.texts], dtype=bool)
        return np.where(empty[:, None], np.float32(0.0), found)

    def save(self, folder: Path) -> None:
        """Write the encoder."""
        home = folder / "encoder"
        home.mkdir()
        self.encoder.save(home)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(open_encoder(folder / "encoder"))


@dataclass(frozen=True)
class SentenceEmbeddings:
    """Vectors by a pretrained encoder; nothing is learned.

    Parameters
    ----------
    encoder
        An open encoder, or the path or name of one.
    device
        `cpu`, `cuda`, or `auto`.
    """

    name: ClassVar[str] = "sentence_embeddings"
    encoder: Encoder | Path | str
    device: str = "cpu"

    def fit(
        self,
        articles: Columns | Reading,  # noqa: ARG002 — all groups share one signature
        labels: Any,  # noqa: ARG002
        job: Job,
    ) -> FittedSentenceEmbeddings:
        """Open the encoder where it is not open yet."""
        if not isinstance(self.encoder, str | Path):
            return FittedSentenceEmbeddings(self.encoder)
        opened = open_encoder(self.encoder, device=self.device, threads=job.threads)
        return FittedSentenceEmbeddings(opened)
