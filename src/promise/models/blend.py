"""A weighted mean of fitted models, each reading its own matrix."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from promise.data.columns import Array, Columns
from promise.kernels.calibrating import apply_temperature
from promise.models.base import ESTIMATORS, MATRIX, ORDER, Fitted


def matrix_column(view: str) -> str:
    """Return the column in which the matrix of a named view travels."""
    return f"{MATRIX}:{view}"


@dataclass(frozen=True)
class Member:
    """One fitted model of a blend: the view whose matrix it reads, and its share."""

    view: str
    weight: float
    fitted: Fitted

    def predict(self, columns: Columns) -> Array:
        """Return the output of its model on the matrix of its view, row for row."""
        request = {MATRIX: columns[matrix_column(self.view)]}
        if ORDER in columns:
            request[ORDER] = columns[ORDER]
        return self.fitted.predict(Columns(request))


def save_members(members: tuple[Member, ...], folder: Path) -> list[dict[str, Any]]:
    """Write each member into a folder of its own and return the list that finds them again."""
    listed = []
    for number, member in enumerate(members):
        home = folder / f"member-{number}"
        home.mkdir()
        member.fitted.save(home)
        listed.append({"view": member.view, "weight": member.weight, "kind": member.fitted.kind})
    return listed


def load_members(listed: list[dict[str, Any]], folder: Path) -> tuple[Member, ...]:
    """Read back what `save_members` wrote; each resolves through its estimator's entry point."""
    return tuple(
        Member(m["view"], m["weight"], load_fitted(m["kind"], folder / f"member-{number}"))
        for number, m in enumerate(listed)
    )


@dataclass(frozen=True)
class Blend:
    """One to a few fitted models whose outputs are averaged, then calibrated.

    Parameters
    ----------
    members
        Weights sum to one.
    temperature
        For classes: probabilities are sharpened (< 1) or softened (> 1); None leaves them.
    """

    kind: ClassVar[str] = "blend"
    kind_version: ClassVar[int] = 1
    members: tuple[Member, ...]
    temperature: float | None = None

    def many(self, columns: Columns) -> Array:
        """Return the blended output, row for row; also the Score stage's verb."""
        total: Array | None = None
        for member in self.members:
            part = member.weight * member.predict(columns)
            total = part if total is None else total + part
        if total is None:
            raise ValueError("a blend needs at least one member")
        return total if self.temperature is None else apply_temperature(total, self.temperature)

    predict = many

    def save(self, folder: Path) -> None:
        """Write each member into a folder of its own."""
        listed = save_members(self.members, folder)
        data = {"members": listed, "temperature": self.temperature}
        (folder / "blend.json").write_text(json.dumps(data, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote; each member resolves through its estimator's entry point."""
        data = json.loads((folder / "blend.json").read_text(encoding="utf-8"))
        return cls(load_members(data["members"], folder), data["temperature"])


def load_fitted(kind: str, folder: Path) -> Fitted:
    """Load a fitted model of a kind: its estimator names the type in `fitted`."""
    fitted: Fitted = ESTIMATORS.resolve(kind).fitted.load(folder)
    return fitted
