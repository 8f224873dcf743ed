"""What people do to one another, and what each deed counts for."""

from __future__ import annotations

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.errors import DataError, near

KINDS = ("impression", "like", "super_like", "message", "pass", "dislike", "block")
"""Every kind of event between two people; codes are places in this order."""
IMPRESSION, LIKE, SUPER_LIKE, MESSAGE, PASS, DISLIKE, BLOCK = range(len(KINDS))
POSITIVE = (LIKE, SUPER_LIKE, MESSAGE)
NEGATIVE = (PASS, DISLIKE)
DECISIONS = (*POSITIVE, *NEGATIVE)
"""What a chooser says of somebody; whoever was decided on is not offered again."""

_WEIGHTS = np.array([0.0, 1.0, 2.0, 2.0, 0.0, 0.0, 0.0], dtype=np.float32)


def kind_codes(texts: Array, name: str) -> IntArray:
    """Return the code of each kind: int8 (n,).

    Parameters
    ----------
    name
        What messages call the data.

    Raises
    ------
    DataError
        For a kind that is not known; names the row and a near match.

    Examples
    --------
    >>> kind_codes(np.array(["like", "Super-Like", "pass"], dtype=object), "events")
    array([1, 2, 4], dtype=int8)
    """
    distinct, place = np.unique(texts.astype(str), return_inverse=True)
    codes = np.array([_code(text) for text in distinct.tolist()], dtype=np.int8)
    if len(codes) and codes.min() < 0:
        row = int(np.flatnonzero(codes[place] < 0)[0])
        text = str(texts[row])
        raise DataError(f"{name}, row {row}: there is no event of type {text!r}; " +
                        near(text, KINDS))  # fmt: skip
    return codes[place] if len(codes) else np.empty(0, dtype=np.int8)


def weights_of(kinds: IntArray) -> FloatArray:
    """Return how much each event speaks for a taste: 0 for what is no yes; float32 (n,)."""
    return _WEIGHTS[kinds]


def is_positive(kinds: IntArray) -> Array:
    """Say which events are a yes."""
    return np.isin(kinds, POSITIVE)


def is_decision(kinds: IntArray) -> Array:
    """Say which events are a yes or a no."""
    return np.isin(kinds, DECISIONS)


def _code(text: str) -> int:
    plain = text.strip().lower().replace("-", "_").replace(" ", "_")
    return KINDS.index(plain) if plain in KINDS else -1
