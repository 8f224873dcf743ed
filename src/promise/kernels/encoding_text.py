"""Text for a matrix: word and word-pair weights, folded into a few columns.

Term frequency × inverse document frequency over a limited vocabulary, reduced by a truncated
singular value decomposition: latent semantic analysis (Deerwester et al., 1990).
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_TOKENS = 4_000
MAX_WORDS = 300


def text_tokens(value: Any) -> list[str]:
    """Return the lower-case words and neighbouring word pairs of a text; none when missing.

    Examples
    --------
    >>> text_tokens("Mr. John Smith")
    ['mr', 'john', 'smith', 'mr john', 'john smith']
    """
    if not isinstance(value, str):
        return []
    words = re.findall(r"\w+", value[:20_000].lower())[:MAX_WORDS]
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def text_weights(
    values: list[Any], vocabulary: dict[str, int], idf: npt.NDArray[np.float64]
) -> Any:
    """Return unit-length TF-IDF rows as a SciPy CSR matrix, (n, vocabulary)."""
    from scipy.sparse import csr_matrix

    find = vocabulary.get
    found = [[at for t in text_tokens(v) if (at := find(t)) is not None] for v in values]
    lengths = np.array([len(row) for row in found], dtype=np.int64)
    rows = np.repeat(np.arange(len(values)), lengths)
    columns = np.array([at for row in found for at in row], dtype=np.int64)
    cells, counts = np.unique(rows * len(vocabulary) + columns, return_counts=True)
    rows, columns = cells // len(vocabulary), cells % len(vocabulary)
    weights = np.sqrt(counts) * idf[columns]
    # bincount adds in order, so that a row's norm does not depend on its neighbours
    norms = np.sqrt(np.bincount(rows, weights**2, minlength=len(values)))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(values)))])
    shape = (len(values), len(vocabulary))
    return csr_matrix((weights / norms[rows], columns, starts), shape)


def fit_text(
    columns: dict[str, npt.NDArray[Any]], name: str, size: int, seed: int
) -> dict[str, Any] | None:
    """Learn a vocabulary and at most `size` directions from texts; None where words say nothing."""
    values = columns[name].tolist()
    found: Counter[str] = Counter()
    for value in values:
        found.update(set(text_tokens(value)))
    enough = max(3, len(values) // 2000)
    kept = [t for t in found if enough <= found[t] < len(values)]
    kept = sorted(kept, key=lambda t: (-found[t], t))[:MAX_TOKENS]
    size = min(size, len(kept) - 1, len(values) - 1)
    if size < 1:
        return None
    vocabulary = {token: at for at, token in enumerate(kept)}
    idf = 1 + np.log(len(values) / np.array([found[token] for token in kept], dtype=np.float64))
    weights = text_weights(values, vocabulary, idf)
    directions = principal_directions(weights, size, seed)
    return {
        "kind": "text", "column": name, "vocabulary": vocabulary, "idf": idf,
        "directions": directions, "names": [f"{name} topic {j + 1}" for j in range(size)],
        "sources": [[name]] * size,
    }  # fmt: skip


def principal_directions(weights: Any, size: int, seed: int) -> npt.NDArray[np.float64]:
    """Return the leading right singular vectors, (vocabulary, size), by a randomised range finder.

    Halko, Martinsson and Tropp (2011), algorithm 4.4 with three power iterations. Signs are fixed
    and digits rounded, so that the number of threads does not show.
    """
    rng = np.random.default_rng(seed)
    start = rng.standard_normal((weights.shape[1], min(size + 10, *weights.shape)))
    basis, _ = np.linalg.qr(weights @ start)
    for _ in range(3):
        back, _ = np.linalg.qr(weights.T @ basis)
        basis, _ = np.linalg.qr(weights @ back)
    _, _, right = np.linalg.svd((weights.T @ basis).T, full_matrices=False)
    top = right[:size].T
    signs = np.sign(top[np.abs(top).argmax(axis=0), np.arange(top.shape[1])])
    return np.ascontiguousarray(np.round(top * signs, 6))


def encode_text(
    columns: dict[str, npt.NDArray[Any]], part: dict[str, Any], out: npt.NDArray[np.float32]
) -> None:
    """Write a text part into its columns of the matrix."""
    weights = text_weights(columns[part["column"]].tolist(), part["vocabulary"], part["idf"])
    # sparse times dense adds a row's terms in order, whatever the other rows are
    out[:] = weights @ part["directions"]
