"""Scores of articles against vocabularies: of topics, and of the classes' strongest words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.errors import ConfigError
from promise.features.text import clean
from promise.features.text_labels import TextLabels
from promise.features.text_reading import Lexicon, Reading, Words
from promise.job import Job
from promise.kernels.model_files import load_state, save_state

_MOST_WORDS = 20_000  # of the training articles that may become strong words
_BLOCK = 5_000  # articles whose words are sorted at once
_RARE = 1.2  # a word of three in ten articles, or of fewer, counts in full
_PRIOR = 100.0  # articles' worth of belief that a class speaks like all others


@dataclass(frozen=True, eq=False)
class FittedVocabularies:
    """Scores articles by weighted words: one number for each vocabulary.

    Parameters
    ----------
    name
        Of the group.
    feature_names
        One for each vocabulary.
    lexicon
        All words that count, by hash.
    weights
        Float64 (n_words, n_features).
    """

    kind: ClassVar[str] = "vocabularies"
    name: str
    feature_names: tuple[str, ...]
    lexicon: Lexicon
    weights: FloatArray

    @property
    def n_features(self) -> int:
        """How many vocabularies there are."""
        return len(self.feature_names)

    def transform(self, articles: Columns | Reading) -> FloatArray:
        """Return float32 (n, n_features): weight per hundred words; 0 for an empty article."""
        read = Reading.of(articles).words
        counts = self.lexicon.counts(read.hashes, read.ends)
        scores = counts @ self.weights
        shares: FloatArray = (100.0 * scores / np.maximum(read.counts, 1)[:, None]).astype(
            np.float32
        )
        return shares

    def save(self, folder: Path) -> None:
        """Write words' hashes and weights."""
        state = {"hashes": self.lexicon.hashes, "weights": self.weights, "name": self.name}
        save_state({**state, "feature_names": list(self.feature_names)}, folder)

    @classmethod
    def mean(cls, parts: Sequence[Self]) -> Self:
        """Return what scores an article as the parts do on average."""
        hashes = np.unique(np.concatenate([part.lexicon.hashes for part in parts]))
        weights = np.zeros((len(hashes), parts[0].n_features))
        for part in parts:
            weights[np.searchsorted(hashes, part.lexicon.hashes)] += part.weights / len(parts)
        return cls(parts[0].name, parts[0].feature_names, Lexicon(hashes), weights)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        state = load_state(folder)
        names = tuple(state["feature_names"])
        return cls(state["name"], names, Lexicon(state["hashes"]), state["weights"])


@dataclass(frozen=True)
class Topics:
    """Scores against topic vocabularies, given or learned from the classes' words.

    With fewer classes than columns the classes have several vocabularies each, to which their
    strongest words are dealt in turn; with more, the most frequent classes have one.

    Parameters
    ----------
    given
        Words of each topic, at most `n_features` topics; columns without a topic stay zero.
    n_words
        How many words a learned vocabulary has.

    Examples
    --------
    >>> articles = Columns({"body": np.array(["Rates rise on rates", "A goal"], dtype=object)})
    >>> fitted = Topics(2, {"money": ["rates"], "sport": ["goal"]}).fit(articles, ["a", "b"], Job())
    >>> fitted.transform(articles).tolist()
    [[50.0, 0.0], [0.0, 50.0]]
    """

    name: ClassVar[str] = "domain"
    n_features: int = 12
    given: Mapping[str, Sequence[str]] | None = None
    n_words: int = 40

    def fit(self, articles: Columns | Reading, labels: Any, job: Job) -> FittedVocabularies:  # noqa: ARG002 — all groups share one signature
        """Learn the vocabularies; where they are given, nothing is learned."""
        if self.given is not None:
            return _given(self.name, self.given, self.n_features)
        reading, members = Reading.of(articles), TextLabels.of(labels)
        lexicon, strength = strengths(reading, members)
        slots = shared(members.classes, self.n_features)
        weights = np.zeros((len(lexicon), self.n_features))
        for column, (place, stratum) in enumerate(slots):
            chosen = _strongest(strength[:, place], stratum, strata(slots), self.n_words)
            weights[chosen, column] = strength[chosen, place]
        names = _named("topic", members.classes, slots, self.n_features)
        return _kept(self.name, names, lexicon, weights)


@dataclass(frozen=True)
class Keywords:
    """How dense an article is with the strongest words of each of the most frequent classes.

    Columns are shared among classes as `Topics` shares them.

    Parameters
    ----------
    n_words
        How many words a class's list has.
    """

    name: ClassVar[str] = "keywords"
    n_features: int = 5
    n_words: int = 20

    def fit(self, articles: Columns | Reading, labels: Any, job: Job) -> FittedVocabularies:  # noqa: ARG002 — all groups share one signature
        """Learn the lists."""
        reading, members = Reading.of(articles), TextLabels.of(labels)
        lexicon, strength = strengths(reading, members)
        slots = shared(members.classes, self.n_features)
        weights = np.zeros((len(lexicon), self.n_features))
        for column, (place, stratum) in enumerate(slots):
            chosen = _strongest(strength[:, place], stratum, strata(slots), self.n_words)
            weights[chosen, column] = 1.0
        names = _named("keywords", members.classes, slots, self.n_features)
        return _kept(self.name, names, lexicon, weights)


