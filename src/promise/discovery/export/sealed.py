"""What an export needs beside the kernels: digests of rows, and their order in time.

Like a kernel it stands alone, because exports carry it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

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
