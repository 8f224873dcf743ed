"""Feature groups of articles put together: fitted once, transformed row by row, kept in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from promise.data.columns import Columns, FloatArray
from promise.errors import ArtifactError, near
from promise.features.text_crossfit import FittedCrossfit
from promise.features.text_entities import Entities
from promise.features.text_labels import TextLabels
from promise.features.text_reading import Reading
from promise.features.text_rules import FittedRules
from promise.features.text_sentiment import Sentiment
from promise.features.text_sources import FittedSources
from promise.features.text_statistics import TextStatistics
from promise.features.text_tfidf import FittedReduced
from promise.features.text_topics import FittedVocabularies
from promise.features.text_vectors import FittedSentenceEmbeddings, FittedWordEmbeddings
from promise.job import Job
from promise.kernels.model_files import load_state, save_state
from promise.models.blend import matrix_column

VIEW = "text"
"""The view whose matrix the scorer reads."""


class FittedGroup(Protocol):
    """Turns articles into a few named numbers each, whatever articles stand beside them."""

    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """The group's name."""
        ...

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name for each number."""
        ...

    @property
    def n_features(self) -> int:
        """How many numbers an article becomes."""
        ...

    def transform(self, articles: Columns | Reading) -> FloatArray:
        """Return float32 (n, n_features)."""
        ...

    def save(self, folder: Path) -> None:
        """Write everything `load` needs into an existing empty folder, in native formats."""
        ...


class Group(Protocol):
    """A frozen configuration that learns a group from articles and their labels."""

    @property
    def name(self) -> str:
        """The group's name."""
        ...

    def fit(self, articles: Columns | Reading, labels: Any, job: Job) -> FittedGroup | None:
        """Learn; None where the articles hold nothing to learn from.

        Groups that look at labels are made honest by `Crossfit`.
        """
        ...


_KINDS: dict[str, Any] = {
    kind.kind: kind
    for kind in (
        FittedReduced, FittedVocabularies, FittedRules, FittedSources, FittedCrossfit,
        TextStatistics, Sentiment, Entities, FittedWordEmbeddings, FittedSentenceEmbeddings,
    )
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class TextGroups:
    """Several fitted groups as one Featurize stage; reads the columns `title`, `body`, `source`.

    Examples
    --------
    >>> articles = Columns({"body": np.array(["A great win.", None], dtype=object)})
    >>> groups = fit_groups([TextStatistics(), Sentiment()], articles, ["a", "b"], Job())
    >>> groups.n_features, groups.transform(articles).shape, groups.sizes
    (9, (2, 9), {'text_statistics': 4, 'sentiment': 5})
    """

    kind: ClassVar[str] = "text_groups"
    kind_version: ClassVar[int] = 1
    groups: tuple[FittedGroup, ...]

    @cached_property
    def sizes(self) -> dict[str, int]:
        """How many numbers each group gives, by its name."""
        return {group.name: group.n_features for group in self.groups}

    @property
    def n_features(self) -> int:
        """How many numbers an article becomes."""
        return sum(self.sizes.values())

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """One name for each number."""
        return tuple(name for group in self.groups for name in group.feature_names)

    def transform(self, articles: Columns | Reading) -> FloatArray:
        """Return float32 (n, n_features): the groups beside each other, in order."""
        reading = Reading.of(articles)
        empty = np.zeros((len(reading), 0), np.float32)
        return np.hstack([empty, *(group.transform(reading) for group in self.groups)])

    def needs(self, request: Columns) -> tuple[str, ...]:  # noqa: ARG002 — the stage's signature
        """Articles need no keyed state."""
        return ()

    def many(
        self,
        columns: Columns,
        state: Mapping[str, bytes],  # noqa: ARG002 — the stage's signature
        at: datetime | None,  # noqa: ARG002
    ) -> Columns:
        """Return the request with the matrix of its articles."""
        return columns.with_columns({matrix_column(VIEW): self.transform(columns)})

    def save(self, folder: Path) -> None:
        """Write each group into a folder of its own."""
        save_state({"groups": [group.kind for group in self.groups]}, folder)
        for number, group in enumerate(self.groups):
            home = folder / f"group-{number}"
            home.mkdir()
            group.save(home)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        kinds = load_state(folder)["groups"]
        for kind in kinds:
            if kind not in _KINDS:
                raise ArtifactError(
                    f"{folder}: unknown feature group {kind!r}; {near(kind, _KINDS)} "
                    "A newer Promise may have written it."
                )
        homes = (folder / f"group-{number}" for number in range(len(kinds)))
        return cls(tuple(_KINDS[k].load(home) for k, home in zip(kinds, homes, strict=True)))


def fit_groups(
    groups: Sequence[Group], articles: Columns | Reading, labels: Any, job: Job
) -> TextGroups:
    """Learn groups from articles that are read once; those that find nothing are left out.

    Parameters
    ----------
    labels
        One class for each article, or a list of several.
    """
    reading, members = Reading.of(articles), TextLabels.of(labels)
    fitted = (group.fit(reading, members, job.child(group.name)) for group in groups)
    return TextGroups(tuple(group for group in fitted if group is not None))
