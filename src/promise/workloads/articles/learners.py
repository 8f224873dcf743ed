"""What was learned from articles: features and a linear map, saved whole, ready to give margins."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np

from promise.data.columns import Columns, FloatArray
from promise.errors import ArtifactError
from promise.features.text_cache import CachedEncoder
from promise.features.text_cache_shared import shared_encoder
from promise.models.encoder import Encoder, open_encoder
from promise.models.encoder_files import files_of, hash_of
from promise.models.encoder_tuned import Adapter
from promise.models.text_linear import Margins
from promise.models.text_terms import Terms
from promise.workloads.articles.task import TEXT

_BLOCK = 256
"""So many articles are encoded at once; finished ones are not encoded again after a kill."""

_AT_ONCE = 4_096  # articles whose terms are in memory at once

SHARPNESS = 4.0
"""Margins of support vectors are multiplied by it, to be log-odds roughly."""


class Learner(Protocol):
    """Gives each article a margin for each class."""

    kind: ClassVar[str]

    @property
    def n_features(self) -> int:
        """How many numbers are made of an article."""
        ...

    @property
    def reads_source(self) -> bool:
        """Whether it must know who published an article."""
        ...

    def margins(self, articles: Columns) -> FloatArray:
        """Return margins, float64 (n, k), of cleaned articles."""
        ...

    def save(self, folder: Path) -> None:
        """Write everything `load` needs into an existing empty folder."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        ...


def computing(encoder: Encoder) -> Encoder:
    """Return what computes behind a cache, whose answers say nothing of how long that takes."""
    return encoder.encoder if isinstance(encoder, CachedEncoder) else encoder


def encoded(
    encoder: Encoder, texts: Sequence[str], tell: Callable[[int], None] | None = None
) -> FloatArray:
    """Return vectors, float32 (n, size), some texts at a time: a cache keeps what is finished.

    Parameters
    ----------
    tell
        Is told how many texts are done.
    """
    found = np.empty((len(texts), encoder.size), np.float32)
    for first in range(0, len(texts), _BLOCK):
        if tell is not None and first:
            tell(first)
        found[first : first + _BLOCK] = encoder.encode(texts[first : first + _BLOCK])
    return found


@dataclass(frozen=True, eq=False)
class OfTerms:
    """Support vectors on hashed terms."""

    kind: ClassVar[str] = "terms"
    terms: Terms
    linear: Margins

    @property
    def n_features(self) -> int:
        """How many terms are known."""
        return self.terms.n_features

    @property
    def reads_source(self) -> bool:
        """It reads texts alone."""
        return False

    def margins(self, articles: Columns) -> FloatArray:
        """Return margins, float64 (n, k)."""
        texts = articles[TEXT].tolist()
        found = np.empty((len(texts), self.linear.n_classes))
        for first in range(0, len(texts), _AT_ONCE):
            rows = slice(first, first + _AT_ONCE)
            found[rows] = self.linear.of(self.terms.transform(texts[rows]))
        return SHARPNESS * found

    def margins_one(self, text: str) -> FloatArray:
        """Return the margins of one text, float64 (1, k), with the digits of `margins`."""
        sums = self.terms.sums(text, self.linear.weights)
        return SHARPNESS * self.linear.from_sums(sums[None, :].astype(np.float64))

    def save(self, folder: Path) -> None:
        """Write terms and weights."""
        self.terms.save(folder)
        self.linear.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(Terms.load(folder), Margins.load(folder))


@dataclass(frozen=True, eq=False)
class OfVectors:
    """A linear map on an encoder's vectors; the encoder itself is kept with it.

    Parameters
    ----------
    adapter
        Turns its vectors into tuned ones first; None: they are taken as they are.
    """

    kind: ClassVar[str] = "vectors"
    encoder: Encoder
    linear: Margins
    adapter: Adapter | None = None

    @property
    def n_features(self) -> int:
        """How long a vector is."""
        return self.encoder.size

    @property
    def reads_source(self) -> bool:
        """It reads texts alone."""
        return False

    def margins(self, articles: Columns) -> FloatArray:
        """Return margins, float64 (n, k)."""
        return self.of_vectors(encoded(self.encoder, articles[TEXT].tolist()))

    def of_vectors(self, vectors: FloatArray) -> FloatArray:
        """Return margins of vectors as the encoder gives them."""
        return self.linear.of(vectors if self.adapter is None else self.adapter.of(vectors))

    def without_cache(self) -> OfVectors:
        """Return what computes each vector anew."""
        return replace(self, encoder=computing(self.encoder))

    def save(self, folder: Path) -> None:
        """Write weights, what tunes vectors, and the encoder's own files."""
        self.linear.save(folder)
        if self.adapter is not None:
            self.adapter.save(folder)
        home = folder / "encoder"
        home.mkdir()
        self.encoder.save(home)
        # Another encoder's vectors mean nothing to these weights. The hash is that of the copy: a
        # table that was read from a text file is written in another form.
        told = json.dumps(
            {"weights_hash": hash_of(files_of(home)), "tuned": self.adapter is not None}
        )
        (folder / "vectors.json").write_text(told, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        encoder = shared_encoder(open_encoder(folder / "encoder"))
        told = json.loads((folder / "vectors.json").read_text(encoding="utf-8"))
        if encoder.weights_hash != told["weights_hash"]:
            raise ArtifactError(
                f"{folder / 'encoder'} is not the encoder that the version was trained with, or an "
                "other release reads it differently; restore the folder, or train again."
            )
        adapter = Adapter.load(folder) if told.get("tuned") else None
        return cls(encoder, Margins.load(folder), adapter)
