"""LSTM on more rows than memory holds: an honest substitute on whole entities."""

from __future__ import annotations

from typing import Any

from promise.kernels.chunked import Chunks, hash_sample
from promise.kernels.lstm import fit_lstm


def fit_lstm_chunked(
    chunks: Chunks,
    n_classes: int,
    params: dict[str, Any],
    *,
    seed: int = 7,
    threads: int = 1,
    sample_rows: int = 200_000,
    deadline_s: float | None = None,
) -> dict[str, Any]:
    """Train on the entities with the smallest hashes, about `sample_rows` rows, histories whole.

    Chunks are of four items here: x, y, row numbers, and `order` (entity code, rank).
    """
    x, y, _, order = hash_sample(chunks, sample_rows, seed, by_entity=True)
    return fit_lstm(
        x, y, n_classes, params, order=order, seed=seed, threads=threads, deadline_s=deadline_s
    )
