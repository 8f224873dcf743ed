"""Data frames of pandas, Polars and Arrow as sources."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import narwhals.stable.v1 as nw
import pyarrow as pa

from promise.data.detect import unique_names
from promise.data.rows import BadRows, Size, even_rows
from promise.errors import DataError, near
from promise.kernels.plain_tables import plain_column, value_array


class FrameSource:
    """A data frame in memory, converted to Arrow chunk by chunk.

    Examples
    --------
    >>> source = FrameSource(pa.table({"age": [30, 41, 52]}))
    >>> [(first, part.num_rows) for first, part in source.batches(chunk_rows=2)]
    [(0, 2), (2, 1)]
    """

    def __init__(self, data: Any, *, decimal: str | None = None) -> None:
        self.reader: dict[str, Any] | None = None
        self.decimal = decimal
        kind = f"{type(data).__module__.split('.')[0]}.{type(data).__name__}"
        self.name = f"the {kind}"
        self.bad_rows = BadRows()
        if isinstance(data, pa.RecordBatch):
            data = pa.Table.from_batches([data])
        self._check_names(data)
        try:
            frame = nw.from_native(data)
        except TypeError:
            raise DataError(
                f"{self.name} cannot be read as data; expected a path, a SQLAlchemy URL, or a "
                "pandas, Polars or Arrow table."
            ) from None
        self._frame = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
        self.columns = tuple(str(name) for name in self._frame.columns)
        if not len(self._frame):
            raise DataError(f"{self.name} has no rows.")

    def _check_names(self, data: Any) -> None:
        if hasattr(data, "collect"):  # a lazy frame has no double names
            return
        names = data.column_names if isinstance(data, pa.Table) else getattr(data, "columns", ())
        if not callable(names):
            unique_names([str(name) for name in names], self.name)

    def cautions(self) -> tuple[str, ...]:
        """Return nothing: there is no text whose encoding would be a guess."""
        return ()

    def size(self) -> Size:
        """Return the exact rows, and the bytes in memory where the frame knows them."""
        try:
            n_bytes = int(self._frame.estimated_size())
        except (AttributeError, TypeError, ValueError):
            n_bytes = 0
        return Size(len(self._frame), True, n_bytes)

    def batches(
        self, columns: Sequence[str] | None = None, chunk_rows: int = 65536
    ) -> Iterator[tuple[int, pa.Table]]:
        """Yield (number of the first row, rows)."""
        wanted = list(self.columns if columns is None else columns)
        for name in wanted:
            if name not in self.columns:
                raise DataError(f"{self.name} has no column {name!r}; {near(name, self.columns)}")
        for first in range(0, len(self._frame), chunk_rows):
            yield first, self._table(self._frame[first : first + chunk_rows], wanted)

    def _table(self, part: Any, wanted: list[str]) -> pa.Table:
        # by position: a frame made of an array has numbers for names
        places = {name: place for place, name in enumerate(self.columns)}
        return pa.table([_arrow(part[:, places[name]]) for name in wanted], names=wanted)

    def sample(self, rows: int) -> pa.Table:
        """Return about `rows` rows at even distances."""
        chosen = even_rows(len(self._frame), rows)
        return self._table(self._frame[chosen.tolist()], list(self.columns))

    def fingerprint(self) -> str:
        """Digest the names, the row count and a spread of rows."""
        rows = self.sample(1000).to_pylist()
        text = f"{self.columns}:{len(self._frame)}:{rows}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _arrow(series: Any) -> Any:
    """Return a frame's column in Arrow; a column of mixed types becomes text."""
    try:
        array = series.to_arrow()
    except (pa.ArrowException, TypeError, ValueError):
        values = series.to_list()
        return value_array([None if isinstance(v, float) and math.isnan(v) else v for v in values])
    if isinstance(array, pa.Array):
        array = pa.chunked_array([array])
    return plain_column(array)
