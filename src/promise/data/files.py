"""Local and remote files as sources: CSV, Parquet and JSON Lines, one file or many alike."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from promise.data.describe import describe_csv, describe_jsonl, file_format, inflated, parquet_names
from promise.data.detect import SINGLE_BYTE, SNIFF_BYTES
from promise.data.encodings import (
    WrongByte,
    encoding_advice,
    guessed_caution,
    wrong_byte_among,
)
from promise.data.places import LocalStore, Store, folder_columns, local_paths
from promise.data.rows import BadRows, OnBadRows, Size, even_rows
from promise.errors import DataError, near
from promise.kernels.plain_tables import join_tables, plain_table
from promise.kernels.reading import (
    read_chunks,
    read_csv,
    reader_of_file,
    with_constants,
)

COUNT_BYTES = 64 << 20
"""Files up to this size are counted; the rows of larger ones are estimated."""


@dataclass
class FileSource:
    """Files of one format and one header, read one after the other."""

    name: str
    description: dict[str, Any]
    """The kernel's reader dictionary, whether the files are local or not."""
    store: Store
    lines_per_row: float = 1.0
    decimal: str | None = None
    encoding_given: bool = False
    bad_rows: BadRows = field(default_factory=BadRows)
    _size: Size | None = None

    @classmethod
    def open(cls, text: str, on_bad_rows: OnBadRows, given: dict[str, Any]) -> FileSource:
        """Open a local file, folder or glob."""
        return cls.over(text, local_paths(text), LocalStore(), on_bad_rows, given)

    @classmethod
    def over(
        cls,
        name: str,
        paths: list[str],
        store: Store,
        on_bad_rows: OnBadRows,
        given: dict[str, Any],
    ) -> FileSource:
        """Look at the files and say how they are read."""
        kinds = {path: file_format(path, store) for path in paths}
        if len(set(kinds.values())) > 1:
            shown = ", ".join(f"{Path(p).name} ({k})" for p, k in list(kinds.items())[:3])
            raise DataError(f"{name} mixes formats: {shown}; give one kind of file.")
        kind = kinds[paths[0]]
        reader: dict[str, Any] = {"format": kind, "paths": paths, "on_bad_rows": on_bad_rows}
        constants = [folder_columns(path) for path in paths]
        if kind == "parquet":
            inside, rows = parquet_names(paths, store)
            size = Size(rows, True, sum(map(store.size, paths)))
            source = cls(name, {**reader, "names": inside}, store, _size=size)
        else:
            look = describe_csv if kind == "csv" else describe_jsonl
            details, lines = look(paths, store, given)
            known = given.get("encoding") or given.get("likely_encoding") == details["encoding"]
            source = cls(
                name, {**reader, **details}, store, lines, given.get("decimal"), bool(known)
            )
        if any(constants):
            inside = list(source.description["names"])
            added = [key for key in constants[0] if key not in inside]
            source.description["constants"] = [{k: c.get(k, "") for k in added} for c in constants]
            source.description["names"] = inside + added
        return source

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(self.description["names"])

    @property
    def reader(self) -> dict[str, Any] | None:
        """How the kernel reads the files; None unless they are local."""
        return self.description if self.store.local else None

    def cautions(self) -> tuple[str, ...]:
        """Return what to say of how the files are read: an encoding that is but a guess."""
        encoding = self.description.get("encoding")
        if self.encoding_given or encoding not in SINGLE_BYTE:
            return ()
        wrong = self._wrong_byte()
        return () if wrong is None else (guessed_caution(encoding, wrong),)

    def size(self) -> Size:
        """Return rows and bytes; files beyond 64 MiB are estimated by their line lengths."""
        if self._size is None:
            total = sum(self.store.size(path) for path in self.description["paths"])
            if total <= COUNT_BYTES and not (self.description["compression"] and total > 8 << 20):
                rows = sum(part.num_rows for _, part in self.batches(self.columns[:1]))
                self._size = Size(rows, True, total)
            else:
                self._size = Size(self._estimated_rows(total), False, total)
        return self._size

    def batches(
        self, columns: Sequence[str] | None = None, chunk_rows: int = 65536
    ) -> Iterator[tuple[int, pa.Table]]:
        """Yield (number of the first row, rows) over all files."""
        for name in columns or ():
            if name not in self.description["names"]:
                known = near(name, self.columns)
                raise DataError(f"{self.name} has no column {name!r}; {known}")
        self.bad_rows.restart()
        wanted = None if columns is None else list(columns)
        chunks = read_chunks(
            self.description,
            wanted,
            chunk_rows,
            open_file=self.store.open,
            on_bad=self.bad_rows.add,
        )
        rows = 0
        try:
            for first, table in chunks:
                rows = first + table.num_rows
                yield first, table
        except ValueError as error:
            raise DataError(self._way_out(str(error))) from error
        if self._size is None or not self._size.exact:
            total = sum(self.store.size(path) for path in self.description["paths"])
            self._size = Size(rows, True, total)

    def sample(self, rows: int) -> pa.Table:
        """Return about `rows` rows: all of a small source, else spread where seeking is cheap."""
        size = self.size()
        if size.exact and (size.rows <= rows or size.bytes <= COUNT_BYTES):
            chosen = even_rows(size.rows, rows)
            parts = []
            for first, table in self.batches():
                inside = chosen[(chosen >= first) & (chosen < first + table.num_rows)]
                parts.append(table.take(inside - first))
            return join_tables(parts)
        if self.description["format"] == "parquet":
            return self._parquet_sample(rows)
        parts, n_rows = [], 0
        # pieces of a file that is hardly larger than the sample would overlap
        spread = size.rows > 2 * rows and self.description["format"] == "csv" and self._can_seek()
        wanted = rows // 2 if spread else rows
        for _, table in self.batches(chunk_rows=wanted):
            parts.append(table.slice(0, wanted - n_rows))
            n_rows += parts[-1].num_rows
            if n_rows >= wanted:
                break
        if spread:
            parts += self._csv_pieces(rows - wanted)
        return join_tables(parts)

    def fingerprint(self) -> str:
        """Digest names, sizes and a few pieces of each file; moving the files changes nothing."""
        digest = hashlib.blake2b(digest_size=16)
        for path in self.description["paths"]:
            n_bytes = self.store.size(path)
            digest.update(f"{PurePosixPath(path).name}:{n_bytes};".encode())
            with self.store.open(path) as file:
                for start in sorted({0, n_bytes // 2, max(0, n_bytes - 65536)}):
                    file.seek(start)
                    digest.update(file.read(65536))
        return digest.hexdigest()

    def _can_seek(self) -> bool:
        encoding = self.description["encoding"]
        return self.description["compression"] is None and not encoding.startswith("utf-16")

    def _pieces(self, n_bytes: int, count: int) -> list[tuple[int, bytes]]:
        """Return each file's place and pieces at even distances, from line start to line end."""
        pieces = []
        for place, path in enumerate(self.description["paths"][:count]):
            total = self.store.size(path)
            share = max(1, count // len(self.description["paths"]))
            with self.store.open(path) as file:
                for i in range(share):
                    file.seek(total * (i + 1) // (share + 1))
                    file.readline()
                    piece = file.read(n_bytes)
                    pieces.append((place, piece[: piece.rfind(b"\n") + 1]))
        return [(place, piece) for place, piece in pieces if piece]

    def _estimated_rows(self, total: int) -> int:
        if self._can_seek():
            pieces = [piece for _, piece in self._pieces(65536, 16)]
        else:
            path = self.description["paths"][0]
            with self.store.open(path) as file:
                raw = file.read(SNIFF_BYTES)
            text = inflated(raw, self.description["compression"])
            total = int(total * len(text) / max(1, len(raw)))
            pieces = [text]
        lines = sum(piece.count(b"\n") for piece in pieces)
        n_bytes = sum(map(len, pieces))
        width = 2 if str(self.description["encoding"]).startswith("utf-16") else 1
        return max(1, round(total * lines / max(1, n_bytes) / self.lines_per_row / (2 - 1 / width)))

    def _csv_pieces(self, rows: int) -> list[pa.Table]:
        """Read rows from the middle of large files; a row cut by a seek is left out."""
        reader = {**self.description, "header": False, "skip_rows": 0, "on_bad_rows": "skip"}
        constants = reader.get("constants") or [{}] * len(reader["paths"])
        inside = [name for name in self.columns if name not in constants[0]]
        each = max(1, rows // 16)
        bytes_each = max(65536, 2 * each * self.size().bytes // max(1, self.size().rows))
        hows = [reader_of_file(path, reader, self.store.open) for path in reader["paths"][:16]]
        tables = []
        for place, piece in self._pieces(bytes_each, 16):
            try:
                found = read_csv(io.BytesIO(piece), self.name, hows[place], inside, each, None)
                part = next(iter(found))
            except (ValueError, StopIteration):  # the seek hit a quoted cell
                continue
            tables.append(with_constants(part, list(self.columns), constants[place]))
        return tables

    def _parquet_sample(self, rows: int) -> pa.Table:
        """Read the first rows of row groups at even distances, as `batches` would give them."""
        paths = self.description["paths"]
        constants = self.description.get("constants") or [{}] * len(paths)
        extras = dict(zip(paths, constants, strict=True))
        groups: list[tuple[str, int]] = []
        for path in paths:
            with self.store.open(path) as file:
                metadata = pq.ParquetFile(file).metadata
                sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
                groups += [(path, i) for i, size in enumerate(sizes) if size]
        chosen = [groups[i] for i in even_rows(len(groups), 16)]
        parts = []
        each = -(-rows // len(chosen))
        for path, group in chosen:
            inside = [name for name in self.columns if name not in extras[path]]
            with self.store.open(path) as file:
                parquet = pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)
                batches = parquet.iter_batches(each, [group], inside, use_threads=False)
                part = plain_table(pa.Table.from_batches([next(iter(batches))]))
            parts.append(with_constants(part, list(self.columns), extras[path]))
        return join_tables(parts)

    def _way_out(self, message: str) -> str:
        text = self.description["format"] != "parquet"
        if text and ("encoding" in message or "codec can't" in message):
            return f"{message}. {encoding_advice(self._wrong_byte())}"
        if re.search(r" cells?, expected ", message):
            return f"{message}; mend the row, or leave such rows out with --on-bad-rows skip."
        if "is not JSON" in message or "expected an object" in message:
            return f"{message}; mend the line, or leave such lines out with --on-bad-rows skip."
        return message

    def _wrong_byte(self) -> WrongByte | None:
        """Return the first byte of the files that is not UTF-8, where their encoding shows it."""
        if str(self.description["encoding"]).startswith("utf-16"):
            return None
        paths = self.description["paths"]
        return wrong_byte_among(paths, self.store, self.description["compression"])
