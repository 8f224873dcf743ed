"""The frozen mix of answers, which live answers are held against."""

from __future__ import annotations

from typing import Any

import numpy as np

from promise.data.answer import Class, Labels
from promise.data.columns import Array, FloatArray
from promise.kernels.multilabel import decided
from promise.kernels.scores import decide
from promise.metrics.drift import SCORE

MOST_CLASSES = 20
"""Classes with a bin of their own, the most frequent; the others share one."""


def answer_reference(
    answer: Class | Labels, output: FloatArray, multipliers: Array | None
) -> dict[str, Any]:
    """Return the bins of what was answered to articles that were not learned from.

    Of a class the mix of the answered classes; of several labels how often each one is given.

    Parameters
    ----------
    output
        Probabilities, float64 (n, k).
    multipliers
        Of labels, shape (k,); see `Reviewing`.

    Examples
    --------
    >>> shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    >>> answer_reference(Class(("news", "sport")), shares, None)[SCORE]["counts"]
    {'news': 2, 'sport': 1}
    >>> answer_reference(Labels(("oil", "tax")), shares, None)[SCORE][1]["counts"]
    [2, 1]
    """
    n = len(output)
    if isinstance(answer, Class):
        counts = np.bincount(decide(output), minlength=answer.n_classes)
        listed = np.argsort(-counts, kind="stable")[:MOST_CLASSES].tolist()
        named = {answer.classes[i]: int(counts[i]) for i in listed}
        return {SCORE: {"kind": "category", "counts": named, "rows": n, "known": n}}
    given = decided(output, multipliers)
    cuts = np.full(output.shape[1], 0.5) / (1.0 if multipliers is None else multipliers)
    entries = [
        {
            "kind": "number",
            "edges": [float(np.nextafter(cut, -np.inf))],  # a value at an edge falls below it
            "counts": [n - int(with_it), int(with_it)],
            "rows": n,
            "known": n,
        }
        for cut, with_it in zip(cuts, given.sum(axis=0), strict=True)
    ]
    return {SCORE: entries}
