"""Data as a version's lineage tells it: its own opened again, and others read alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promise.data.rows import OnBadRows
from promise.data.source import Source, open_source
from promise.errors import DataError
from promise.kernels.reading_input import is_utf8

Lineage = Mapping[str, Any]


def open_again(lineage: Lineage) -> Source:
    """Open the data that a version was trained from, read as they were then.

    Raises
    ------
    DataError
        When the lineage does not tell them, or they are gone.
    """
    order = lineage.get("order") or {}
    data = order.get("data") or lineage.get("source")
    if data is None:
        raise DataError("the version does not tell its source")
    reader = lineage.get("reader") or {}
    how = order.get("reading") or {}
    return open_source(data, on_bad_rows=reader.get("on_bad_rows", "fail"), **how)


def open_beside(data: Any, *lineages: Lineage, on_bad_rows: OnBadRows = "fail") -> Source:
    """Open other data for versions; text that is not UTF-8 is in the encoding that they tell."""
    told = [(lineage.get("reader") or {}).get("encoding") or "utf-8" for lineage in lineages]
    likely = next((encoding for encoding in told if not is_utf8(encoding)), None)
    return open_source(data, on_bad_rows=on_bad_rows, likely_encoding=likely)
