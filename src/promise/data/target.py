"""What is to be predicted: which rows have a label, and which kind of answer it asks for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from promise.data.answer import Answer, Class, Number
from promise.data.columns import Array
from promise.data.schema import Field
from promise.errors import DataError
from promise.kernels.parsing import number_text

CLASS_VALUES = 20
"""A number with at most so many distinct whole values, and few per row, is a class."""


def labelled(values: Array) -> npt.NDArray[np.bool_]:
    """Return where a label is known.

    Examples
    --------
    >>> labelled(np.array([1.0, np.nan])), labelled(np.array(["a", None], dtype=object))
    (array([ True, False]), array([ True, False]))
    """
    if values.dtype.kind == "f":
        return np.isfinite(values)
    if values.dtype.kind == "M":
        return ~np.isnat(values)
    if values.dtype.kind == "O":
        return np.array([value is not None for value in values], dtype=bool)
    return np.ones(len(values), dtype=bool)


def infinite(column: Any) -> npt.NDArray[np.bool_]:
    """Return which cells of an Arrow column, as it came, spell an infinite number.

    Examples
    --------
    >>> infinite(pa.chunked_array([["1.5", "-Inf", None]])).tolist()
    [False, True, False]
    """
    if pa.types.is_floating(column.type):
        mask = pc.is_inf(column)
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        mask = pc.match_substring_regex(column, r"^\s*[+-]?inf(inity)?\s*$", ignore_case=True)
    else:
        return np.zeros(len(column), dtype=np.bool_)
    found: npt.NDArray[np.bool_] = pc.fill_null(mask, False).to_numpy()
    return found


def check_target(values: Array, field: Field) -> int:
    """Return how many rows lack a label, once the label can be learned at all.

    Rows without a label (missing, NaN or infinite) are to be left out, and counted.

    Raises
    ------
    DataError
        When all labels are missing, all are alike, or there is only one row with a label.
    """
    if field.type == "date":
        raise DataError(f"the target {field.name!r} holds dates; expected numbers or classes.")
    known = labelled(values)
    missing = int((~known).sum())
    if missing == len(values):
        raise DataError(
            f"the target {field.name!r} is missing in all {len(values):,} rows, where infinite "
            "counts as missing; is it the right column?"
        )
    if len(values) - missing == 1:
        raise DataError(
            f"only one row has the target {field.name!r}; a model needs at least a few dozen rows."
        )
    kept = values[known]
    if (kept == kept[0]).all():
        shown = number_text(float(kept[0])) if kept.dtype.kind in "fiu" else repr(kept[0])
        raise DataError(
            f"the target {field.name!r} is {shown} in all {len(kept):,} rows with a label; "
            "there is nothing to learn unless it varies."
        )
    return missing


def label_answer(values: Array, field: Field) -> Answer:
    """Say which kind of answer a label asks for: a Class or a Number.

    Categories, texts and booleans are classes. A number is a class when it has two values, at
    most `CLASS_VALUES` whole ones with at least 20 rows each on average, or codes that are
    gapless and about equally frequent.

    Examples
    --------
    >>> label_answer(np.array([0.0, 1.0, 1.0, np.nan]), Field("churn", "number"))
    Class(classes=('0', '1'), unknown=None)
    >>> label_answer(np.array([1.5, 2.25, 9.0]), Field("price", "number"))
    Number(unit=None)
    """
    kept = values[labelled(values)]
    if field.type == "boolean":
        return Class(("false", "true"))
    if kept.dtype.kind not in "fiu":
        return Class(tuple(sorted(set(kept.tolist()))))
    distinct = np.unique(kept)
    whole = bool((distinct == np.round(distinct)).all())
    if len(distinct) <= 2 and (whole or len(kept) >= 20):
        return _classes(distinct)
    if whole and len(distinct) <= CLASS_VALUES and len(kept) >= 20 * len(distinct):
        return _classes(distinct)
    if whole and _codes_alike(kept, distinct):
        return _classes(distinct)
    return Number(field.unit)


def _codes_alike(kept: Array, distinct: Array) -> bool:
    """Recognise codes of up to 100 classes: gapless from 0 or 1, and about equally frequent."""
    gapless = distinct[0] in (0, 1) and distinct[-1] - distinct[0] == len(distinct) - 1
    if not gapless or len(distinct) > 100 or len(kept) < 20 * len(distinct):
        return False
    counts = np.bincount((kept - distinct[0]).astype(np.int64))
    return bool(counts.max() <= 1.5 * counts.min())


def _classes(distinct: Array) -> Class:
    return Class(tuple(number_text(float(value)) for value in distinct))