def strengths(
    reading: Reading, labels: TextLabels, min_texts: int = 2
) -> tuple[Lexicon, FloatArray]:
    """Return how much more each word is a class's than all others': float64 (n_words, n_classes).

    The log-odds ratio in units of its standard error, under a prior that the class speaks like
    the whole (Monroe, Colaresi and Quinn 2008, equation 22); we count articles, not occurrences,
    so that one long article does not decide.
    """
    read = reading.words
    lexicon = _common(read, min_texts)
    present = lexicon.counts(read.hashes, read.ends)
    present.data[:] = 1.0
    inside = (present.T @ labels.member).toarray()  # (n_words, n_classes)
    whole = np.asarray(present.sum(axis=0), dtype=np.float64).reshape(-1, 1)
    believed = _PRIOR * whole / max(1, len(reading))
    n_in = np.asarray(labels.member.sum(axis=0), dtype=np.float64).reshape(1, -1)
    n_out = max(1, len(reading)) - n_in
    yes_in, yes_out = inside + believed, (whole - inside) + believed
    room = _PRIOR + 1.0  # keeps the odds finite for a word of every article
    no_in = np.maximum(n_in + room - yes_in, 1.0)
    no_out = np.maximum(n_out + room - yes_out, 1.0)
    ratio = np.log(yes_in / no_in) - np.log(yes_out / no_out)
    # Words of nearly all articles differ between classes by style, not by topic.
    rare = np.minimum(np.log(max(1, len(reading)) / whole), _RARE)
    return lexicon, rare * ratio / np.sqrt(1.0 / yes_in + 1.0 / yes_out)


def _common(read: Words, min_texts: int) -> Lexicon:
    """List the words of so many articles or more, those of most articles first."""
    known: Array = np.empty(0, np.uint64)
    texts: IntArray = np.empty(0, np.int64)
    for first in range(0, len(read), _BLOCK):
        last = min(first + _BLOCK, len(read))
        words = slice(read.ends[first], read.ends[last])
        found, codes = np.unique(read.hashes[words], return_inverse=True)
        rows = np.repeat(np.arange(last - first), np.diff(read.ends[first : last + 1]))
        cells = np.unique(codes.astype(np.int64) * (last - first) + rows)
        inside = np.bincount(cells // (last - first), minlength=len(found))
        known, codes = np.unique(np.concatenate([known, found]), return_inverse=True)
        texts = np.bincount(codes, np.concatenate([texts, inside]), len(known)).astype(np.int64)
    known, texts = known[texts >= min_texts], texts[texts >= min_texts]
    return Lexicon(known[np.lexsort((known, -texts))[:_MOST_WORDS]])


def shared(classes: tuple[str, ...], n_columns: int) -> list[tuple[int, int]]:
    """Say which class and which stratum of its words each column is; none without classes.

    Examples
    --------
    >>> shared(("a", "b"), 3), shared(("a", "b", "c"), 2)
    ([(0, 0), (1, 0), (0, 1)], [(0, 0), (1, 0)])
    """
    if not classes:
        return []
    return [(column % len(classes), column // len(classes)) for column in range(n_columns)]


def strata(slots: list[tuple[int, int]]) -> int:
    """Return into how many vocabularies the words of a class are dealt at most."""
    return 1 + max((stratum for _, stratum in slots), default=0)


def _strongest(strength: FloatArray, stratum: int, n_strata: int, n_words: int) -> IntArray:
    """Return the places of a class's strongest words: every `n_strata`-th, all above zero."""
    order = np.argsort(-strength, kind="stable")[stratum::n_strata][:n_words]
    chosen: IntArray = order[strength[order] > 0]
    return chosen


def _named(
    prefix: str, classes: tuple[str, ...], slots: list[tuple[int, int]], n_columns: int
) -> tuple[str, ...]:
    names = [f"{prefix}_{classes[place]}_{stratum + 1}" for place, stratum in slots]
    return (*names, *(f"{prefix}_unused_{column + 1}" for column in range(len(names), n_columns)))


def _kept(
    name: str, names: tuple[str, ...], lexicon: Lexicon, weights: FloatArray
) -> FittedVocabularies:
    """Drop the words that no vocabulary has."""
    used = weights.any(axis=1)
    return FittedVocabularies(name, names, Lexicon(lexicon.hashes[used]), weights[used])


def _given(name: str, topics: Mapping[str, Sequence[str]], n_columns: int) -> FittedVocabularies:
    if len(topics) > n_columns:
        raise ConfigError(
            f"{len(topics)} topics were given and there are {n_columns} columns; "
            "give fewer topics, or put related ones together."
        )
    for topic, listed in topics.items():
        if isinstance(listed, str):
            raise ConfigError(
                f"the words of topic {topic!r} are one text; give a list, for example [{listed!r}]."
            )
    cells = [
        (word, column)
        for column, listed in enumerate(topics.values())
        for term in listed
        for word in Words.of([clean(term)]).texts()
    ]
    known = {word: place for place, word in enumerate(sorted({word for word, _ in cells}))}
    weights = np.zeros((len(known), n_columns))
    for word, column in cells:
        weights[known[word], column] = 1.0
    slots = [(place, 0) for place in range(len(topics))]
    names = _named("topic", tuple(topics), slots, n_columns)
    return FittedVocabularies(name, names, Lexicon.of(list(known)), weights)
