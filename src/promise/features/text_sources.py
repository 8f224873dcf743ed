"""How far an article's source tells what the article is, from what it published before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix

from promise.data.columns import Columns, FloatArray
from promise.features.text_labels import TextLabels
from promise.features.text_reading import Reading
from promise.job import Job
from promise.kernels.model_files import load_state, save_state


@dataclass(frozen=True, eq=False)
class FittedSources:
    """What was learned of each source.

    Parameters
    ----------
    sources
        Name to its accuracy and volume.
    usual
        The accuracy of a source that is not known or not given.
    """

    kind: ClassVar[str] = "sources"
    name: ClassVar[str] = "source_quality"
    feature_names: ClassVar[tuple[str, ...]] = ("source_accuracy", "source_volume")
    n_features: ClassVar[int] = 2
    sources: dict[str, tuple[float, float]]
    usual: float

    def transform(self, articles: Columns | Reading) -> FloatArray:
        """Return float32 (n, 2): accuracy in [0, 1], ln(1 + articles); unknown: usual and 0."""
        unknown = (self.usual, 0.0)
        cells = [self.sources.get(name or "", unknown) for name in Reading.of(articles).sources]
        return np.array(cells, dtype=np.float32).reshape(-1, 2)

    def save(self, folder: Path) -> None:
        """Write the sources."""
        listed = {name: list(cell) for name, cell in self.sources.items()}
        save_state({"sources": listed, "usual": self.usual}, folder)

    @classmethod
    def mean(cls, parts: Sequence[Self]) -> Self:
        """Return what the parts know of each source on average."""
        usual = float(np.mean([part.usual for part in parts]))
        names = sorted({name for part in parts for name in part.sources})
        cells = (
            np.mean([part.sources.get(name, (part.usual, 0.0)) for part in parts], axis=0)
            for name in names
        )
        sources = {n: (float(c[0]), float(c[1])) for n, c in zip(names, cells, strict=True)}
        return cls(sources, usual)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        state = load_state(folder)
        return cls({n: (cell[0], cell[1]) for n, cell in state["sources"].items()}, state["usual"])


@dataclass(frozen=True)
class SourceQuality:
    """A source's past accuracy, the share of its articles that are of its usual class, and volume.

    The accuracy is pulled towards that of all sources as if they had published `weight` of its
    articles. Learned from labels: use it within `Crossfit`, so that no article sees its own.

    Examples
    --------
    >>> sources = np.array(["Wire", "Wire", "wire", "Blog", "Blog", None], dtype=object)
    >>> articles = Columns({"source": sources})
    >>> fitted = SourceQuality(weight=0.0).fit(articles, list("aababa"), Job())
    >>> fitted.transform(articles).round(2)[[0, 3, 5]].astype(float).round(2).tolist()
    [[0.67, 1.39], [0.5, 1.1], [0.6, 0.0]]
    """

    name: ClassVar[str] = "source_quality"
    n_features: ClassVar[int] = 2
    weight: float = 10.0

    def fit(self, articles: Columns | Reading, labels: Any, job: Job) -> FittedSources:  # noqa: ARG002
        """Learn from labelled articles; those without a source teach nothing."""
        reading, members = Reading.of(articles), TextLabels.of(labels)
        rows = [row for row, name in enumerate(reading.sources) if name is not None]
        names, codes = np.unique(
            np.array([reading.sources[row] for row in rows], dtype=str), return_inverse=True
        )
        if not rows:
            return FittedSources({}, 0.0)
        places = csr_matrix((np.ones(len(rows)), (codes, rows)), (len(names), len(reading)))
        right = (places @ members.member).max(axis=1).toarray().ravel()
        volume = np.bincount(codes, minlength=len(names)).astype(np.float64)
        usual = float(right.sum() / volume.sum())
        accuracy = (right + self.weight * usual) / (volume + self.weight)
        cells = zip(accuracy.tolist(), np.log1p(volume).tolist(), strict=True)
        return FittedSources(dict(zip(names.tolist(), cells, strict=True)), usual)
