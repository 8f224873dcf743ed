"""Arrays as `.npy` files: nothing that executes, and nothing read before it is needed."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.columns import Array

_POPULATE_READ = 22  # of Linux 5.14 on: reads the pages and notes where they lie


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


def arrays_within(thing: Any) -> Iterator[Array]:
    """Yield every array that a value holds, through dataclasses of any depth."""
    if isinstance(thing, np.ndarray):
        yield thing
    elif is_dataclass(thing):
        for one in fields(thing):
            yield from arrays_within(getattr(thing, one.name))


def read_pages(arrays: Iterable[Array], most_mb: float) -> float:
    """Read mapped arrays from the disk before somebody waits for them, and return their MiB.

    Where they are larger than `most_mb` together, nothing is read: they would only push one
    another out of memory.
    """
    maps = {id(found): found for array in arrays if (found := _map_of(array)) is not None}
    size_mb = sum(len(one) for one in maps.values()) / 2**20
    if size_mb <= most_mb:
        for one in maps.values():
            _read(one)
    return size_mb


def _map_of(array: Array) -> mmap.mmap | None:
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def _read(pages: mmap.mmap) -> None:
    for advice in (_POPULATE_READ, getattr(mmap, "MADV_WILLNEED", None)):
        if advice is not None and hasattr(pages, "madvise"):
            with suppress(OSError, ValueError):  # an earlier kernel: the next best
                pages.madvise(advice)
                return
