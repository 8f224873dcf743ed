"""What a text file is written in: compression, encoding, delimiter, header."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from promise.errors import DataError
from promise.kernels.reading_input import decompress

DELIMITERS = (",", ";", "\t", "|", " ")
SNIFF_BYTES = 1 << 20
SINGLE_BYTE = ("cp1252", "latin-1")
"""What bytes that are not UTF-8 are read as; almost any bytes fit, so it is a guess."""
SNIFF_ROWS = 200
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz"}
_CONTROLS = bytes(code for code in range(1, 32) if code not in b"\t\n\r\f\x1b")
_NUMBER = re.compile(r"[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?%?$")
_DATE = re.compile(r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([ T].*)?$")


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Parameters
    ----------
    skip_rows
        Rows before the data, blank ones included, as the reader counts them.
    rows
        How many rows of data the sample shows.
    longest_row
        Length of the longest sampled row in characters.
    lines_per_row
        Above 1 where quoted cells contain line breaks.
    """

    delimiter: str
    header: bool
    names: tuple[str, ...]
    skip_rows: int
    rows: int
    longest_row: int
    lines_per_row: float


def detect_compression(head: bytes) -> str | None:
    """Name the compression that the first bytes of a file show, or None.

    Examples
    --------
    >>> detect_compression(bytes([0x1F, 0x8B, 8])), detect_compression(b"a,b")
    ('gzip', None)
    """
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def head_bytes(file: Any, compression: str | None, n_bytes: int = SNIFF_BYTES) -> bytes:
    """Return the first decompressed bytes of an open file."""
    stream = decompress(file, compression)
    parts = []
    while n_bytes > 0 and (part := stream.read(n_bytes)):
        parts.append(part)
        n_bytes -= len(part)
    return b"".join(parts)


def detect_encoding(head: bytes, rest: tuple[bytes, ...] = ()) -> str:
    """Name the encoding of sampled bytes: by their mark, else the strictest one that fits.

    `rest` are further pieces of the same file; characters cut at their ends do not count.

    Examples
    --------
    >>> detect_encoding("prix;été".encode()), detect_encoding("prix;été".encode("cp1252"))
    ('utf-8', 'cp1252')
    """
    if head.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    pairs = head[:2000]
    if b"\x00" in pairs:
        wide = "utf-16-le" if pairs[1::2].count(0) >= pairs[0::2].count(0) else "utf-16-be"
        # its line ends take two bytes; stray zero bytes among narrow text do not widen them
        if b"\n" not in pairs or "\n" in pairs.decode(wide, "ignore"):
            return wide
    pieces = (head, *rest)
    if all(invalid_utf8_at(piece) is None for piece in pieces):
        return "utf-8"
    undefined = b"\x81\x8d\x8f\x90\x9d"
    return "latin-1" if any(byte in piece for piece in pieces for byte in undefined) else "cp1252"


def looks_binary(head: bytes) -> bool:
    """Tell bytes that no text in a narrow encoding has: an archive, a spreadsheet, an image.

    Examples
    --------
    >>> looks_binary(b"a,b\\n1,2\\n"), looks_binary(bytes(range(256)))
    (False, True)
    """
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return controls > 0.02 * len(head) or head.count(0) > 0.3 * len(head)


