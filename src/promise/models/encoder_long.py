"""Texts of any length for encoders that see a window: chunks overlap, each token counts once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from promise.data.columns import FloatArray


@dataclass(frozen=True)
class Chunk:
    """A window of one text.

    Parameters
    ----------
    text
        Which text it is of.
    numbers
        Its pieces, with the marks of begin and end.
    weights
        Of each piece, float32; None where each counts 1.
    """

    text: int
    numbers: tuple[int, ...]
    weights: FloatArray | None


def starts_of(n: int, window: int, overlap: int) -> list[int]:
    """Return where the windows over n tokens begin; the last one ends with the text.

    Examples
    --------
    >>> starts_of(10, 4, 1), starts_of(3, 4, 1)
    ([0, 3, 6], [0])
    >>> starts_of(9, 4, 1)
    [0, 3, 5]
    """
    if n <= window:
        return [0]
    return [*range(0, n - window, window - overlap), n - window]


def chunks_of(
    text: int, numbers: Sequence[int], window: int, overlap: int, marks: tuple[int, int]
) -> Iterator[Chunk]:
    """Yield the windows of one text; a token that lies in k windows counts 1 / k in each."""
    first, last = marks
    starts = starts_of(len(numbers), window, overlap)
    if len(starts) == 1:
        yield Chunk(text, (first, *numbers, last), None)
        return
    seen = np.zeros(len(numbers), np.float32)
    for start in starts:
        seen[start : start + window] += 1
    for start in starts:
        part = numbers[start : start + window]
        ends = np.ones(1, np.float32)
        weights = np.concatenate([ends, 1 / seen[start : start + window], ends])
        yield Chunk(text, (first, *part, last), weights)


def batch_at(chunks: Sequence[Chunk], first: int, most_tokens: int) -> list[Chunk]:
    """Return chunks from a place on, together at most so many tokens, at least one chunk."""
    end, tokens = first, 0
    while end < len(chunks):
        tokens += len(chunks[end].numbers)
        if end > first and tokens > most_tokens:
            break
        end += 1
    return list(chunks[first:end])
