"""Ways to classify articles, from the cheapest up: what features they make, what learns on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.job import Job
from promise.models.encoder import Encoder
from promise.models.encoder_tuned import Adapter, fit_adapter
from promise.models.text_linear import fit_logistic, fit_support
from promise.models.text_terms import Counted, Terms, count
from promise.workloads.articles.kept import Kept
from promise.workloads.articles.learners import SHARPNESS, Learner, OfTerms, OfVectors, encoded
from promise.workloads.articles.task import TEXT

TERMS_BELOW = 3
"""Ways of a lower cost are made of terms."""

TABLES_FROM, SENTENCES_FROM = 4, 20
"""From these costs on they are made of a table of vectors, and of a sentence encoder."""

_TOLD = 1_024  # articles encoded between two lines of progress


@dataclass(frozen=True)
class Setting:
    """How a linear model learns.

    Parameters
    ----------
    strength
        How much errors cost beside large weights.
    power
        How far rare classes weigh more: 0 not at all, 1 until classes weigh alike.
    """

    strength: float
    power: float

    def told(self) -> str:
        """Say it briefly."""
        weigh = {0.0: "", 0.5: ", rare classes weigh more", 1.0: ", classes weigh alike"}
        return f"strength {self.strength:g}{weigh.get(self.power, f', power {self.power:g}')}"


class Fold(Protocol):
    """Features that were fitted on some rows."""

    def learn(self, setting: Setting, job: Job) -> Learner:
        """Learn from these rows."""
        ...

    def margins(self, learner: Any, rows: IntArray) -> FloatArray:
        """Return margins of other rows, float64 (n, k)."""
        ...


class Read(Protocol):
    """All articles as far as no label is needed for it."""

    def fold(self, rows: IntArray, truth: Array, several: bool, job: Job) -> Fold:
        """Fit the features on these rows; `truth` is that of all rows."""
        ...


class Way(Protocol):
    """One way to classify.

    Attributes
    ----------
    name
        What it is called on the ladder.
    cost
        Its place there: the dearer, the higher.
    """

    @property
    def name(self) -> str:
        """What it is called on the ladder."""
        ...

    @property
    def cost(self) -> int:
        """Its place on the ladder: the dearer, the higher."""
        ...

    def settings(self, imbalanced: bool) -> Sequence[Setting]:
        """Return what is tried, the usual one first."""
        ...

    def read(self, articles: Columns, kept: Kept, job: Job, tell: Callable[[str], None]) -> Read:
        """Make of all articles what no label is needed for."""
        ...


@dataclass(frozen=True)
class TermsWay:
    """Words and pairs of words, with or without character n-grams, into support vectors."""

    grams: bool

    @property
    def name(self) -> str:
        """What it is called on the ladder."""
        return "words and characters" if self.grams else "words"

    @property
    def cost(self) -> int:
        """Its place on the ladder."""
        return 2 if self.grams else 1

    def settings(self, imbalanced: bool) -> Sequence[Setting]:
        """Return what is tried."""
        if imbalanced:
            return (Setting(1.0, 0.5), Setting(1.0, 1.0))
        return (Setting(1.0, 0.0), Setting(4.0, 0.0))

    def read(self, articles: Columns, kept: Kept, job: Job, tell: Callable[[str], None]) -> Read:  # noqa: ARG002 — the way's signature
        """Return the texts; their terms are counted when folds ask for some of them."""
        return _ReadTerms(articles[TEXT].tolist(), self.grams)


@dataclass(frozen=True, eq=False)
class _ReadTerms:
    texts: Sequence[str]
    grams: bool

    @cached_property
    def counted(self) -> Counted:
        return count(self.texts, grams=self.grams)

    def fold(self, rows: IntArray, truth: Array, several: bool, job: Job) -> Fold:  # noqa: ARG002 — the way's signature
        if len(rows) == len(self.texts):  # nothing is judged by it: what was counted may go
            terms, features = Terms.fit_weighed(self.texts, grams=self.grams)
        else:
            terms = Terms.fit(self.counted, rows, grams=self.grams)
            features = terms.weighed(self.counted, rows)
        return _TermsFold(self, terms, features, truth[rows])


@dataclass(frozen=True, eq=False)
class _TermsFold:
    read: _ReadTerms
    terms: Terms
    features: Any
    truth: Array

    def learn(self, setting: Setting, job: Job) -> OfTerms:
        learned = fit_support(
            self.features, self.truth, strength=setting.strength, power=setting.power, job=job
        )
        return OfTerms(self.terms, learned)

    def margins(self, learner: OfTerms, rows: IntArray) -> FloatArray:
        return SHARPNESS * learner.linear.of(self.terms.weighed(self.read.counted, rows))


@dataclass(frozen=True, eq=False)
class EncoderWay:
    """A pretrained encoder's vectors into logistic regression.

    Parameters
    ----------
    name
        What it is called on the ladder; each encoder has a name of its own.
    tuned
        Whether a light adapter draws articles of one class together first.
    """

    encoder: Encoder
    name: str
    tuned: bool = False

    @property
    def cost(self) -> int:
        """Its place on the ladder."""
        first = SENTENCES_FROM if self.encoder.kind == "sentence" else TABLES_FROM
        return first + int(self.tuned)

    def settings(self, imbalanced: bool) -> Sequence[Setting]:
        """Return what is tried."""
        power = 0.5 if imbalanced else 0.0
        if self.tuned:  # the classes lie apart already
            return (Setting(10.0, power), Setting(100.0, power))
        return (Setting(100.0, power), Setting(1000.0, power), Setting(10.0, power))

    def read(self, articles: Columns, kept: Kept, job: Job, tell: Callable[[str], None]) -> Read:  # noqa: ARG002 — the way's signature
        """Encode all articles; a cache behind the encoder keeps blocks that are finished."""
        texts = articles[TEXT].tolist()

        def done(n: int) -> None:
            if n % _TOLD == 0:
                tell(f"{self.name}: {n:,} of {len(texts):,} articles")

        found = encoded(self.encoder, texts, done)
        return _ReadVectors(self.encoder, found, self.tuned)


@dataclass(frozen=True, eq=False)
class _ReadVectors:
    encoder: Encoder
    vectors: FloatArray
    tuned: bool

    def fold(self, rows: IntArray, truth: Array, several: bool, job: Job) -> Fold:
        return _VectorsFold(self, rows, truth[rows], several, job)


@dataclass(frozen=True, eq=False)
class _VectorsFold:
    read: _ReadVectors
    rows: IntArray
    truth: Array
    several: bool
    job: Job

    @cached_property
    def adapter(self) -> Adapter | None:
        if not self.read.tuned:
            return None
        return fit_adapter(self.read.vectors[self.rows], self.truth, self.job)

    def learn(self, setting: Setting, job: Job) -> OfVectors:  # noqa: ARG002 — the fold's signature
        vectors = self.read.vectors[self.rows]
        learned = fit_logistic(
            vectors if self.adapter is None else self.adapter.of(vectors), self.truth,
            strength=setting.strength, power=setting.power, several=self.several,
        )  # fmt: skip
        return OfVectors(self.read.encoder, learned, self.adapter)

    def margins(self, learner: OfVectors, rows: IntArray) -> FloatArray:
        return learner.of_vectors(self.read.vectors[rows])
