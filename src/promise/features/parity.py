"""Proof that serving and training see the same features: every difference, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from promise.errors import DataError

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """One feature that differs between the log and the recomputation.

    Parameters
    ----------
    n_rows
        In how many rows it differs.
    first
        Id of the first such event, with what was logged and what was recomputed there.
    largest
        Largest absolute difference; NaN where all differ in being missing.
    """

    feature: str
    n_rows: int
    first: str
    logged: float
    recomputed: float
    largest: float


@dataclass(frozen=True)
class Parity:
    """The outcome of a check.

    Parameters
    ----------
    n_rows
        How many events were compared.
    differences
        Features that differ, most rows first.
    only_logged, only_recomputed
        Features that only one side has: the views are of other versions.
    """

    n_rows: int
    differences: tuple[Difference, ...]
    only_logged: tuple[str, ...] = ()
    only_recomputed: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether events were compared and everything is equal, bit for bit."""
        sides = (*self.differences, *self.only_logged, *self.only_recomputed)
        return self.n_rows > 0 and not sides

    def told(self) -> str:
        """Return the outcome in words, one line for each difference."""
        if not self.n_rows:
            return "no events to compare"
        lines = [
            f"{d.feature}: {d.n_rows:,} of {self.n_rows:,} rows differ, first at {d.first!r}: "
            f"logged {d.logged!r}, recomputed {d.recomputed!r}"
            for d in self.differences
        ]
        lines += [f"{name}: only in the log" for name in self.only_logged]
        lines += [f"{name}: only recomputed" for name in self.only_recomputed]
        return "\n".join(lines) or f"0 differences in {self.n_rows:,} rows"


def check(
    names: Sequence[str],
    logged: Matrix,
    recomputed: Matrix,
    *,
    ids: Sequence[str] | None = None,
    recomputed_names: Sequence[str] | None = None,
) -> Parity:
    """Compare logged serving vectors with the offline computation, bit for bit.

    Missing equals missing, and 0 equals −0; nothing else that differs is equal.

    Parameters
    ----------
    names
        Features of the columns of `logged`, and of `recomputed` unless that has its own.
    logged, recomputed
        float64 (n_rows, n_features), row for row the same events.
    ids
        The events' ids, to name rows by; default: row numbers.

    Raises
    ------
    DataError
        When the shapes do not fit each other or the names.

    Examples
    --------
    >>> logged = np.array([[1.0, np.nan], [2.0, 5.0]])
    >>> print(check(["count", "mean"], logged, logged).told())
    0 differences in 2 rows
    >>> print(check(["count", "mean"], logged, logged + [[0, 0], [1, 0]], ids=["a", "b"]).told())
    count: 1 of 2 rows differ, first at 'b': logged 2.0, recomputed 3.0
    """
    others = list(recomputed_names if recomputed_names is not None else names)
    _fits(names, logged, "logged vectors")
    _fits(others, recomputed, "recomputed features")
    if len(logged) != len(recomputed):
        raise DataError(
            f"{len(logged)} logged vectors stand beside {len(recomputed)} recomputed rows; "
            "compare the same events in the same order"
        )
    if ids is not None and len(ids) != len(logged):
        raise DataError(f"{len(ids)} ids came for {len(logged)} vectors; give one for each")
    places = {name: place for place, name in enumerate(others)}
    found = [
        _difference(name, logged[:, n], recomputed[:, places[name]], ids)
        for n, name in enumerate(names)
        if name in places
    ]
    differences = sorted((d for d in found if d is not None), key=lambda d: -d.n_rows)
    return Parity(
        len(logged),
        tuple(differences),
        tuple(name for name in names if name not in places),
        tuple(name for name in others if name not in set(names)),
    )


def _difference(
    name: str, logged: Matrix, recomputed: Matrix, ids: Sequence[str] | None
) -> Difference | None:
    both_missing = np.isnan(logged) & np.isnan(recomputed)
    rows = np.flatnonzero((logged != recomputed) & ~both_missing)
    if not len(rows):
        return None
    first = int(rows[0])
    apart = np.abs(logged[rows] - recomputed[rows])
    return Difference(
        name,
        len(rows),
        str(first) if ids is None else ids[first],
        float(logged[first]),
        float(recomputed[first]),
        float(np.nanmax(apart)) if not np.isnan(apart).all() else float("nan"),
    )


def _fits(names: Sequence[str], matrix: Matrix, what: str) -> None:
    if matrix.ndim != 2 or matrix.shape[1] != len(names):
        raise DataError(
            f"{what} are of shape {matrix.shape}; expected (n_rows, {len(names)}), a column for "
            "each named feature"
        )
