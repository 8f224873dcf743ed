"""What articles are called, one class each or several: the form in which groups learn from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from promise.data.columns import IntArray
from promise.errors import DataError


@dataclass(frozen=True, eq=False)
class TextLabels:
    """The classes of articles as a matrix of zeros and ones.

    Parameters
    ----------
    classes
        The most frequent first; ties by name.
    member
        Float64 (n, n_classes): 1 where the article belongs to the class.

    Examples
    --------
    >>> labels = TextLabels.of(["sport", "news", "sport"])
    >>> labels.classes, labels.member.toarray().tolist()
    (('sport', 'news'), [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    >>> TextLabels.of([("a", "b"), ("b",)]).classes
    ('b', 'a')
    """

    classes: tuple[str, ...]
    member: csr_matrix

    @classmethod
    def of(cls, labels: Sequence[Any] | TextLabels) -> TextLabels:
        """Read labels: one for each article, or a list, tuple or set of several.

        Raises
        ------
        DataError
            When a label is missing.
        """
        if isinstance(labels, TextLabels):
            return labels
        rows = [_several(label, row) for row, label in enumerate(labels)]
        flat = [name for row in rows for name in row]
        names, codes, counts = np.unique(
            np.array(flat, dtype=str), return_inverse=True, return_counts=True
        )
        order = np.lexsort((names, -counts))
        place = np.argsort(order)
        ends = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
        member = csr_matrix((np.ones(len(flat)), place[codes], ends), (len(rows), len(names)))
        return cls(tuple(names[order].tolist()), member)

    def __len__(self) -> int:
        return int(self.member.shape[0])

    def take(self, rows: IntArray) -> TextLabels:
        """Return the labels at these positions; the classes and their order stay."""
        return TextLabels(self.classes, self.member[rows])


def _several(label: Any, row: int) -> list[str]:
    if isinstance(label, list | tuple | set | frozenset):
        return sorted({name for one in label for name in _several(one, row)})
    if label is None or (isinstance(label, float) and math.isnan(label)):
        raise DataError(f"article {row} has no label; leave it out of what is learned from.")
    return [str(label)]
