"""Arrays as `.npy` files: nothing that executes, and nothing read before it is needed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.columns import Array


def write_arrays(folder: Path, owner: Any, names: Iterable[str]) -> None:
    """Write these attributes of an object, each into a file of its name."""
    for name in names:
        np.save(folder / f"{name}.npy", getattr(owner, name))


def read_arrays(folder: Path, names: Iterable[str], *, mapped: bool = False) -> dict[str, Array]:
    """Return arrays by name; `mapped` leaves them on the disk until they are read."""
    return {name: read_array(folder, name, mapped=mapped) for name in names}


def read_array(folder: Path, name: str, *, mapped: bool = False) -> Array:
    """Return one array; mapped, it cannot be written to and is shared between processes."""
    found: Array = np.load(
        folder / f"{name}.npy", mmap_mode="r" if mapped else None, allow_pickle=False
    )
    # a plain array over the same bytes: compiled loops and products know no other kind
    return found.view(np.ndarray)
