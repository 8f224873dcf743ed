"""Who chose whom, as compressed rows: what every collaborative source learns from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.errors import DataError
from promise.models.array_files import read_array, read_arrays, write_arrays

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_FILES = ("starts", "others", "weights")


@dataclass(frozen=True, eq=False)
class Interactions:
    """Choosers' rows of the chosen, each with a weight: positive for yes, negative for no.

    Parameters
    ----------
    starts
        Chooser `i` owns entries `starts[i]:starts[i + 1]`: int64 (n + 1,).
    others
        Codes of the chosen, ascending within a row, each at most once: int32 (nnz,).
    weights
        Never 0: float32 (nnz,).
    n_chosen
        How many can be chosen; codes lie below it.

    Examples
    --------
    >>> likes = Interactions.from_pairs(np.array([0, 0, 0]), np.array([2, 1, 2]), shape=(2, 3))
    >>> likes.row(0)
    (array([1, 2], dtype=int32), array([1., 2.], dtype=float32))
    """

    starts: IntArray
    others: IntArray
    weights: FloatArray
    n_chosen: int

    @classmethod
    def from_pairs(
        cls,
        choosers: IntArray,
        chosen: IntArray,
        weights: FloatArray | None = None,
        *,
        shape: tuple[int, int] | None = None,
    ) -> Self:
        """Return rows of these pairs; the weights of a pair that comes twice are added up.

        A pair whose weights add up to nothing is left out, so that a yes taken back by a no of the
        same weight leaves no trace.

        Parameters
        ----------
        choosers, chosen
            Codes from 0 on, one each per pair.
        weights
            None: each pair counts 1.
        shape
            How many choosers and chosen there are; None: one more than the largest codes.

        Raises
        ------
        DataError
            Where lengths differ, a code lies outside the shape, or a weight is not finite.
        """
        given = np.ones(len(choosers), np.float32) if weights is None else np.asarray(weights)
        n, m = shape or (_after_last(choosers), _after_last(chosen))
        _check(choosers, chosen, given, n, m)
        keys = np.asarray(choosers, np.int64) * m + np.asarray(chosen, np.int64)
        known, place = np.unique(keys, return_inverse=True)
        total = np.bincount(place, given, len(known))
        known, total = known[total != 0], total[total != 0]
        rows = known // max(m, 1)
        return cls(
            starts=np.searchsorted(rows, np.arange(n + 1)).astype(np.int64),
            others=(known - rows * m).astype(np.int32),
            weights=total.astype(np.float32),
            n_chosen=m,
        )

    @property
    def n_choosers(self) -> int:
        """How many rows there are."""
        return len(self.starts) - 1

    @property
    def nnz(self) -> int:
        """How many pairs there are."""
        return len(self.others)

    @cached_property
    def counts(self) -> IntArray:
        """How many each chooser has chosen, int64 (n,)."""
        return np.diff(self.starts)

    def row(self, chooser: int) -> tuple[IntArray, FloatArray]:
        """Return the chosen of one chooser and their weights."""
        part = slice(int(self.starts[chooser]), int(self.starts[chooser + 1]))
        return self.others[part], self.weights[part]

    def transposed(self) -> Interactions:
        """Return who was chosen by whom: rows of the chosen."""
        turned = self.matrix().tocsc()
        return Interactions(
            starts=turned.indptr.astype(np.int64),
            others=turned.indices.astype(np.int32),
            weights=turned.data,
            n_chosen=self.n_choosers,
        )

    def positive(self) -> Interactions:
        """Return the pairs of positive weight alone; itself where there are no others."""
        return self if (self.weights > 0).all() else self.where(self.weights > 0)

    def where(self, kept: Array) -> Interactions:
        """Return the pairs that a mask over all pairs keeps."""
        before = np.concatenate([[0], np.cumsum(kept)])
        return Interactions(
            starts=before[self.starts].astype(np.int64),
            others=self.others[kept],
            weights=self.weights[kept],
            n_chosen=self.n_chosen,
        )

    def rows(self) -> IntArray:
        """Return the chooser of each pair, int32 (nnz,)."""
        return np.repeat(np.arange(self.n_choosers, dtype=np.int32), self.counts)

    def matrix(self) -> csr_matrix:
        """Return the same arrays as SciPy's sparse matrix of shape (n_choosers, n_chosen)."""
        from scipy.sparse import csr_matrix

        shape = (self.n_choosers, self.n_chosen)
        return csr_matrix((self.weights, self.others, self.starts), shape=shape)

    def save(self, folder: Path) -> None:
        """Write the arrays as `.npy` files."""
        write_arrays(folder, self, _FILES)
        np.save(folder / "n_chosen.npy", np.int64(self.n_chosen))

    @classmethod
    def load(cls, folder: Path, *, mapped: bool = False) -> Self:
        """Read back what `save` wrote; `mapped` leaves the arrays on the disk until read."""
        arrays = read_arrays(folder, _FILES, mapped=mapped)
        return cls(**arrays, n_chosen=int(read_array(folder, "n_chosen")))


def _after_last(codes: IntArray) -> int:
    return int(codes.max()) + 1 if len(codes) else 0


def _check(choosers: Array, chosen: Array, weights: Array, n: int, m: int) -> None:
    if not len(choosers) == len(chosen) == len(weights):
        raise DataError(
            f"pairs need equal lengths: {len(choosers)} choosers, {len(chosen)} chosen and "
            f"{len(weights)} weights came."
        )
    for what, codes, bound in (("chooser", choosers, n), ("chosen", chosen, m)):
        wrong = np.flatnonzero((codes < 0) | (codes >= bound))
        if len(wrong):
            raise DataError(
                f"pair {wrong[0]} has the {what} code {codes[wrong[0]]}; codes run from 0 to "
                f"{bound - 1}. Give the number of all by `shape`."
            )
    if not np.isfinite(weights).all():
        row = int(np.flatnonzero(~np.isfinite(weights))[0])
        raise DataError(f"pair {row} has the weight {weights[row]}; leave it out or give a number.")
