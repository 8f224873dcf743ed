"""The topic columns of one text, without a sparse matrix.

The slow twin is `kernels/encoding_text.encode_text` on a column of one text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.encoding_text import text_tokens


def topic_writer(part: dict[str, Any], out: npt.NDArray[np.float32]) -> Callable[[Any], None]:
    """Return what writes a text's topics into `out`, float32 of shape (d,).

    Sums are taken in the kernel's order, term by term as the vocabulary lists them.
    """
    find, idf = part["vocabulary"].get, part["idf"].tolist()
    directions = np.asarray(part["directions"], dtype=np.float64)  # (vocabulary, d)

    def write(value: str | None) -> None:
        counts = Counter(at for t in text_tokens(value) if (at := find(t)) is not None)
        if not counts:
            out[:] = 0
            return
        terms = sorted(counts)
        weights = [sqrt(counts[at]) * idf[at] for at in terms]
        square = 0.0
        for weight in weights:  # not `sum`, which compensates from Python 3.12 on
            square += weight * weight
        norm = sqrt(square)
        shares = np.array([weight / norm for weight in weights])
        # accumulate, since a reduction may sum in pairs
        out[:] = np.add.accumulate(shares[:, None] * directions[terms])[-1]

    return write
