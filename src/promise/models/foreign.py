"""Models of other libraries: their own files, read without running anything, and their answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from promise.data.columns import Array, FloatArray
from promise.errors import ArtifactError, DataError
from promise.kernels.boosting_lightgbm import lightgbm_booster
from promise.kernels.boosting_xgboost import xgboost_booster
from promise.kernels.dense import dot_rows, margin_probabilities
from promise.kernels.model_files import load_state, save_state


class Foreign(Protocol):
    """A model of one library: raw output of a float64 matrix, and files in a native format."""

    library: ClassVar[str]

    def output(self, x: FloatArray) -> Array:
        """Return what the library itself answers: (n,), or (n, k) for more than two classes."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model into an existing empty folder."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        ...


@dataclass(frozen=True, eq=False)
class ForeignLightGBM:
    """Trees by LightGBM, fed float64: it was so trained, and float32 would move rows over a cut.

    Parameters
    ----------
    text
        The model as LightGBM writes it.
    rounds
        How many rounds answer; -1 for those that LightGBM chooses by itself.
    """

    library: ClassVar[str] = "lightgbm"
    text: str
    rounds: int
    booster: Any

    @classmethod
    def of(cls, text: str, rounds: int = -1) -> Self:
        """Read a model's text."""
        return cls(text, rounds, lightgbm_booster(text))

    def output(self, x: FloatArray) -> Array:
        """Return what `Booster.predict` answers."""
        found = self.booster.predict(x, num_iteration=self.rounds, num_threads=1)
        return np.asarray(found, dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Write the text as it came."""
        (folder / "model.txt").write_text(self.text, encoding="utf-8", newline="")
        (folder / "model.json").write_text(json.dumps({"rounds": self.rounds}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        rounds = json.loads((folder / "model.json").read_text(encoding="utf-8"))["rounds"]
        return cls.of((folder / "model.txt").read_text(encoding="utf-8"), rounds)


@dataclass(frozen=True, eq=False)
class ForeignXGBoost:
    """Trees by XGBoost, which itself reads every value as float32.

    Parameters
    ----------
    rounds
        How many rounds answer; 0 for all.
    """

    library: ClassVar[str] = "xgboost"
    raw: bytes
    rounds: int
    booster: Any

    @classmethod
    def of(cls, raw: bytes, rounds: int = 0) -> Self:
        """Read a model's UBJ or JSON; one that answers with labels answers with shares instead."""
        booster = xgboost_booster(bytearray(raw))
        if '"multi:softmax"' in booster.save_config():
            booster.set_param({"objective": "multi:softprob"})
        return cls(raw, rounds, booster)

    def output(self, x: FloatArray) -> Array:
        """Return what `Booster.predict` answers."""
        if len(x) == 0:
            return np.zeros(0)
        found = self.booster.inplace_predict(
            np.ascontiguousarray(x, dtype=np.float32),
            iteration_range=(0, self.rounds),
            validate_features=False,
        )
        return np.asarray(found, dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Write the bytes as they came."""
        (folder / "model.bin").write_bytes(self.raw)
        (folder / "model.json").write_text(json.dumps({"rounds": self.rounds}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        rounds = json.loads((folder / "model.json").read_text(encoding="utf-8"))["rounds"]
        return cls.of((folder / "model.bin").read_bytes(), rounds)


class InArrays:
    """A model whose fields are arrays and plain values, saved as such."""

    def save(self, folder: Path) -> None:
        """Write the fields."""
        save_state(dict(vars(self)), folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(**load_state(folder))


@dataclass(frozen=True, eq=False)
class ForeignLinear(InArrays):
    """A linear or logistic regression by scikit-learn: coefficients (k, d) and intercepts (k,).

    Parameters
    ----------
    logistic
        Whether margins are turned into probabilities.
    """

    library: ClassVar[str] = "linear"
    coef: FloatArray
    intercept: FloatArray
    logistic: bool

    def output(self, x: FloatArray) -> Array:
        """Return numbers (n,), the second class's probability (n,), or probabilities (n, k).

        Raises
        ------
        DataError
            For a missing value, which these models do not know.
        """
        if np.isnan(x).any():
            raise DataError(
                "this model has no answer for a missing value: every field needs one, as it did "
                "where the model was trained."
            )
        margins = dot_rows(x, self.coef) + self.intercept
        if not self.logistic:
            return margins[:, 0]
        shares = margin_probabilities(margins)
        return shares if shares.shape[1] > 2 else shares[:, 1]


@dataclass(frozen=True, eq=False)
class ForeignTrees(InArrays):
    """Decision trees by scikit-learn, whose answers are averaged.

    Parameters
    ----------
    roots
        The first node of each tree.
    left, right, feature, threshold, missing_left
        Of every node; a leaf is its own child.
    values
        Of every node, (nodes, k) float64: a mean, or shares of the classes.
    classes
        Whether shares are answered.
    """

    library: ClassVar[str] = "trees"
    roots: Array
    left: Array
    right: Array
    feature: Array
    threshold: FloatArray
    missing_left: Array
    values: FloatArray
    classes: bool

    def __post_init__(self) -> None:
        own = np.arange(len(self.left))
        leaf = (self.left == own) & (self.right == own)
        # children lie behind their parents, so that every walk ends, inside the arrays
        inside = (self.left < len(own)) & (self.right < len(own)) & (self.feature >= 0)
        behind = (self.left > own) & (self.right > own)
        if not (inside & (leaf | behind)).all() or not (self.roots < len(own)).all():
            raise ArtifactError("these trees lead nowhere: a node names a child that cannot be.")

    def output(self, x: FloatArray) -> Array:
        """Return numbers (n,), the second class's share (n,), or shares (n, k)."""
        x = np.asarray(x, dtype=np.float32)  # scikit-learn's trees read float32
        total = np.zeros((len(x), self.values.shape[1]))
        rows = np.arange(len(x))
        for root in self.roots:
            at = np.full(len(x), root)
            while True:
                value = x[rows, self.feature[at]]
                goes_left = np.where(
                    np.isnan(value), self.missing_left[at], value <= self.threshold[at]
                )
                after = np.where(goes_left, self.left[at], self.right[at])
                if (after == at).all():
                    break
                at = after
            total += self.values[at]
        mean = total / len(self.roots)
        if not self.classes:
            return mean[:, 0]
        return mean if mean.shape[1] > 2 else mean[:, 1]


LIBRARIES: dict[str, type[Foreign]] = {
    kind.library: kind for kind in (ForeignLightGBM, ForeignXGBoost, ForeignLinear, ForeignTrees)
}
"""Every library whose models can be held."""
