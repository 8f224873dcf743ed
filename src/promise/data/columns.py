"""The currency inside a pipeline: named NumPy arrays of one length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from promise.errors import DataError, near

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Columns:
    """Named arrays, all with the same first dimension; one request is Columns of length one.

    Parameters
    ----------
    arrays
        Name to array. Numbers are float64 (missing: NaN), dates datetime64[us] (NaT),
        categories and text objects of str or None; a matrix has shape (n, d).
    offsets
        For candidates of several requests: request `i` owns rows `offsets[i]:offsets[i + 1]`.

    Examples
    --------
    >>> columns = Columns({"age": np.array([30.0, 41.0])})
    >>> columns.n_rows
    2
    >>> columns.take(np.array([1]))["age"]
    array([41.])
    """

    arrays: Mapping[str, Array]
    offsets: IntArray | None = None

    def __post_init__(self) -> None:
        lengths = {name: len(array) for name, array in self.arrays.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"columns differ in length: {lengths}.")

    def __getitem__(self, name: str) -> Array:
        try:
            return self.arrays[name]
        except KeyError:
            raise DataError(f"there is no column {name!r}; {near(name, self.arrays)}") from None

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    @property
    def n_rows(self) -> int:
        """How many rows each array has."""
        return next((len(array) for array in self.arrays.values()), 0)

    def take(self, rows: Array) -> Columns:
        """Return the rows at these positions, or where this mask is true."""
        return Columns({name: array[rows] for name, array in self.arrays.items()})

    def only(self, names: Iterable[str]) -> Columns:
        """Return these columns, without copying."""
        return Columns({name: self[name] for name in names}, self.offsets)

    def with_columns(self, arrays: Mapping[str, Array]) -> Columns:
        """Return these columns and the given ones, without copying."""
        return Columns({**self.arrays, **arrays}, self.offsets)

    @classmethod
    def concat(cls, parts: Iterable[Columns]) -> Columns:
        """Return the rows of all parts, in order."""
        parts = list(parts)
        if not parts:
            return cls({})
        return cls({name: np.concatenate([p[name] for p in parts]) for name in parts[0]})
