"""Model state on disk: arrays in one npz, everything else in one JSON file; nothing executable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def save_state(state: dict[str, Any], folder: Path) -> None:
    """Write arrays to `arrays.npz` and JSON values to `model.json` in an existing folder."""
    arrays: dict[str, Any] = {k: v for k, v in state.items() if isinstance(v, np.ndarray)}
    rest = {name: value for name, value in state.items() if name not in arrays}
    np.savez_compressed(folder / "arrays.npz", **arrays)
    (folder / "model.json").write_text(json.dumps(rest, indent=1), encoding="utf-8")


def load_state(folder: Path) -> dict[str, Any]:
    """Read back what `save_state` wrote."""
    state: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        state.update({name: arrays[name] for name in arrays.files})
    return state
