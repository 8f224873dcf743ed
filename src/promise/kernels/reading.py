"""Files as numbered chunks of rows: CSV, Parquet and JSON Lines, in memory that a chunk bounds.

A *reader* is a dictionary that says how a file is read::

    {"format": "csv" | "parquet" | "jsonl", "paths": [...], "delimiter": ",", "quote": "\\"",
     "encoding": "utf-8", "compression": null | "gzip" | "bz2" | "zstd" | "xz", "header": true,
     "names": [...], "on_bad_rows": "fail" | "skip"}

Further keys are optional: `skip_rows` (rows before the data, the header among them), `constants`
(for each path the columns that its folder names carry, as in `year=2024/`) and `utf8_first` (a file
that is UTF-8 is read so, whatever `encoding` says of the others).
"""

from __future__ import annotations

import glob
import io
import json
import lzma
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from promise.kernels.plain_tables import cast_table, joined_schema, plain_table, rows_table
from promise.kernels.reading_input import csv_input, decompress, let_go, written_in

OpenFile = Callable[[str], Any]
OnBadRow = Callable[[str, int, str], None]

# A row must fit into one block; blocks bound the memory of a CSV file being read.
CSV_BLOCK_BYTES = 2 << 20
# Wide tables come in shorter chunks, so that a chunk's memory stays bounded.
CHUNK_CELLS = 8_000_000
# What a folder's data files are called; others in it (notes, checksums) are no data.
DATA_ENDINGS = (
    ".csv", ".tsv", ".txt", ".tab", ".data", ".psv",
    ".parquet", ".pq", ".jsonl", ".ndjson", ".json",
)  # fmt: skip


