"""Lazy data under one interface: files, databases, object stores and data frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from promise.data.rows import BadRows, OnBadRows, Size
from promise.errors import ConfigError


class Source(Protocol):
    """Data that is read in batches, again and again, and never as a whole."""

    name: str
    """What messages call it."""
    bad_rows: BadRows
    """What `on_bad_rows="skip"` left out so far."""
    decimal: str | None
    """The decimal mark that the user gave, or None."""

    @property
    def reader(self) -> dict[str, Any] | None:
        """How `promise.kernels.reading` reads it, when it is local files; else None."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in order."""
        ...

    def cautions(self) -> tuple[str, ...]:
        """Return sentences on how the data are read that the user should see, or none."""
        ...

    def size(self) -> Size:
        """Return rows and bytes, estimated where counting would mean reading a large file."""
        ...

    def batches(
        self, columns: Sequence[str] | None = None, chunk_rows: int = 65536
    ) -> Iterator[tuple[int, pa.Table]]:
        """Yield (number of the first row, rows), from the start each time it is called."""
        ...

    def sample(self, rows: int) -> pa.Table:
        """Return about this many rows, spread over the source where that is cheap."""
        ...

    def fingerprint(self) -> str:
        """Return a cheap digest that changes when the data do."""
        ...


def open_source(
    data: Any,
    *,
    on_bad_rows: OnBadRows = "fail",
    delimiter: str | None = None,
    encoding: str | None = None,
    likely_encoding: str | None = None,
    decimal: str | None = None,
    compression: str | None = None,
    header: bool | None = None,
    table: str | None = None,
    query: str | None = None,
) -> Source:
    """Open data without loading it; what is not given is detected.

    Parameters
    ----------
    data
        A file, folder or glob (CSV, Parquet, JSON Lines), whose files are read in the order of
        their paths, sorted as plain text (`part-10` before `part-2`); a SQLAlchemy URL with
        `::table` or `::SELECT …` behind it; `s3://bucket/key`; or a pandas, Polars or Arrow table.
    on_bad_rows
        `"fail"` at the first row that cannot be read, or `"skip"` and count such rows.
    likely_encoding
        What text that is not UTF-8 is read as, where detection could only guess.
    decimal
        Decimal mark of numbers; kept with the source for `infer_schema`.
    table, query
        For a SQLAlchemy URL: what to read.

    Raises
    ------
    DataError
        When the data cannot be found or read; the message names the way out.

    Examples
    --------
    >>> source = open_source(pa.table({"age": [30, 41]}))
    >>> source.columns, source.size().rows
    (('age',), 2)
    """
    from promise.data.files import FileSource
    from promise.data.frames import FrameSource
    from promise.data.remote import open_remote
    from promise.data.sql import SqlSource

    if on_bad_rows not in ("fail", "skip"):
        raise ConfigError(f"on_bad_rows is {on_bad_rows!r}; expected 'fail' or 'skip'.")
    given = {
        "delimiter": delimiter,
        "encoding": encoding,
        "likely_encoding": likely_encoding,
        "decimal": decimal,
        "compression": compression,
        "header": header,
    }
    if not isinstance(data, str | Path):
        return FrameSource(data, decimal=decimal)
    text = str(data)
    if text.startswith("s3://"):
        return open_remote(text, on_bad_rows, given)
    if "://" in text:
        return SqlSource(text, table=table, query=query, decimal=decimal)
    return FileSource.open(text, on_bad_rows, given)
