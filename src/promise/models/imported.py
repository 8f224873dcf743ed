"""Score: a model that was trained elsewhere, answering as it does there, to the last digits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from promise.data.columns import Array, Columns, FloatArray
from promise.errors import ArtifactError, near
from promise.models.foreign import LIBRARIES, Foreign


@dataclass(frozen=True)
class Input:
    """One column that the model reads.

    Parameters
    ----------
    categories
        For a category: its values in the order of their codes. None for a number.
    """

    name: str
    categories: tuple[str, ...] | None = None

    def values(self, columns: Columns) -> FloatArray:
        """Return float64 of shape (n,); codes for a category, NaN where missing or unknown."""
        found = columns[self.name]
        if self.categories is None:
            return np.asarray(found, dtype=np.float64)
        codes = {category: float(code) for code, category in enumerate(self.categories)}
        return np.array([codes.get(value, np.nan) for value in found.tolist()], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Imported:
    """A model of another library, as the Score stage of a pipeline.

    Parameters
    ----------
    inputs
        The columns that it reads, in the order of its matrix.
    n_classes
        0 for a number.
    """

    kind: ClassVar[str] = "imported"
    kind_version: ClassVar[int] = 1
    inputs: tuple[Input, ...]
    n_classes: int
    model: Foreign

    def many(self, columns: Columns) -> Array:
        """Return numbers (n,) or probabilities (n, n_classes), row for row."""
        matrix = np.column_stack([read.values(columns) for read in self.inputs])
        output = self.model.output(np.ascontiguousarray(matrix, dtype=np.float64))
        if self.n_classes == 2:
            return np.stack([1.0 - output, output], axis=1)
        return output.reshape(len(matrix), self.n_classes) if self.n_classes else output

    def save(self, folder: Path) -> None:
        """Write `imported.json` and the model's own files."""
        inputs = [{"name": i.name, "categories": i.categories} for i in self.inputs]
        said = {"library": self.model.library, "inputs": inputs, "n_classes": self.n_classes}
        (folder / "imported.json").write_text(json.dumps(said, indent=1), encoding="utf-8")
        (folder / "model").mkdir()
        self.model.save(folder / "model")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        said = json.loads((folder / "imported.json").read_text(encoding="utf-8"))
        library = said["library"]
        if library not in LIBRARIES:
            raise ArtifactError(
                f"models of {library!r} are unknown here; {near(library, LIBRARIES)}"
            )
        inputs = tuple(
            Input(i["name"], None if i["categories"] is None else tuple(i["categories"]))
            for i in said["inputs"]
        )
        model = LIBRARIES[library].load(folder / "model")
        return cls(inputs, said["n_classes"], model)
