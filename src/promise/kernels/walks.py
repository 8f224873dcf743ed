"""Walks over who chose whom: from a history to its choosers, and on to whom else they chose."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.compiled import compiled

Array = npt.NDArray[Any]


@compiled
def walk(
    history: Array,
    sizes: Array,
    back_starts: Array,
    back_others: Array,
    starts: Array,
    others: Array,
    chooser_worth: Array,
    most: int,
    reached: Array,
    scores: Array,
    met: Array,
    found: Array,
) -> int:
    """Write how much leads from a history to everyone; return how many are reached.

    The score of j is the sum over choosers u of `chooser_worth[u]`, for each j that u chose, times
    the sum of the sizes of those in the history whom u chose.

    Parameters
    ----------
    history, sizes
        Codes of the chosen, int, and how much each counts, float32.
    back_starts, back_others
        Rows of the chosen: who chose them.
    starts, others
        Rows of choosers: whom they chose.
    chooser_worth
        How much a walk through each chooser counts, float32 (n,).
    most
        Of somebody chosen by more than so many, some choosers stand for all.
    reached, scores
        Float32 (n,) and (m,), zeros at first; the caller clears what `met` and `found` name.
    met, found
        Room for the codes of choosers and chosen that are reached, int32 (n,) and (m,). How many
        choosers there are stands in the last place of `met`, which has one more, (n + 1,).

    Returns
    -------
    How many of `found` are filled.
    """
    n_met, n_found = 0, 0
    for h in range(len(history)):
        first, last = back_starts[history[h]], back_starts[history[h] + 1]
        stride = max(1, -(-(last - first) // most))
        size = sizes[h] * np.float32(stride)
        for entry in range(first, last, stride):
            chooser = back_others[entry]
            if reached[chooser] == 0:
                met[n_met] = chooser
                n_met += 1
            reached[chooser] += size
    for i in range(n_met):
        chooser = met[i]
        size = reached[chooser] * chooser_worth[chooser]
        for entry in range(starts[chooser], starts[chooser + 1]):
            other = others[entry]
            if scores[other] == 0:
                found[n_found] = other
                n_found += 1
            scores[other] += size
    met[len(met) - 1] = n_met
    return n_found


@compiled
def walk_many(
    rows: Array,
    back_starts: Array,
    back_others: Array,
    starts: Array,
    others: Array,
    entry_worth: Array,
    chooser_worth: Array,
    most: int,
    out: Array,
) -> None:
    """Write the scores of everyone for these choosers' own histories, float32 (len(rows), m).

    Parameters
    ----------
    entry_worth
        How much each entry of the choosers' rows counts in a history, float32 (nnz,).
    """
    n, m = len(starts) - 1, len(back_starts) - 1
    reached = np.zeros(n, np.float32)
    met, found = np.empty(n + 1, np.int32), np.empty(m, np.int32)
    for i in range(len(rows)):
        first, last = starts[rows[i]], starts[rows[i] + 1]
        out[i, :] = np.float32(0)
        walk(
            others[first:last], entry_worth[first:last], back_starts, back_others,
            starts, others, chooser_worth, most, reached, out[i], met, found,
        )  # fmt: skip
        for j in range(met[n]):
            reached[met[j]] = np.float32(0)
