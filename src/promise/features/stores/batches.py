"""Many entities in parts, each small enough for one statement or one round trip."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

BATCH = 500
"""How many entities are moved at once by an import or an export."""


def batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """Yield the items in lists of at most `size`.

    Examples
    --------
    >>> list(batches("abc", 2))
    [['a', 'b'], ['c']]
    """
    source = iter(items)
    while part := list(itertools.islice(source, size)):
        yield part
