"""Pairs of rows to learn from and to validate on, alike in kind to the holdout's rule."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from promise.data.columns import Array, IntArray
from promise.data.sample import strata_codes, time_numbers
from promise.data.split import Split, given, group_hash
from promise.errors import ConfigError, DataError
from promise.kernels.rows import row_hash

FoldIndices = list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]

_OF_ONE = 5  # a single validation split holds one row in so many


def folds(
    split: Split,
    k: int,
    rows: IntArray,
    *,
    y: Array,
    time: Array | None = None,
    group: Array | None = None,
) -> FoldIndices:
    """Return `k` pairs of positions (train, valid), alike in kind to the holdout's rule.

    Random and stratified: each row is validated once, and every class with two rows or more is in
    each train part. Grouped: whole groups, of about equal numbers of rows. Temporal: `k`
    expanding windows, each validated on the next piece of time, behind the gap. There are fewer
    folds where there are fewer groups (or rows, or times) than `k`. With `k` of 1 there is a
    single pair: the first of five.
    """
    if k < 1:
        raise ConfigError(f"k is {k}; expected 1 fold or more.")
    if k == 1 and split.kind != "temporal":
        return folds(split, _OF_ONE, rows, y=y, time=time, group=group)[:1]
    if split.kind == "temporal":
        return _windows(split, k, given(time, "time", split))
    numbers = np.asarray(rows, dtype=np.int64)
    if split.kind == "grouped":
        codes = _deal_groups(given(group, "group", split), k, split)
    else:
        k = min(k, len(numbers))
        hashes = row_hash(numbers, split.seed + 1)
        strata = strata_codes(y) if split.kind == "stratified" else np.zeros(len(y), np.int64)
        # rows of a class follow one another, so its first k rows go to k different folds
        codes = np.empty(len(numbers), dtype=np.int64)
        codes[np.lexsort((hashes, strata))] = np.arange(len(numbers)) % k
    n_folds = int(codes.max()) + 1
    return [
        (np.flatnonzero(codes != fold), np.flatnonzero(codes == fold)) for fold in range(n_folds)
    ]


def _deal_groups(group: Array, k: int, split: Split) -> npt.NDArray[np.int64]:
    """Give each group to the fold with the fewest rows so far, largest groups first."""
    hashes = group_hash(group, split.seed + 1)
    distinct, codes, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    if len(distinct) < 2:
        raise DataError(
            f"the rows to learn from have one value of {split.column!r}, so that none is left to "
            "validate on; name another column with --group, or none."
        )
    loads = np.zeros(min(k, len(distinct)), dtype=np.int64)
    fold_of = np.empty(len(distinct), dtype=np.int64)
    for at in np.lexsort((distinct, -counts)):
        fold_of[at] = int(np.argmin(loads))
        loads[fold_of[at]] += counts[at]
    return fold_of[codes.reshape(-1)]


def _windows(split: Split, k: int, time: Array) -> FoldIndices:
    """Cut the history into k + 1 pieces; train on all before a piece, validate on it."""
    numbers = time_numbers(time)
    gap = split.gap_s * (1e6 if time.dtype.kind == "M" else 1.0)
    known = numbers[~np.isnan(numbers)]
    shares = [0.8] if k == 1 else [(i + 1) / (k + 1) for i in range(k)]
    edges = np.unique(np.quantile(known, shares, method="higher"))
    pairs: FoldIndices = []
    for i, start in enumerate(edges):
        stop = edges[i + 1] if i + 1 < len(edges) else np.inf
        train = np.flatnonzero(numbers < start - gap)
        valid = np.flatnonzero((numbers >= start) & (numbers < stop))
        if len(train) and len(valid):
            pairs.append((train, valid))
    if not pairs:
        raise DataError(
            f"the times of {split.column!r} do not split into a past and a later part; "
            "name another column with --time, or shorten the gap."
        )
    return pairs
