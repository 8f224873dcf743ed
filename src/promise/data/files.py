"""Local and remote files as sources: CSV, Parquet and JSON Lines, one file or many alike."""

from __future__ import annotations

import glob
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from promise.data.detect import (
    SNIFF_BYTES,
    detect_compression,
    detect_dialect,
    detect_encoding,
    head_bytes,
    invalid_utf8_at,
    looks_binary,
    unique_names,
)
from promise.data.rows import BadRows, OnBadRows, Size, even_rows
from promise.errors import ConfigError, DataError, near
from promise.kernels.reading import (
    CSV_BLOCK_BYTES,
    files_of,
    join_tables,
    json_row,
    plain_table,
    read_chunks,
    read_csv,
    with_constants,
)

COUNT_BYTES = 64 << 20
"""Files up to this size are counted; the rows of larger ones are estimated."""
_COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".zstd": "zstd", ".xz": "xz"}
_FORMATS = {".parquet": "parquet", ".pq": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl",
            ".json": "jsonl"}  # fmt: skip
_FOREIGN = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook; unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel workbook; save the sheet as CSV",
    b"ARROW1": "an Arrow IPC file; read it with pyarrow and pass the table, or write Parquet",
}


class Store(Protocol):
    """Where files lie: the local disk or an object store."""

    @property
    def local(self) -> bool:
        """Whether `pathlib` can open the files too."""
        ...

    def open(self, path: str) -> Any:
        """Open a file for reading bytes; the file can seek."""
        ...

    def size(self, path: str) -> int:
        """Return a file's bytes."""
        ...


@dataclass(frozen=True)
class LocalStore:
    """The local disk."""

    local: bool = True

    def open(self, path: str) -> Any:
        """Open a file for reading bytes."""
        return Path(path).open("rb")

    def size(self, path: str) -> int:
        """Return a file's bytes."""
        return Path(path).stat().st_size


@dataclass
class FileSource:
    """Files of one format and one header, read one after the other."""

    name: str
    description: dict[str, Any]
    """The kernel's reader dictionary, whether the files are local or not."""
    store: Store
    lines_per_row: float = 1.0
    decimal: str | None = None
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
            source = cls(name, {**reader, **details}, store, lines, given.get("decimal"))
        if any(constants):
            known = list(source.description["names"])
            added = [key for key in constants[0] if key not in known]
            source.description["constants"] = [{k: c.get(k, "") for k in added} for c in constants]
            source.description["names"] = known + added
        return source

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(self.description["names"])

    @property
    def reader(self) -> dict[str, Any] | None:
        """How the kernel reads the files; None unless they are local."""
        return self.description if self.store.local else None

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
        tables = []
        for place, piece in self._pieces(bytes_each, 16):
            try:
                found = read_csv(io.BytesIO(piece), self.name, reader, inside, each, None)
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
        if "encoding" in message and self.description["format"] == "csv":
            return f"{message}. {self._encoding_advice()}"
        if re.search(r" cells?, expected ", message):
            return f"{message}; mend the row, or leave such rows out with --on-bad-rows skip."
        if "is not JSON" in message or "expected an object" in message:
            return f"{message}; mend the line, or leave such lines out with --on-bad-rows skip."
        return message

    def _encoding_advice(self) -> str:
        """Say where the first wrong byte stands and which encoding would read the file."""
        start = 0
        for path in self.description["paths"]:
            with self.store.open(path) as file:
                while piece := head_bytes(file, None, 1 << 22):
                    at = invalid_utf8_at(piece)
                    if at is not None:
                        guess = detect_encoding(piece)
                        return (
                            f"The first byte that is not UTF-8 is {piece[at]:#04x} at offset "
                            f"{start + at} of {path}; try encoding={guess!r}."
                        )
                    start += len(piece)
        return "Give the file's encoding, such as encoding='utf-8' or encoding='latin-1'."


def inflated(raw: bytes, compression: str | None) -> bytes:
    """Decompress as much as the beginning of a compressed file gives."""
    stream = head_bytes
    parts = b""
    step = 1 << 16
    while step <= 1 << 26:
        try:
            got = stream(io.BytesIO(raw), compression, step)
        except (OSError, EOFError):
            break
        if len(got) <= len(parts):
            break
        parts, step = got, step * 4
    return parts or raw


def local_paths(text: str) -> list[str]:
    """Return the data files that a path, folder or glob names, in a stable order."""
    path = Path(text).expanduser()
    found = files_of(text)
    if found:
        return found
    if path.is_dir():
        raise DataError(f"the folder {text} holds no CSV, Parquet or JSON Lines files.")
    if glob.has_magic(text):
        raise DataError(f"no file matches {text}; mind that a pattern needs quotes in a shell.")
    if not path.parent.is_dir():
        raise DataError(f"there is no file {text}, nor a folder {path.parent}.")
    siblings = [p.name for p in path.parent.iterdir()]
    if not siblings:
        raise DataError(f"there is no file {text}; its folder is empty.")
    raise DataError(f"there is no file {text}; {near(path.name, siblings)}")


def folder_columns(path: str) -> dict[str, str]:
    """Return the columns that folder names carry, as in `year=2024/part.parquet`."""
    parts = [part.partition("=") for part in PurePosixPath(path).parts[:-1]]
    return {key: value for key, mark, value in parts if mark and key.isidentifier()}