def invalid_utf8_at(piece: bytes) -> int | None:
    """Return the offset of the first byte that is not UTF-8, cut characters at the ends aside."""
    start = 0
    while start < min(3, len(piece)) and 0x80 <= piece[start] < 0xC0:
        start += 1
    try:
        piece[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        at = start + error.start
        return None if at >= len(piece) - 3 and "unexpected end" in error.reason else at
    return None


def detect_dialect(
    text: str, whole: bool, where: str, delimiter: str | None = None, header: bool | None = None
) -> Dialect:
    """Find delimiter, header and column names from the beginning of a CSV file.

    `whole` says that the text is the whole file; otherwise its last row may be cut and is ignored.

    Examples
    --------
    >>> found = detect_dialect("when;price\\n2024-01-02;1,5\\n2024-01-03;2,5\\n", True, "x.csv")
    >>> found.delimiter, found.header, found.names
    (';', True, ('when', 'price'))
    """
    blank = len(text) - len(text.lstrip("\r\n"))
    lines_above = text[:blank].count("\n")
    body = text[blank:]
    if not body.strip():
        raise DataError(f"{where} is empty; expected rows of cells, such as a CSV file has.")
    options = DELIMITERS if delimiter is None else (delimiter,)
    grids = {option: _grid(body, option, whole) for option in options}
    best = max(options, key=lambda option: _fit(grids[option], option))
    rows = grids[best]
    if delimiter is None and _fit(rows, best) <= 0:
        best, rows = ",", grids[","]
    has_header = _has_header(rows) if header is None else header
    names = rows[0] if has_header else [""] * len(rows[0])
    return Dialect(
        delimiter=best,
        header=has_header,
        names=unique_names([name.strip() or f"column_{i}" for i, name in enumerate(names)], where),
        skip_rows=lines_above + int(has_header),
        rows=len(rows) - int(has_header),
        longest_row=max(sum(len(cell) + 1 for cell in row) for row in rows),
        lines_per_row=1 + sum(cell.count("\n") for row in rows for cell in row) / len(rows),
    )


def unique_names(names: list[str], where: str) -> tuple[str, ...]:
    """Return the column names, or say which occur twice and at which positions."""
    doubles = [name for name, count in Counter(names).items() if count > 1]
    if doubles:
        first = doubles[0]
        places = [str(i + 1) for i, name in enumerate(names) if name == first]
        more = f" ({len(doubles) - 1} more names occur twice)" if len(doubles) > 1 else ""
        raise DataError(
            f"{where}: the name {first!r} stands for the columns at positions "
            f"{', '.join(places)}{more}; rename all but one."
        )
    return tuple(names)


def _grid(text: str, delimiter: str, whole: bool) -> list[list[str]]:
    """Return the first rows that have any cell; at least one."""
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) > SNIFF_ROWS:
                return rows[:-1]
    except csv.Error:  # a cell beyond the csv module's limit: the rows before it will do
        return rows or [text.split("\n", 1)[0].split(delimiter)]
    return rows if whole or len(rows) == 1 else rows[:-1]


def _typed(cell: str) -> bool:
    cell = cell.strip()
    return bool(_NUMBER.match(cell) or _DATE.match(cell))


def _fit(rows: list[list[str]], delimiter: str) -> float:
    """Score a delimiter: rows as wide as the first, and cells that read as numbers or dates."""
    width = len(rows[0])
    if width < 2:
        return 0.0
    even = sum(len(row) == width for row in rows) / len(rows)
    cells = [cell for row in rows[1:] or rows for cell in row]
    typed = sum(map(_typed, cells)) / max(1, len(cells))
    if delimiter == " " and (even < 1.0 or typed < 0.5):
        return 0.0
    return even * (1 + typed) if even >= 0.5 else even * 0.5


def _has_header(rows: list[list[str]]) -> bool:
    """Judge column by column whether the first row looks unlike the rows below."""
    body = [row for row in rows[1:] if len(row) == len(rows[0])]
    if not body:
        return not all(_typed(cell) for cell in rows[0])
    votes = 0.0
    for i, name in enumerate(rows[0]):
        below = [row[i].strip() for row in body if row[i].strip()]
        if not name.strip() or not below:
            continue
        if sum(map(_typed, below)) >= 0.9 * len(below):
            votes += -1 if _typed(name) else 1
        elif name.strip() in below:
            votes -= 0.5
        else:
            votes += 0.1
    return votes >= 0 if not all(_typed(cell) for cell in rows[0]) else False
