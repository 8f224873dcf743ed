"""What the pass keeps of whole rows: a uniform sample, and how many repeat another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from promise.data.columns import IntArray
from promise.kernels.rows import mix, row_hash
from promise.profiling.names import names_identifier
from promise.profiling.sketches import Repeats, Words, hash_cells

_PROBE = 16384
_KEY_COLUMNS = 3


class RowSample:
    """Keeps the rows whose numbers have the `size` smallest hashes, with their cells.

    Rows are chosen by their numbers alone, so the choice does not depend on the batches, and a
    larger sample contains the smaller one.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed
        self._limit = np.uint64(2**64 - 1)
        self._hashes: list[Words] = []
        self._rows: list[IntArray] = []
        self._tables: list[pa.Table] = []
        self._kept = 0

    def add(self, first_row: int, table: pa.Table) -> None:
        """Offer the rows of a batch."""
        rows = np.arange(first_row, first_row + table.num_rows, dtype=np.int64)
        hashes = row_hash(rows, self.seed)
        at = np.flatnonzero(hashes <= self._limit)
        if len(at) == 0:
            return
        self._hashes.append(hashes[at])
        self._rows.append(rows[at])
        self._tables.append(table.take(at))
        self._kept += len(at)
        if self._kept > 2 * self.size:
            self._narrow()

    def _narrow(self) -> None:
        hashes, rows = np.concatenate(self._hashes), np.concatenate(self._rows)
        table = _joined(self._tables)
        if len(hashes) > self.size:
            at = np.sort(np.argpartition(hashes, self.size - 1)[: self.size])
            hashes, rows, table = hashes[at], rows[at], table.take(at)
            self._limit = hashes.max()
        self._hashes, self._rows, self._tables = [hashes], [rows], [table]
        self._kept = len(rows)

    def finish(self) -> tuple[IntArray, pa.Table | None]:
        """Return the chosen row numbers, ascending, and their cells; None without any batch."""
        if not self._tables:
            return np.empty(0, dtype=np.int64), None
        self._narrow()
        order = np.argsort(self._rows[0], kind="stable")
        return self._rows[0][order], self._tables[0].take(order).combine_chunks()


class RowRepeats:
    """Estimates how many rows repeat another one, identifiers left aside.

    The first batch decides which columns count as identifiers, and which few columns select the
    rows that are compared whole.
    """

    def __init__(self) -> None:
        self.sketch = Repeats()
        self._columns: tuple[str, ...] | None = None
        self._keys: tuple[str, ...] = ()

    def add(self, table: pa.Table) -> None:
        """Take a batch into account."""
        if self._columns is None:
            self._choose(table.slice(0, _PROBE))
        if not self._columns:
            return
        keys = _combined(table, self._keys)
        wanted = self.sketch.wants(keys)
        if len(wanted) == 0:
            return
        chosen = table.take(wanted) if len(wanted) < table.num_rows else table
        rows = _combined(chosen, self._columns)
        self.sketch = self.sketch.merge(keys[wanted], rows, np.ones(len(rows), dtype=np.int64))

    def _choose(self, head: pa.Table) -> None:
        distinct = {
            name: 1 if pa.types.is_null(head[name].type) else len(pc.unique(head[name]))
            for name in head.column_names
        }
        self._columns = tuple(
            name
            for name, count in distinct.items()
            if count < head.num_rows or not _is_key(name, head[name])
        )
        by_distinct = sorted(self._columns, key=lambda name: -distinct[name])
        whole = len(np.unique(_combined(head, self._columns))) if self._columns else 0
        for n_keys in range(1, _KEY_COLUMNS + 1):
            self._keys = tuple(by_distinct[:n_keys])
            if len(np.unique(_combined(head, self._keys))) >= whole / 2:
                return
        # crowded keys would select too few or too many rows at a time
        self._keys = self._columns


def _joined(tables: list[pa.Table]) -> pa.Table:
    """Return the rows of all tables; columns whose type changes between them become text."""
    if all(table.schema == tables[0].schema for table in tables):
        return pa.concat_tables(tables)
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:
        text = pa.schema(
            [
                field if all(t.schema.field(field.name) == field for t in tables)
                else pa.field(field.name, pa.string())
                for field in tables[0].schema
            ]
        )  # fmt: skip
        return pa.concat_tables([table.cast(text) for table in tables])


def _is_key(name: str, column: Any) -> bool:
    """Say whether a column of unique values only numbers or names the rows."""
    if names_identifier(name):
        return True
    if not pa.types.is_integer(column.type) or len(column) < 2:
        return False
    span: Any = pc.min_max(column).as_py()
    return bool(span["max"] - span["min"] + 1 == len(column))


def _combined(table: pa.Table, names: tuple[str, ...]) -> Words:
    """Hash rows over the named columns."""
    hashes = np.zeros(table.num_rows, dtype=np.uint64)
    for name in names:
        column: Any = table[name].combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        hashes = mix(hashes * np.uint64(0x9E3779B97F4A7C15) ^ hash_cells(column))
    return hashes
