"""The distinct ways in which a winner's members read the table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promise.discovery.export.plan import Member
from promise.errors import ArtifactError


@dataclass(frozen=True)
class View:
    """How one or more members read the table: the fitted encoding, and what it was made with."""

    folder: Path
    plan: Mapping[str, Any]
    seed: int
    names: tuple[str, ...]


def views_of(members: Sequence[Member]) -> tuple[list[View], list[int]]:
    """Return the distinct views, and which of them each member reads."""
    folders: list[Path] = []
    which = []
    for member in members:
        folder = member.features_folder.resolve()
        if folder not in folders:
            folders.append(folder)
        which.append(folders.index(folder))
    return [_view(folder) for folder in folders], which


def _view(folder: Path) -> View:
    path = folder / "state.json"
    if not path.exists():
        raise ArtifactError(f"{folder} holds no saved table features (state.json is missing).")
    state = json.loads(path.read_text(encoding="utf-8"))
    return View(folder, state["plan"], state["seed"], tuple(state["names"]))
