"""Many rows, so many at a time that copies of them in float32 stay in little memory."""

from __future__ import annotations

from collections.abc import Iterator

ROWS_AT_ONCE = 1 << 16


def row_blocks(n: int) -> Iterator[slice]:
    """Yield where each block of `n` rows lies, one after the other.

    At least one block comes, which may have no rows.

    Examples
    --------
    >>> list(row_blocks(70_000))
    [slice(0, 65536, None), slice(65536, 70000, None)]
    >>> list(row_blocks(0))
    [slice(0, 0, None)]
    """
    for first in range(0, max(1, n), ROWS_AT_ONCE):
        yield slice(first, min(first + ROWS_AT_ONCE, n))
