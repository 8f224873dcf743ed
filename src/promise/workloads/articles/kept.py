"""What a training has finished, kept so that a resumed one goes on from there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from promise.data.columns import Array, IntArray
from promise.state.files import whole_file


@dataclass(frozen=True)
class Kept:
    """Arrays by name, each written whole or not at all.

    Parameters
    ----------
    folder
        Of this data and these terms alone: others have another one.
    """

    folder: Path

    @classmethod
    def of(cls, work: Path, texts: Sequence[str], truth: Array, told: str) -> Kept:
        """Return what is kept for these articles, labels and terms."""
        digest = hashlib.blake2b(told.encode(), digest_size=12)
        for text in texts:
            digest.update(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())
        digest.update(np.packbits(truth).tobytes())
        folder = work / f"ladder-{digest.hexdigest()}"
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder)

    def array(self, name: str, make: Callable[[], Array]) -> Array:
        """Return the array of this name; it is made only where it is not kept yet."""
        path = self.folder / f"{hashlib.blake2b(name.encode(), digest_size=12).hexdigest()}.npy"
        if path.is_file():
            found: Array = np.load(path, allow_pickle=False)
            return found
        made = make()
        with whole_file(path) as draft:
            np.save(draft, made)
        return made


def rows_named(rows: IntArray) -> str:
    """Return a short name of some rows."""
    return hashlib.blake2b(np.asarray(rows, np.int64).tobytes(), digest_size=8).hexdigest()
