"""The rows of a source: how many there are, which were bad, and an even choice of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

OnBadRows = Literal["fail", "skip"]


@dataclass(frozen=True)
class Size:
    """How large a source is, known before it is loaded.

    Parameters
    ----------
    rows
        Exact, or estimated from the length of sampled rows.
    exact
        Whether `rows` is exact.
    bytes
        Bytes as stored (a frame: in memory; a query: unknown, 0).
    """

    rows: int
    exact: bool
    bytes: int


@dataclass
class BadRows:
    """Rows that reading left out: how many, and the first few with the reason.

    Each pass over a source sees the same bad rows; `count` is what the longest pass saw.
    """

    count: int = 0
    examples: list[tuple[int, str]] = field(default_factory=list)
    limit: int = 10
    _seen: int = 0

    def restart(self) -> None:
        """Note that a new pass begins."""
        self._seen = 0

    def add(self, path: str, row: int, why: str) -> None:
        """Count one row of this pass."""
        self._seen += 1
        if self._seen > self.count:
            self.count = self._seen
            if len(self.examples) < self.limit:
                self.examples.append((row, f"{path}: {why}"))


def even_rows(n_rows: int, wanted: int) -> npt.NDArray[np.int64]:
    """Return at most `wanted` row numbers at even distances.

    Examples
    --------
    >>> even_rows(10, 4)
    array([0, 2, 5, 7])
    """
    return np.arange(min(n_rows, wanted), dtype=np.int64) * n_rows // max(1, min(n_rows, wanted))
