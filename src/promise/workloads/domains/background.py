"""Names of no class, from a list that the user gives: the model learns to know them apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from promise.data.columns import Array, FloatArray
from promise.errors import ConfigError
from promise.features.names import normalise_many, pinned_suffixes
from promise.models.hashed import Batch
from promise.workloads.domains.held import joined_batches, names_of
from promise.workloads.domains.parts import Part, taken
from promise.workloads.domains.split import OF_NO_CLASS, STRANGE

HELD_SHARE = 0.2
"""Share of the list that is not learned from, to calibrate and to say how many are rejected."""

LEAST = 100


@dataclass(frozen=True)
class Background:
    """Names of no class.

    Parameters
    ----------
    learned, held
        What is learned from, and what calibration and rejection are measured on.
    overlap
        How many names of the list were left out, since their brand is in the training data.
    """

    learned: Batch
    held: Batch
    overlap: int

    @property
    def part(self) -> Part:
        """All of them as a part: the code -1 stands for no class."""
        sizes = [len(self.learned.codes), len(self.held.codes)]
        n = sum(sizes)
        return Part(
            names=names_of(joined_batches([self.learned, self.held])),
            codes=np.full(n, -1),
            sides=np.repeat(np.array([OF_NO_CLASS, STRANGE], np.int8), sizes),
            rows=np.full(n, -1),
            levels=np.empty((n, 0), np.int32),
        )


def read_background(path: Path, parts: Iterable[Part], n_classes: int) -> Background:
    """Read a list of names, one a line, without those whose brand is in the training data.

    Raises
    ------
    ConfigError
        When the list cannot be read, or too few names are left.
    """
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--set background={path}: not readable as text ({error}).") from error
    names = normalise_many(lines, pinned_suffixes())
    brands = names.brand_hashes
    shared = np.zeros(len(names), dtype=bool)
    for part in parts:
        shared |= np.isin(brands, part.names.brand_hashes)
    _, first = np.unique(names.hashes, return_index=True)
    alone = np.zeros(len(names), dtype=bool)
    alone[first] = True
    kept = np.flatnonzero(alone & names.known & ~shared)
    if len(kept) < LEAST:
        raise ConfigError(
            f"--set background={path}: {len(kept):,} names are left of {len(lines):,}, without "
            f"those of brands that have a class; give at least {LEAST}."
        )
    codes = np.full(len(names), n_classes, np.int64)
    held = (brands[kept] >> np.uint64(40)) / float(1 << 24) < HELD_SHARE
    if held.all() or not held.any():
        raise ConfigError(
            f"--set background={path}: the names are of {len(np.unique(brands[kept])):,} brands, "
            "too few to learn from some and judge by others; give names of more."
        )
    return Background(
        taken(names, codes, kept[~held]), taken(names, codes, kept[held]), int(shared.sum())
    )


def frontier(known: FloatArray, background: FloatArray) -> list[dict[str, float]]:
    """Return how many names of no class are rejected for how many known ones.

    Parameters
    ----------
    known, background
        Confidence of held-out names of a class, and of none.

    Examples
    --------
    >>> frontier(np.array([0.2, 0.8]), np.array([0.1, 0.1]))[0]["rejected"]
    1.0
    """
    shares: Array = np.array([0.01, 0.02, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5])
    told = []
    for share in shares.tolist():
        threshold = float(np.quantile(known, share))
        told.append({
            "false_rejection": float((known < threshold).mean()),
            "rejected": float((background < threshold).mean()),
            "threshold": threshold,
        })  # fmt: skip
    return told
