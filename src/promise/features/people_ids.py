"""The ids of people, found in NumPy alone: no Python object for each of a million."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.columns import Array, IntArray
from promise.errors import DataError

NOBODY = -1
"""The row of an id that is not there."""
LONGEST_ID = 200
"""Most characters of an id."""


def id_text(value: Any) -> str:
    """Return an id as text: 7, 7.0 and "7" are the same person.

    Raises
    ------
    DataError
        For what cannot name anybody.

    Examples
    --------
    >>> id_text(7), id_text("ada")
    ('7', 'ada')
    """
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str) and 0 < len(value) <= LONGEST_ID and "\x00" not in value:
        return str(value)
    raise DataError(
        f"{value!r} is no id: expected a whole number or a text of 1 to {LONGEST_ID} characters."
    )


def ids_array(texts: Iterable[str]) -> Array:
    """Return ids as one block of memory: unicode of a fixed width (n,).

    Raises
    ------
    DataError
        Where an id stands twice, named with its rows.
    """
    found = np.array(list(texts), dtype=np.str_)
    if len(found) == 0:
        return np.empty(0, "<U1")
    order = np.argsort(found, kind="stable")
    twice = np.flatnonzero(found[order[1:]] == found[order[:-1]])
    if len(twice):
        first, second = order[twice[0]], order[twice[0] + 1]
        raise DataError(
            f"id {str(found[first])!r} stands in rows {first} and {second}: everybody has one row; "
            "keep the newest."
        )
    return found


@dataclass(frozen=True)
class Roll:
    """Finds rows by id.

    Parameters
    ----------
    ids
        Unicode (n,), each once.
    order
        Rows in the order of their ids: int64 (n,).

    Examples
    --------
    >>> Roll.of(np.array(["eve", "ada"])).rows(["ada", "bob", "eve"])
    array([ 1, -1,  0])
    """

    ids: Array
    order: IntArray

    @classmethod
    def of(cls, ids: Array) -> Roll:
        """Sort ids once."""
        ids = ids if ids.dtype.kind == "U" else np.array(ids.tolist(), dtype=np.str_)
        return cls(ids, np.argsort(ids, kind="stable"))

    def row(self, text: str) -> int:
        """Return the row of one id, or -1."""
        if not len(self.ids) or len(text) > self.ids.dtype.itemsize // 4:
            return NOBODY
        low, high, ids, order = 0, len(self.ids), self.ids, self.order
        while low < high:  # by hand: `searchsorted` looks at every row of a mapped file first
            middle = (low + high) // 2
            if ids[order[middle]] < text:
                low = middle + 1
            else:
                high = middle
        found = int(order[low]) if low < len(ids) else NOBODY
        return found if found >= 0 and ids[found] == text else NOBODY

    def rows(self, texts: Sequence[str] | Array) -> IntArray:
        """Return the row of each id, -1 for those that are not there: int64 (m,)."""
        asked = np.asarray(texts)
        asked = asked if asked.dtype.kind == "U" else np.array(asked.tolist(), dtype=np.str_)
        if not len(self.ids) or not len(asked):
            return np.full(len(asked), NOBODY)
        distinct, back = np.unique(asked, return_inverse=True)
        kept = distinct.astype(self.ids.dtype)
        places = np.searchsorted(self.ids, kept, sorter=self.order)
        rows = self.order[np.minimum(places, len(self.ids) - 1)]
        found: IntArray = np.where(self.ids[rows] == distinct, rows, NOBODY)[back]
        return found.astype(np.int64)
