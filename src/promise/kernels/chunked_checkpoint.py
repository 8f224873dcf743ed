"""Where a long training stopped, so that it can go on: a model file, and a pointer to it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def read_checkpoint(folder: Path | None, terms: dict[str, Any]) -> dict[str, Any] | None:
    """Return where an interrupted run on the same terms stopped, or None."""
    if folder is None or not (folder / "checkpoint.json").exists():
        return None
    state: dict[str, Any] = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    same = state["terms"] == json.loads(json.dumps(terms))
    path = folder / state["file"]
    return {**state, "path": path} if same and path.exists() else None


def write_checkpoint(
    folder: Path,
    terms: dict[str, Any],
    name: str,
    write: Callable[[Path], object],
    state: dict[str, Any],
) -> None:
    """Write the model, `write(path)`, point to it in one step, then drop older ones.

    A crash at any moment leaves the former checkpoint or the new one, never half of either.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / name)
    draft = folder / "checkpoint.json.part"
    draft.write_text(json.dumps({"terms": terms, "file": name, **state}), encoding="utf-8")
    draft.replace(folder / "checkpoint.json")
    for path in folder.glob("round-*"):
        if path.name != name and path.is_dir():
            shutil.rmtree(path)
        elif path.name != name:
            path.unlink()