def read_chunks(
    reader: dict[str, Any],
    columns: list[str] | None = None,
    chunk_rows: int = 65536,
    *,
    open_file: OpenFile | None = None,
    on_bad: OnBadRow | None = None,
) -> Iterator[tuple[int, pa.Table]]:
    """Yield (number of the first row, rows) over all paths in order.

    CSV cells come as text, exactly as in the file; Parquet and JSON Lines come typed, with nested
    values as JSON text. A column keeps its type from chunk to chunk; where a later chunk does not
    fit (numbers, then words), it comes as text from there on. Only accepted rows are numbered.
    `open_file` opens a path that is not local; `on_bad(path, row, why)` hears of each row that
    `"on_bad_rows": "skip"` leaves out.

    Raises
    ------
    ValueError
        When a row or a file cannot be read; the message names the path and the row.
    """
    constants = reader.get("constants") or [{}] * len(reader["paths"])
    width = len(reader["names"] if columns is None else columns)
    rows = max(1, min(chunk_rows, max(256, CHUNK_CELLS // max(width, 1))))
    read = {"csv": read_csv, "parquet": read_parquet, "jsonl": read_jsonl}[reader["format"]]
    opened = open_local if open_file is None else open_file
    first = 0
    wanted = list(reader["names"]) if columns is None else list(columns)
    schema = None
    for path, extra in zip(reader["paths"], constants, strict=True):
        inside = [name for name in wanted if name not in extra]
        how = reader_of_file(path, reader, opened)
        with opened(path) as file:
            for part in read(file, path, how, inside, rows, on_bad):
                table = with_constants(part, wanted, extra)
                schema = table.schema if schema is None else joined_schema(schema, table.schema)
                yield first, cast_table(table, schema)
                first += table.num_rows


def reader_of_file(path: str, reader: dict[str, Any], open_file: OpenFile) -> dict[str, Any]:
    """Return how one of several files is read: in the encoding that it is written in."""
    if not reader.get("utf8_first"):
        return reader
    try:
        with open_file(path) as file:
            return {**reader, "encoding": written_in(file, reader)}
    except (OSError, EOFError, lzma.LZMAError, pa.ArrowException) as error:
        raise ValueError(f"{path}: {error}") from error


def with_constants(table: pa.Table, wanted: list[str], constants: dict[str, str]) -> pa.Table:
    """Return the wanted columns, those of the folder's name added."""
    for name in wanted:
        if name in constants:
            value = pa.array([constants[name]] * table.num_rows, pa.string())
            table = table.append_column(name, value)
    return table.select(wanted)


def files_of(path: str) -> list[str]:
    """Return the data files that a path, folder or glob names, sorted as plain text; else [].

    A folder is searched with all below it. Hidden files and names that begin with `_`, such as
    `_SUCCESS`, are no data, unless the pattern itself begins so.
    """
    root = Path(path).expanduser()
    if root.is_file():
        return [str(root)]
    if root.is_dir():
        found = [
            file
            for file in root.rglob("*")
            if not any(part.startswith((".", "_")) for part in file.relative_to(root).parts)
            and any(ending.lower() in DATA_ENDINGS for ending in file.suffixes)
        ]
    else:
        matches = glob.glob(str(root), recursive=True)  # noqa: PTH207  (absolute patterns too)
        found = [Path(match) for match in matches]
        if not root.name.startswith((".", "_")):
            found = [file for file in found if not file.name.startswith((".", "_"))]
    return [str(file) for file in sorted(found, key=Path.as_posix) if file.is_file()]


def open_local(path: str) -> Any:
    """Open a local file for reading bytes."""
    return Path(path).open("rb")


def regroup(batches: Iterable[Any], rows: int) -> Iterator[pa.Table]:
    """Cut record batches into tables of exactly `rows` rows; the last one may be shorter."""
    held: list[Any] = []
    n_held = 0
    for batch in batches:
        held.append(batch)
        n_held += batch.num_rows
        if n_held < rows:
            continue
        table = pa.Table.from_batches(held)
        whole = n_held - n_held % rows
        for start in range(0, whole, rows):
            yield table.slice(start, rows)
        held = table.slice(whole).to_batches() if n_held > whole else []
        n_held -= whole
    if n_held:
        yield pa.Table.from_batches(held)


def read_csv(
    file: Any,
    path: str,
    reader: dict[str, Any],
    columns: list[str],
    rows: int,
    on_bad: OnBadRow | None,
) -> Iterator[pa.Table]:
    """Yield the rows of one open CSV file, every cell as text."""
    skip = reader.get("on_bad_rows", "fail") == "skip"
    heading = " (the header is row 1)" if reader.get("header") else ""

    def pass_over(row: Any) -> Literal["skip"]:
        if on_bad is not None:
            why = ragged_row(row.number, row.actual_columns, row.expected_columns, heading)
            on_bad(path, row.number, why)
        return "skip"

    of_folder = (reader.get("constants") or [{}])[0]  # the folder's name tells these, not the file
    names = [name for name in reader["names"] if name not in of_folder]
    try:
        with csv_input(file, reader) as source, let_go(pass_over):
            stream = pa_csv.open_csv(
                source,
                read_options=pa_csv.ReadOptions(
                    use_threads=False,  # in one thread, bad rows come with their number
                    block_size=reader.get("block_bytes") or CSV_BLOCK_BYTES,
                    column_names=names,
                    skip_rows_after_names=reader.get("skip_rows", 1 if reader.get("header") else 0),
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=reader.get("delimiter") or ",",
                    quote_char=reader.get("quote") or '"',
                    newlines_in_values=True,
                    invalid_row_handler=pass_over if skip else None,
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types={name: pa.string() for name in names},
                    include_columns=columns or names[:1],
                    strings_can_be_null=False,
                ),
            )
            del source
            try:
                yield from regroup(stream, rows)
            finally:
                del stream
    except (UnicodeError, EOFError, OSError, lzma.LZMAError, pa.ArrowException, KeyError) as error:
        raise ValueError(f"{path}: {csv_trouble(error, heading)}") from error


def ragged_row(number: int, cells: int, expected: int, heading: str) -> str:
    """Say in words that a row has too few or too many cells.

    Examples
    --------
    >>> ragged_row(5, 1, 2, " (the header is row 1)")
    'row 5 (the header is row 1) has 1 cell, expected 2'
    """
    return f"row {number}{heading} has {cells} cell{'' if cells == 1 else 's'}, expected {expected}"


def csv_trouble(error: Exception, heading: str) -> str:
    """Say in words why a CSV file could not be read."""
    text = str(error)
    if ragged := re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", text):
        number, expected, cells = map(int, ragged.groups())
        return ragged_row(number, cells, expected, heading)
    if "straddl" in text:
        return "a row is longer than a block of bytes; is a quotation mark never closed?"
    if "UTF8" in text or isinstance(error, UnicodeError):
        return f"the bytes are not in the encoding they are read as ({text})"
    return text


def read_parquet(
    file: Any,
    path: str,
    reader: dict[str, Any],  # noqa: ARG001  (one signature for all formats)
    columns: list[str],
    rows: int,
    on_bad: OnBadRow | None,  # noqa: ARG001
) -> Iterator[pa.Table]:
    """Yield the rows of one open Parquet file, a row group in memory at most in part."""
    try:
        parquet = pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)
        present = set(parquet.schema_arrow.names)
        missing = [name for name in columns if name not in present]
        if missing:
            raise ValueError(f"there is no column {missing[0]!r}")
        batches = parquet.iter_batches(batch_size=rows, columns=columns, use_threads=False)
        for table in regroup(batches, rows):
            yield plain_table(table)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def read_jsonl(
    file: Any,
    path: str,
    reader: dict[str, Any],
    columns: list[str],
    rows: int,
    on_bad: OnBadRow | None,
) -> Iterator[pa.Table]:
    """Yield the rows of one open JSON Lines file; a key that a line lacks is missing."""
    raw = decompress(file, reader.get("compression"))
    text = io.TextIOWrapper(raw, encoding=reader.get("encoding") or "utf-8")
    held: list[dict[str, Any]] = []
    try:
        for number, line in enumerate(text, start=1):
            if not line.strip():
                continue
            row, why = json_row(line)
            if row is not None:
                held.append(row)
            elif reader.get("on_bad_rows", "fail") == "fail":
                raise ValueError(f"line {number} {why}")
            elif on_bad is not None:
                on_bad(path, number, f"line {number} {why}")
            if len(held) == rows:
                yield rows_table(held, columns)
                held = []
        if held:
            yield rows_table(held, columns)
    except (OSError, EOFError, ValueError, lzma.LZMAError, pa.ArrowException) as error:
        raise ValueError(f"{path}: {error}") from error


def json_row(line: str) -> tuple[dict[str, Any] | None, str]:
    """Return the object of one line, or None and why it is none."""
    try:
        row = json.loads(line)
    except ValueError as error:
        return None, f"is not JSON ({error})"
    if not isinstance(row, dict):
        return None, f'is {type(row).__name__}, expected an object such as {{"age": 41}}'
    return row, ""
