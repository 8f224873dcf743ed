"""What was learned from articles: features and a linear map, saved whole, ready to give margins."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

from promise.data.columns import Columns, FloatArray
from promise.errors import ArtifactError
from promise.features.text_cache_shared import shared_encoder
from promise.models.encoder import Encoder, open_encoder
from promise.models.text_linear import Margins
from promise.models.text_terms import Terms
from promise.workloads.articles.task import TEXT

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
        return SHARPNESS * self.linear.of(self.terms.transform(articles[TEXT].tolist()))

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
    weights_hash
        Of the encoder that was learned with: another one's vectors mean nothing here.
    """

    kind: ClassVar[str] = "vectors"
    encoder: Encoder
    linear: Margins

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
        return self.linear.of(self.encoder.encode(articles[TEXT].tolist()))

    def save(self, folder: Path) -> None:
        """Write weights, and the encoder's own files."""
        self.linear.save(folder)
        (folder / "encoder").mkdir()
        self.encoder.save(folder / "encoder")
        told = json.dumps({"weights_hash": self.encoder.weights_hash})
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
        return cls(encoder, Margins.load(folder))
