"""What a discovery leaves in the user's hands."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promise.errors import DataError
from promise.registry.versions import Version
from promise.state.files import whole_file, whole_folder
from promise.training.model import Model


@dataclass(frozen=True)
class Found:
    """The recommended model, how far to trust it, and code that runs without Promise.

    Parameters
    ----------
    out
        The folder with `leaderboard.json`, `report.html` and `export/`.
    story
        Everything the report tells, as plain values.
    version
        The registered version of the winner; None where nothing was good enough to keep.
    """

    out: Path
    story: dict[str, Any]
    version: Version | None

    @property
    def leaderboard(self) -> dict[str, Any]:
        """The leaderboard as `leaderboard.json` holds it."""
        board: dict[str, Any] = self.story["leaderboard"]
        return board

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What the checks found, most severe first."""
        found: list[dict[str, Any]] = self.story["findings"]
        return found

    @property
    def model(self) -> Model:
        """The registered winner, ready to predict."""
        if self.version is None:
            raise DataError("the run ended before a model was registered; go on with --resume.")
        return Model(self.version)

    def predict(
        self, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Answer one row or several with the winner."""
        return self.model.predict(rows)

    def report(self, path: str | Path) -> Path:
        """Write the self-contained HTML report to a path of your choice."""
        with whole_file(Path(path)) as draft:
            shutil.copyfile(self.out / "report.html", draft)
        return Path(path)

    def export(self, folder: str | Path) -> Path:
        """Copy the export, code that trains and predicts without Promise, to a new folder."""
        with whole_folder(Path(folder)) as draft:
            shutil.copytree(self.out / "export", draft, dirs_exist_ok=True)
        return Path(folder)
