"""A blend of two-class models whose probabilities mean what they say: Platt scaling on log-odds."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np

from promise.data.columns import Array, Columns, FloatArray
from promise.errors import ConfigError, DataError
from promise.kernels.calibrating import fit_platt, log_odds
from promise.kernels.dense import sigmoid
from promise.models.base import MATRIX, Explainable
from promise.models.blend import Member, load_members, matrix_column, save_members

Scale = Literal["logit", "probability"]
SCALES: tuple[Scale, ...] = ("logit", "probability")
LEAST_POSITIVES = 5


@dataclass(frozen=True)
class Platt:
    """A line on the log-odds (Platt 1999): its slope and offset.

    Examples
    --------
    >>> Platt(2.0, -1.0).apply(np.array([0.0, 3.0]))
    array([-1.,  5.])
    """

    slope: float = 1.0
    offset: float = 0.0

    def apply(self, margins: Array) -> FloatArray:
        """Return log-odds along the line."""
        line: FloatArray = self.slope * margins + self.offset
        return line

    @classmethod
    def fit(cls, margins: Array, y: Array) -> Self:
        """Learn the line on rows that came after the training rows, at their real prevalence.

        Parameters
        ----------
        margins
            Log-odds (n,), finite.
        y
            0 or 1 for each row.

        Raises
        ------
        DataError
            When a class has too few rows to say anything.
        """
        positives, rows = int((y == 1).sum()), len(y)
        if min(positives, rows - positives) < LEAST_POSITIVES:
            raise DataError(
                f"calibration needs {LEAST_POSITIVES} rows of either class; the block has "
                f"{positives:,} positive of {rows:,}. Give it more days, or wait for labels."
            )
        positive = sigmoid(np.asarray(margins, dtype=np.float64))
        slope, offset = fit_platt(np.stack([1.0 - positive, positive], axis=1), y)
        return cls(slope, offset)


@dataclass(frozen=True)
class Calibrated:
    """Members blended on one scale, then moved along a line: a Score stage, and a Fitted.

    Parameters
    ----------
    members
        Two-class models with their views and weights, which sum to one.
    scale
        `"logit"` averages log-odds, so that contributions stay additive; `"probability"` averages
        probabilities.
    platt
        The line; the default one changes nothing.

    Raises
    ------
    ConfigError
        When there is no member, the weights do not sum to one or the scale is unknown.
    """

    kind: ClassVar[str] = "calibrated"
    kind_version: ClassVar[int] = 1
    members: tuple[Member, ...]
    scale: Scale = "logit"
    platt: Platt = Platt()

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise ConfigError(f"a blend has no scale {self.scale!r}; use one of: {SCALES}.")
        total = sum(member.weight for member in self.members)
        if not self.members or abs(total - 1.0) > 1e-9:
            raise ConfigError(
                f"the weights of a blend sum to one; {len(self.members)} members sum to {total:g}."
            )

    def margins(self, columns: Columns) -> FloatArray:
        """Return the blended log-odds (n,) before calibration."""
        parts = [(m.weight, _probabilities(m, columns)) for m in self.members]
        if self.scale == "logit":
            odds: FloatArray = sum_in_order([weight * log_odds(part) for weight, part in parts])
            return odds
        return log_odds(sum_in_order([weight * part for weight, part in parts]))

    def many(self, columns: Columns) -> Array:
        """Return calibrated probabilities (n, 2)."""
        positive = sigmoid(self.platt.apply(self.margins(columns)))
        return np.stack([1.0 - positive, positive], axis=1)

    predict = many

    def calibrated(self, columns: Columns, y: Array) -> Self:
        """Return this blend with its line learned on a later block of rows."""
        return replace(self, platt=Platt.fit(self.margins(columns), y))

    @property
    def explained(self) -> float:
        """Share of the weight whose members split their answers into contributions."""
        return sum(m.weight for m in self.members if isinstance(m.fitted, Explainable))

    def contributions(self, columns: Columns) -> dict[str, FloatArray]:
        """Return by view what each of its columns adds to the calibrated log-odds, then the base.

        Where `explained` is 1 and the scale is `"logit"`, all views' contributions and bases sum
        to the calibrated log-odds. What other members say is left out; they are never guessed.

        Raises
        ------
        ConfigError
            When the scale is `"probability"`, whose parts do not add up on the log-odds.
        """
        if self.scale != "logit":
            raise ConfigError(
                "a mean of probabilities has no additive contributions on the log-odds; blend "
                'with scale="logit", or explain by a surrogate.'
            )
        found: dict[str, FloatArray] = {}
        for member in self.members:
            if not isinstance(member.fitted, Explainable):
                continue
            matrix = Columns({MATRIX: columns[matrix_column(member.view)]})
            part = self.platt.slope * member.weight * member.fitted.contributions(matrix)
            found[member.view] = found[member.view] + part if member.view in found else part
        for view in list(found)[:1]:
            found[view][:, -1] += self.platt.offset
        return found

    def save(self, folder: Path) -> None:
        """Write each member into a folder of its own, and how they are joined."""
        listed = save_members(self.members, folder)
        data = {"members": listed, "scale": self.scale, "platt": vars(self.platt)}
        (folder / "calibrated.json").write_text(json.dumps(data, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote; each member resolves through its estimator's entry point."""
        data = json.loads((folder / "calibrated.json").read_text(encoding="utf-8"))
        members = load_members(data["members"], folder)
        return cls(members, data["scale"], Platt(**data["platt"]))


def sum_in_order(parts: list[FloatArray]) -> FloatArray:
    """Add arrays from the first to the last, so that every caller gets the same digits."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _probabilities(member: Member, columns: Columns) -> FloatArray:
    """Return a member's (n, 2); another shape is refused, since log-odds are of two classes."""
    output: FloatArray = member.predict(columns)
    if output.ndim != 2 or output.shape[1] != 2:
        raise ConfigError(
            f"calibration joins models of two classes; {member.fitted.kind} answers with shape "
            f"{output.shape}. Train it on a Class of two."
        )
    return output
