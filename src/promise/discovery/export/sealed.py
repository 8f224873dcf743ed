"""What an export needs beside the kernels: digests of rows, their order in time, their side.

Like a kernel it stands alone, because exports carry it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.parsing import number_text
from promise.kernels.rows import mix, text_hash


def row_digests(columns: dict[str, npt.NDArray[Any]], names: list[str]) -> npt.NDArray[np.uint64]:
    """Return one 64-bit digest per row of these columns' typed cells.

    Examples
    --------
    >>> a = row_digests({"x": np.array([1.0, -0.0, np.nan])}, ["x"])
    >>> b = row_digests({"x": np.array([1.0, 0.0, np.nan])}, ["x"])
    >>> bool((a == b).all()), len(set(a.tolist()))
    (True, 3)
    """
    digest = np.zeros(len(columns[names[0]]), dtype=np.uint64)
    for name in names:
        values = columns[name]
        if values.dtype == object:
            words = text_hash(values, 0)
        elif values.dtype.kind == "M":
            words = values.astype("M8[us]").view(np.uint64)
        else:
            # one zero and one NaN, whatever their bits
            numbers = np.asarray(values, dtype=np.float64) + 0.0
            words = np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64)
        digest = mix(mix(words) + digest * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1))
    return digest


def split_side(values: npt.NDArray[Any], split: dict[str, Any]) -> npt.NDArray[np.int8]:
    """Return 0 for rows to learn from, 1 for sealed rows, -1 for rows on neither side.

    `values` is the typed time or group column of a temporal or grouped split; each row is judged
    by itself. The gap before the cutoff, and rows without a time, are on neither side.

    Examples
    --------
    >>> split = {"kind": "temporal", "cutoff": "5", "gap_s": 1.0}
    >>> split_side(np.array([3.0, 4.0, 5.0, np.nan]), split)
    array([ 0, -1,  1, -1], dtype=int8)
    """
    dates = values.dtype.kind == "M"
    numbers = values
    if dates:
        micros = values.astype("M8[us]").astype(np.int64).astype(np.float64)
        numbers = np.where(np.isnat(values), np.nan, micros)
    if split["kind"] == "grouped":
        return group_side(numbers, split["seed"], split["fraction"])
    cutoff, gap = split["cutoff"], split["gap_s"]
    if dates:
        cutoff, gap = np.datetime64(cutoff, "us").astype(np.int64), gap * 1e6
    late, held = numbers >= float(cutoff), numbers >= float(cutoff) - gap
    return np.where(late, 1, np.where(held | np.isnan(numbers), -1, 0)).astype(np.int8)


def group_side(groups: npt.NDArray[Any], seed: int, fraction: float) -> npt.NDArray[np.int8]:
    """Return 1 for rows whose group is sealed by the hash of its text, else 0."""
    texts = groups
    if groups.dtype.kind != "O":
        distinct, codes = np.unique(groups.astype(np.float64), return_inverse=True)
        known = [None if np.isnan(v) else number_text(float(v)) for v in distinct]
        texts = np.array([*known, None], dtype=object)[codes]
    share = (text_hash(texts, seed) >> np.uint64(11)).astype(np.float64) / 2.0**53
    return (share < fraction).astype(np.int8)


def row_order(
    columns: dict[str, npt.NDArray[Any]], time: str, entity: str | None
) -> npt.NDArray[np.int64]:
    """Return each row's entity code and rank in time, (n, 2), alike in every chunk of a file.

    A missing time comes last, and equal times keep their order in the file.

    Examples
    --------
    >>> times = np.array(["2026-01-02", "NaT", "2026-01-01"], dtype="M8[D]")
    >>> np.argsort(row_order({"t": times}, "t", None)[:, 1]).tolist()
    [2, 0, 1]
    >>> row_order({"t": np.array([-1.5, 0.5, -2.5])}, "t", None)[:, 1].argsort().tolist()
    [2, 0, 1]
    """
    times = columns[time]
    if times.dtype.kind == "M":
        missing, rank = np.isnat(times), times.astype("M8[us]").astype(np.int64)
    else:
        numbers = np.asarray(times, dtype=np.float64) + 0.0
        missing, bits = np.isnan(numbers), numbers.view(np.int64)
        # the bits of negative numbers grow the wrong way
        rank = np.where(bits < 0, np.int64(-(2**63)) - bits, bits)
    rank = np.where(missing, np.int64(2**63 - 1), rank)
    codes = np.zeros(len(rank), dtype=np.int64)
    if entity is not None:
        codes = row_digests(columns, [entity]).view(np.int64)
    return np.column_stack([codes, rank])
