"""What a column seems to be, beyond its type."""

from __future__ import annotations

import numpy as np

from promise.data.columns import Array
from promise.profiling.association import is_missing
from promise.profiling.column import ColumnProfile
from promise.profiling.names import names_identifier, names_time, names_weight

_UNIQUE = 0.97


def guess(column: ColumnProfile, sample: Array) -> tuple[str, ...]:
    """Name what a column seems to be; empty for an ordinary one.

    Parameters
    ----------
    column
        Its profile.
    sample
        Typed values of a uniform sample of its rows.
    """
    if column.present == 0:
        return ("all missing",)
    if column.distinct <= 1:
        return ("constant",)
    known = sample[~is_missing(sample)]
    found = []
    if is_row_number(column):
        found += ["row number", "identifier"]
    elif is_identifier(column, known):
        found.append("identifier")
    if column.type == "date" or _is_coded_date(column, known):
        found.append("date")
    if column.type == "text" and "identifier" not in found:
        found.append("free text")
    if column.type == "category" and column.distinct > 1000 and "identifier" not in found:
        found.append("high cardinality")
    if column.missing > 0.5 * column.n_rows:
        found.append("sparse")
    if column.type == "number" and names_weight(column.name):
        found.append("survey weight")
    return tuple(found)


def is_row_number(column: ColumnProfile) -> bool:
    """Say whether a column counts the rows: whole numbers, each once, without a gap."""
    if column.type != "number" or column.missing or column.n_rows < 20:
        return False
    low, high = column.min, column.max
    if not isinstance(low, float) or not isinstance(high, float):
        return False
    whole = low.is_integer() and high.is_integer()
    return whole and high - low + 1 == column.n_rows and _unique(column)


def is_identifier(column: ColumnProfile, known: Array) -> bool:
    """Say whether a column names its rows: nearly unique, and named or shaped like a key."""
    if not _unique(column) or column.n_rows < 20 or column.present < 0.5 * column.n_rows:
        return False
    if column.type == "number":
        whole = bool((known == np.round(known)).all())
        return whole and names_identifier(column.name)
    if column.type not in ("category", "text"):
        return False
    return names_identifier(column.name) or _shaped_like_keys(known)


def _unique(column: ColumnProfile) -> bool:
    return column.distinct >= (0.999 if column.exact else _UNIQUE) * column.present


def _shaped_like_keys(known: Array) -> bool:
    """Say whether texts look like codes: one word each, with a digit, of nearly one length."""
    texts = [text for text in known[:2000].tolist() if text]
    if len(texts) < 20 or len(set(texts)) < len(texts):
        return False
    lengths = np.array([len(text) for text in texts])
    codes = np.mean([" " not in t and any(c.isdigit() for c in t) for t in texts])
    # ordinary numbers read as text ("12.5") are not keys
    plain = np.mean([t.replace(".", "", 1).replace("-", "", 1).isdigit() for t in texts])
    return bool(codes > 0.99 and plain < 0.5 and np.ptp(lengths) <= 4 and lengths.min() >= 4)


def _is_coded_date(column: ColumnProfile, known: Array) -> bool:
    """Say whether numbers are dates written as 20260131, or as seconds since 1970."""
    if column.type != "number" or len(known) == 0 or not bool((known == np.round(known)).all()):
        return False
    year, month, day = known // 10000, known // 100 % 100, known % 100
    written = (year >= 1900) & (year <= 2100) & (month >= 1) & (month <= 12)
    if bool((written & (day >= 1) & (day <= 31)).all()):
        return True
    seconds = bool(((known > 6e8) & (known < 4.2e9)).all())
    return seconds and names_time(column.name)
