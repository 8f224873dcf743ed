"""What was learned on dense feature groups, saved whole, ready to give margins."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from promise.data.columns import Columns, FloatArray
from promise.features.text_groups import TextGroups
from promise.models.base import ESTIMATORS, MATRIX, Fitted
from promise.models.text_linear import Margins
from promise.workloads.articles.chances import log_odds_of


@dataclass(frozen=True, eq=False)
class OfGroups:
    """A linear map on feature groups, each number scaled by its spread.

    Parameters
    ----------
    scale
        What each number is divided by, float32 (n_features,).
    """

    kind: ClassVar[str] = "groups"
    groups: TextGroups
    scale: FloatArray
    linear: Margins

    @property
    def n_features(self) -> int:
        """How many numbers are made of an article."""
        return self.groups.n_features

    @property
    def reads_source(self) -> bool:
        """Whether a group looks at the source."""
        return reads_source(self.groups)

    def margins(self, articles: Columns) -> FloatArray:
        """Return margins, float64 (n, k)."""
        return self.linear.of(self.groups.transform(articles) / self.scale)

    def save(self, folder: Path) -> None:
        """Write groups and weights."""
        save_groups(self.groups, folder)
        np.save(folder / "scale.npy", self.scale)
        self.linear.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        scale = np.load(folder / "scale.npy", allow_pickle=False)
        return cls(TextGroups.load(folder / "groups"), scale, Margins.load(folder))


@dataclass(frozen=True, eq=False)
class OfBoostedGroups:
    """Boosted trees on feature groups; margins are the logarithms of their probabilities."""

    kind: ClassVar[str] = "boosted_groups"
    groups: TextGroups
    trees: Fitted

    @property
    def n_features(self) -> int:
        """How many numbers are made of an article."""
        return self.groups.n_features

    @property
    def reads_source(self) -> bool:
        """Whether a group looks at the source."""
        return reads_source(self.groups)

    def margins(self, articles: Columns) -> FloatArray:
        """Return margins, float64 (n, k)."""
        return self.of_features(self.groups.transform(articles))

    def of_features(self, features: FloatArray) -> FloatArray:
        """Return margins of the groups' numbers."""
        shares = np.asarray(self.trees.predict(Columns({MATRIX: features})), dtype=np.float64)
        return log_odds_of(shares, several=False)

    def save(self, folder: Path) -> None:
        """Write groups and trees."""
        save_groups(self.groups, folder)
        home = folder / "trees"
        home.mkdir()
        self.trees.save(home)
        told = json.dumps({"kind": self.trees.kind})
        (folder / "trees.json").write_text(told, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        kind = json.loads((folder / "trees.json").read_text(encoding="utf-8"))["kind"]
        trees = ESTIMATORS.resolve(kind).fitted.load(folder / "trees")
        return cls(TextGroups.load(folder / "groups"), trees)


def save_groups(groups: TextGroups, folder: Path) -> None:
    """Write groups into a folder of their own."""
    home = folder / "groups"
    home.mkdir()
    groups.save(home)


def reads_source(groups: TextGroups) -> bool:
    """Say whether a group looks at who published an article."""
    return any("source" in group.name for group in groups.groups)
