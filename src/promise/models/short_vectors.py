"""Vectors in sixteen bits a number: half the memory and half the pages, read as float32."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.errors import DataError
from promise.models.array_files import read_array
from promise.models.row_blocks import row_blocks

_MOST = np.float32(32_767)
_LEAST = np.float32(1e-30)


@dataclass(frozen=True, eq=False)
class ShortVectors:
    """Rows of whole numbers, each with what one step of it is worth.

    Rows are read by `[]` as those of an array are, in float32; a product with all of them is made
    block by block. A number is off by at most a 65,000th of the largest of its row, whatever the
    rows' lengths: half-width floats would lose small ones.

    Parameters
    ----------
    codes
        int16 (n, d).
    scales
        float32 (n,).

    Examples
    --------
    >>> short = ShortVectors.of(np.array([[1.0, 0.25], [0.0, 0.0]], np.float32))
    >>> short[0].round(4), (short @ np.ones(2, np.float32)).round(3)
    (array([1.  , 0.25], dtype=float32), array([1.25, 0.  ], dtype=float32))
    """

    codes: IntArray
    scales: FloatArray

    @classmethod
    def of(cls, vectors: FloatArray) -> Self:
        """Shorten float32 (n, d).

        Raises
        ------
        DataError
            Where a number is not finite.
        """
        return cls.of_blocks(vector_blocks(vectors), vectors.shape)

    @classmethod
    def of_blocks(cls, blocks: Iterable[FloatArray], shape: tuple[int, ...]) -> Self:
        """Shorten vectors that come block by block, so that they never lie in memory all at once.

        Parameters
        ----------
        blocks
            float32, of `shape` one after the other.
        """
        codes, scales = np.empty(shape, np.int16), np.empty(shape[0], np.float32)
        first = 0
        for block in blocks:
            part = slice(first, first + len(block))
            wrong = np.flatnonzero(~np.isfinite(block).all(axis=1))
            if len(wrong):
                raise DataError(
                    f"the vector of row {first + wrong[0]} is not finite; look at what it was "
                    "learned from."
                )
            step = np.maximum(np.abs(block).max(axis=1, initial=0.0), _LEAST) / _MOST
            codes[part], scales[part] = np.rint(block / step[:, None]), step
            first += len(block)
        return cls(codes, scales)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many rows and columns there are."""
        return self.codes.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """As what rows are read."""
        return self.scales.dtype

    def __getitem__(self, rows: Any) -> FloatArray:
        found: FloatArray = self.codes[rows] * self.scales[rows][..., None]
        return found

    def __matmul__(self, other: FloatArray) -> FloatArray:
        found = np.empty((len(self), *other.shape[1:]), np.float32)
        for rows in row_blocks(len(self)):
            np.matmul(self[rows], other, out=found[rows])
        return found

    def take(self, rows: Array) -> ShortVectors:
        """Return some rows, as short as they are."""
        return ShortVectors(self.codes[rows], self.scales[rows])


Vectors = FloatArray | ShortVectors
"""float32 (n, d), or the same in sixteen bits a number."""


def vector_blocks(vectors: Vectors) -> Iterator[FloatArray]:
    """Yield all rows in float32, one block of `row_blocks` after the other."""
    return (vectors[rows] for rows in row_blocks(len(vectors)))


def shortened(vectors: Vectors) -> ShortVectors:
    """Return vectors in sixteen bits a number, as they are where they are that short already."""
    return vectors if isinstance(vectors, ShortVectors) else ShortVectors.of(vectors)


def products(left: FloatArray, vectors: Vectors) -> FloatArray:
    """Return the inner products of a few rows with all vectors: float32 (q, n)."""
    if isinstance(vectors, ShortVectors):
        return np.ascontiguousarray((vectors @ left.T).T)
    found: FloatArray = left @ vectors.T
    return found


def write_vectors(folder: Path, name: str, vectors: Vectors) -> None:
    """Write vectors as `NAME.npy`, and the steps of short ones beside it."""
    if isinstance(vectors, ShortVectors):
        np.save(folder / f"{name}_scales.npy", vectors.scales)
        np.save(folder / f"{name}.npy", vectors.codes)
    else:
        np.save(folder / f"{name}.npy", vectors)


def read_vectors(folder: Path, name: str, *, mapped: bool = False) -> Vectors:
    """Read back what `write_vectors` wrote; `mapped` leaves it on the disk until it is read."""
    found = read_array(folder, name, mapped=mapped)
    if not (folder / f"{name}_scales.npy").is_file():
        return found
    return ShortVectors(found, read_array(folder, f"{name}_scales", mapped=mapped))
