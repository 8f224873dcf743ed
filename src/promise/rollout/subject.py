"""What judgement needs to know of a version, read from its folder without loading the model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.columns import Array
from promise.pipeline.artifact import read_arrow, read_manifest
from promise.pipeline.task import Task
from promise.registry.versions import Version


@dataclass(frozen=True)
class Subject:
    """A version's task, policy and frozen drift bins.

    Parameters
    ----------
    multipliers
        What the policy multiplies probabilities by before it decides, or None. Of several actions:
        what tells the rows that are let through from those that are not.
    reference
        Feature to its frozen bins.
    """

    task: Task
    multipliers: Array | None
    reference: dict[str, Any]
    folder: Path

    @classmethod
    def of(cls, version: Version) -> Subject:
        """Read a version's manifest, policy and reference.

        Raises
        ------
        ArtifactError
            When the folder is missing or damaged.
        """
        folder = version.folder
        manifest = read_manifest(folder)
        return cls(
            Task.from_json(manifest["task"]),
            _multipliers(_read_json(folder / "policy.json")),
            _read_json(folder / "reference.json"),
            folder,
        )

    def evaluation(self) -> dict[str, Array]:
        """Return the columns of the kept holdout rows; none where the version keeps none."""
        path = self.folder / "evaluation.arrow"
        return read_arrow(path) if path.is_file() else {}

    @staticmethod
    def raw_output(columns: dict[str, Array]) -> Array:
        """Return (n,) or (n, n_classes) from the columns `output_0`, `output_1`, …"""
        wide = [
            columns[f"output_{i}"] for i in range(sum(n.startswith("output_") for n in columns))
        ]
        return wide[0] if len(wide) == 1 else np.column_stack(wide)


def _multipliers(policy: dict[str, Any]) -> Array | None:
    given, cut = policy.get("multipliers"), policy.get("acts_from")
    if given is None and cut is not None:
        given = [cut, 1.0 - cut]  # the larger product is the second one's above the cut
    return None if given is None else np.asarray(given, dtype=np.float64)


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
