"""Featurize stage of the default preset: where each name is cut, by the version's own suffixes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

from promise.data.columns import Columns
from promise.features.names import NAME, Suffixes, pinned_suffixes, suffix_table
from promise.kernels.ngrams_names import split_names
from promise.models.hashed import CUTS, name_bytes


@dataclass(frozen=True)
class NameParts:
    """Cuts names at their public suffix; the model reads n-grams of what is before it.

    Parameters
    ----------
    suffixes
        The rules that training names were cut by; a version keeps its own.
    """

    kind: ClassVar[str] = "name_parts"
    kind_version: ClassVar[int] = 1
    suffixes: Suffixes = field(default_factory=pinned_suffixes)

    @property
    def versions(self) -> dict[str, str]:
        """What the manifest says of the suffix list."""
        return {"public_suffixes": self.suffixes.digest}

    def needs(self, request: Columns) -> tuple[str, ...]:  # noqa: ARG002 — the stage's signature
        """Return nothing: names have no keyed state."""
        return ()

    def many(
        self,
        columns: Columns,
        state: Mapping[str, bytes],  # noqa: ARG002 — the stage's signature
        at: datetime | None,  # noqa: ARG002
    ) -> Columns:
        """Return the columns with `CUTS`."""
        data, offsets = name_bytes(columns[NAME])
        cuts = split_names(data, offsets, *suffix_table(self.suffixes))
        return columns.with_columns({CUTS: cuts})

    def save(self, folder: Path) -> None:
        """Write the rules of the list."""
        told = {"icann": self.suffixes.icann, "private": self.suffixes.private}
        (folder / "suffixes.json").write_text(json.dumps(told), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        told = json.loads((folder / "suffixes.json").read_text(encoding="utf-8"))
        return cls(Suffixes(tuple(told["icann"]), tuple(told["private"])))
