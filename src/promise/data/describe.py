"""What a file says of itself: format, compression, encoding, dialect and columns."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from promise.data.detect import (
    SNIFF_BYTES,
    detect_compression,
    detect_dialect,
    detect_encoding,
    head_bytes,
    looks_binary,
    unique_names,
)
from promise.data.encodings import encoding_among, how_to_give
from promise.data.places import Store, open_checked
from promise.errors import ConfigError, DataError, near
from promise.kernels.reading import CSV_BLOCK_BYTES, json_row
from promise.kernels.reading_input import is_utf8

_COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".zstd": "zstd", ".xz": "xz"}


_FORMATS = {".parquet": "parquet", ".pq": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl",
            ".json": "jsonl"}  # fmt: skip


_FOREIGN = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook; unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel workbook; save the sheet as CSV",
    b"ARROW1": "an Arrow IPC file; read it with pyarrow and pass the table, or write Parquet",
}


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


def parquet_names(paths: list[str], store: Store) -> tuple[list[str], int]:
    """Return the columns that all Parquet files share, and their rows."""
    names: list[str] = []
    rows = 0
    for path in paths:
        with open_checked(path, store) as file:
            try:
                parquet = pq.ParquetFile(file)
            except (pa.ArrowException, OSError) as error:
                why = str(error).rstrip(".")
                raise DataError(f"{path} is a damaged Parquet file: {why}.") from error
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
    encoding = given.get("encoding") or encoding_among(
        detect_encoding(head, tuple(rest)), given.get("likely_encoding")
    )
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
        line = head.count(b"\n", 0, error.start) + 1
        way_out = how_to_give(detect_encoding(head))
        raise DataError(
            f"{path} is not in the encoding {encoding!r}: byte {head[error.start]:#04x} in line "
            f"{line:,} (offset {error.start}) does not fit; try {way_out}."
        ) from error
    details = {"compression": compression, "encoding": encoding}
    if not given.get("encoding") and not is_utf8(encoding):
        details["utf8_first"] = True  # a guess of one file says nothing of the others
    return details, text.removeprefix("\ufeff"), whole


def described_together(details: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Return how files are read, once the next one is looked at: each may be UTF-8 or a guess.

    Examples
    --------
    >>> described_together({"encoding": "utf-8"}, {"encoding": "cp1252", "utf8_first": True})
    {'encoding': 'cp1252', 'utf8_first': True}
    """
    narrower = found.get("utf8_first") and is_utf8(details["encoding"])
    return details | ({k: found[k] for k in ("encoding", "utf8_first")} if narrower else {})


def describe_csv(
    paths: list[str], store: Store, given: dict[str, Any]
) -> tuple[dict[str, Any], float]:
    """Return the reader's CSV details, alike for all files, and the lines a row takes."""
    details, text, whole = text_details(paths[0], store, given)
    dialect = detect_dialect(text, whole, paths[0], given.get("delimiter"), given.get("header"))
    if dialect.rows == 0 and whole and len(paths) == 1:
        raise DataError(f"{paths[0]} has a header but no rows below it.")
    for path in paths[1:]:
        found, other, all_of_it = text_details(path, store, given)
        details = described_together(details, found)
        if dialect.header:
            told = detect_dialect(other, all_of_it, path, dialect.delimiter, True)
            check_same(list(dialect.names), list(told.names), paths[0], path)
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
        details = described_together(details, found) if details else found
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
