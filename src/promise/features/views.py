"""Featurize for tables: one matrix for each view that the scorer's members read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

from promise.data.columns import Columns
from promise.features.table import FittedTableFeatures
from promise.models.base import ORDER
from promise.models.blend import matrix_column


@dataclass(frozen=True)
class Views:
    """The fitted table features of a pipeline, by view name.

    Parameters
    ----------
    views
        View name to fitted features; members of a blend that share a view share its matrix.
    """

    kind: ClassVar[str] = "views"
    kind_version: ClassVar[int] = 1
    views: Mapping[str, FittedTableFeatures]

    def needs(self, request: Columns) -> tuple[str, ...]:  # noqa: ARG002 — the stage's signature
        """Table features need no keyed state."""
        return ()

    def many(
        self,
        columns: Columns,
        state: Mapping[str, bytes],  # noqa: ARG002 — the stage's signature
        at: datetime | None,  # noqa: ARG002
    ) -> Columns:
        """Return one matrix for each view, row for row."""
        matrices = {matrix_column(n): fitted.predict(columns) for n, fitted in self.views.items()}
        if ORDER in columns:
            matrices[ORDER] = columns[ORDER]
        return Columns(matrices, columns.offsets)

    def save(self, folder: Path) -> None:
        """Write each view into a folder of its own."""
        for number, fitted in enumerate(self.views.values()):
            home = folder / f"view-{number}"
            home.mkdir()
            fitted.save(home)
        (folder / "views.json").write_text(json.dumps(list(self.views)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        names = json.loads((folder / "views.json").read_text(encoding="utf-8"))
        return cls({n: FittedTableFeatures.load(folder / f"view-{i}") for i, n in enumerate(names)})