def file_format(path: str, store: Store) -> str:
    """Name a file's format by its first bytes and its ending."""
    with open_checked(path, store) as file:
        head = file.read(16)
    if not head:
        raise DataError(f"{path} is empty; expected CSV, Parquet or JSON Lines.")
    if head.startswith(b"PAR1"):
        return "parquet"
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise DataError(f"{path} is {what}.")
    endings = [s.lower() for s in PurePosixPath(path).suffixes if s.lower() not in _COMPRESSIONS]
    kind = _FORMATS.get(endings[-1], "csv") if endings else "csv"
    if kind == "parquet":
        raise DataError(f"{path} is no Parquet file: it does not begin with the mark PAR1.")
    return kind


def open_checked(path: str, store: Store) -> Any:
    """Open a file; what the operating system refuses becomes a sentence."""
    try:
        return store.open(path)
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror or error}.") from error


def parquet_names(paths: list[str], store: Store) -> tuple[list[str], int]:
    """Return the columns that all Parquet files share, and their rows."""
    names: list[str] = []
    rows = 0
    for path in paths:
        with open_checked(path, store) as file:
            try:
                parquet = pq.ParquetFile(file)
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{path} is a damaged Parquet file: {error}.") from error
            found = list(unique_names(parquet.schema_arrow.names, path))
            rows += parquet.metadata.num_rows
        names = names or found
        check_same(names, found, paths[0], path, ordered=False)
    if not rows:
        raise DataError(f"{paths[0]} has columns but no rows.")
    return names, rows


def check_same(
    names: list[str], found: list[str], first: str, path: str, *, ordered: bool = True
) -> None:
    """Refuse a file whose columns differ from the first file's."""
    lacking = [n for n in names if n not in set(found)]
    extra = [n for n in found if n not in set(names)]
    if lacking or extra:
        what = f"lacks the column {lacking[0]!r}" if lacking else f"has a column {extra[0]!r} more"
        raise DataError(f"{path} {what}, compared with {first}; give files with the same columns.")
    if ordered and names != found:
        raise DataError(f"{path} has the columns of {first} in another order; write them alike.")


def text_details(
    path: str, store: Store, given: dict[str, Any]
) -> tuple[dict[str, Any], str, bool]:
    """Return compression and encoding, the decoded beginning, and whether that is all of it."""
    n_bytes = store.size(path)
    with open_checked(path, store) as file:
        compression = given.get("compression") or detect_compression(file.read(16))
    if compression and compression not in _COMPRESSIONS.values():
        known = near(compression, dict.fromkeys(_COMPRESSIONS.values()))
        raise ConfigError(f"compression {compression!r} is unknown; {known}")
    try:
        with store.open(path) as file:
            head = head_bytes(file, compression)
            rest: list[bytes] = []
            if compression is None and n_bytes > len(head):
                pieces = 64 if n_bytes > 64 * SNIFF_BYTES else n_bytes // SNIFF_BYTES + 1
                for i in range(1, pieces):
                    file.seek(n_bytes * i // pieces)
                    rest.append(file.read(SNIFF_BYTES))
    except (OSError, EOFError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be decompressed as {compression}: {error}.") from error
    encoding = given.get("encoding") or detect_encoding(head, tuple(rest))
    if not encoding.startswith("utf-16") and looks_binary(head):
        raise DataError(
            f"{path} holds bytes that are no text, as archives and spreadsheets do; "
            "expected CSV, Parquet or JSON Lines: unpack it, or save it as one of them."
        )
    whole = len(head) < SNIFF_BYTES
    try:
        text = head.decode(encoding, "strict" if whole else "ignore")
    except LookupError:
        raise ConfigError(f"encoding {encoding!r} is unknown; try 'utf-8' or 'latin-1'.") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not in the encoding {encoding!r}: byte {head[error.start]:#04x} at offset "
            f"{error.start} does not fit; try encoding={detect_encoding(head)!r}."
        ) from error
    return {"compression": compression, "encoding": encoding}, text.removeprefix("\ufeff"), whole


def describe_csv(
    paths: list[str], store: Store, given: dict[str, Any]
) -> tuple[dict[str, Any], float]:
    """Return the reader's CSV details, alike for all files, and the lines a row takes."""
    details, text, whole = text_details(paths[0], store, given)
    dialect = detect_dialect(text, whole, paths[0], given.get("delimiter"), given.get("header"))
    if dialect.rows == 0 and whole and len(paths) == 1:
        raise DataError(f"{paths[0]} has a header but no rows below it.")
    for path in paths[1:] if dialect.header else ():
        _, other, all_of_it = text_details(path, store, {**given, **details})
        found = detect_dialect(other, all_of_it, path, dialect.delimiter, True)
        check_same(list(dialect.names), list(found.names), paths[0], path)
    details |= {
        "delimiter": dialect.delimiter,
        "quote": '"',
        "header": dialect.header,
        "names": list(dialect.names),
        "skip_rows": dialect.skip_rows,
        "block_bytes": max(CSV_BLOCK_BYTES, 16 * dialect.longest_row),
    }
    return details, dialect.lines_per_row


def describe_jsonl(
    paths: list[str], store: Store, given: dict[str, Any]
) -> tuple[dict[str, Any], float]:
    """Return the reader's JSON Lines details: the keys of the first MiB of each file."""
    names: dict[str, None] = {}
    details: dict[str, Any] = {}
    for path in paths:
        found, text, whole = text_details(path, store, given)
        details = details or found
        if text.lstrip().startswith("["):
            raise DataError(
                f"{path} is one JSON array; write one object per line, as `jq -c '.[]'` does."
            )
        lines = text.splitlines()[: None if whole else -1]
        for line in lines:
            row, _ = json_row(line) if line.strip() else (None, "")
            names.update(dict.fromkeys(row or ()))
    if not names:
        raise DataError(f"{paths[0]} holds no JSON objects; expected one per line.")
    return {**details, "names": list(names)}, 1.0
