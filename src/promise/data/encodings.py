"""Where a text file stops being UTF-8, and what the user should know and do about it."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from promise.data.detect import SINGLE_BYTE, detect_encoding
from promise.data.places import Store
from promise.kernels.reading_input import decompress, is_utf8

_PIECE_BYTES = 1 << 22


@dataclass(frozen=True)
class WrongByte:
    """The first byte of a file that is not UTF-8.

    Parameters
    ----------
    offset
        Counted from 0 in the decompressed file.
    line
        Counted from 1, as editors do.
    guess
        The encoding that reads the bytes around it.
    """

    path: str
    byte: int
    offset: int
    line: int
    guess: str

    def __str__(self) -> str:
        return f"byte {self.byte:#04x} in line {self.line:,} (offset {self.offset}) of {self.path}"


def first_wrong_byte(path: str, file: Any, compression: str | None = None) -> WrongByte | None:
    """Return the first byte of an open file that is not UTF-8, or None.

    Examples
    --------
    >>> import io
    >>> found = first_wrong_byte("x.csv", io.BytesIO("a,b\\n1,é\\n".encode("cp1252")))
    >>> str(found), found.guess
    ('byte 0xe9 in line 2 (offset 6) of x.csv', 'cp1252')
    """
    stream = decompress(file, compression)
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, line = 0, 1
    while True:
        piece = bytes(stream.read(_PIECE_BYTES))
        held: bytes = decoder.getstate()[0]  # the beginning of a character that a piece cuts
        try:
            decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            whole, at = held + piece, error.start
            line += whole.count(b"\n", len(held), at)
            guess = detect_encoding(whole)
            return WrongByte(path, whole[at], offset - len(held) + at, line, guess)
        if not piece:
            return None
        offset += len(piece)
        line += piece.count(b"\n")


def wrong_byte_among(
    paths: Sequence[str], store: Store, compression: str | None
) -> WrongByte | None:
    """Return the first byte of the first file that is not UTF-8 throughout, or None."""
    for path in paths:
        with store.open(path) as file:
            found = first_wrong_byte(path, file, compression)
        if found is not None:
            return found
    return None


def encoding_among(found: str, likely: str | None) -> str:
    """Return what is read: `likely` in place of a guess, such as what a version was trained from.

    Examples
    --------
    >>> encoding_among("cp1252", "cp1251"), encoding_among("utf-8", "cp1251")
    ('cp1251', 'utf-8')
    >>> encoding_among("latin-1", "cp1252"), encoding_among("cp1252", "utf-8")
    ('latin-1', 'cp1252')
    """
    guessed = found in SINGLE_BYTE and likely is not None
    return found if not guessed or likely in SINGLE_BYTE or is_utf8(str(likely)) else str(likely)


def guessed_caution(encoding: str, wrong: WrongByte) -> str:
    """Say that letters may be wrong, since an encoding of single bytes fits any bytes.

    Examples
    --------
    >>> guessed_caution("cp1252", WrongByte("x.csv", 0xE9, 6, 2, "cp1252"))[:70]
    'the text is not UTF-8 (byte 0xe9 in line 2 (offset 6) of x.csv) and is'
    """
    return (
        f"the text is not UTF-8 ({wrong}) and is read as {encoding}, a guess: if letters look "
        f"wrong, give the encoding, as in {how_to_give('cp1251')}."
    )


def encoding_advice(wrong: WrongByte | None) -> str:
    """Say where the first wrong byte stands and which encoding would read the file."""
    if wrong is None:
        return f"Give the file's encoding, such as {how_to_give('latin-1')}."
    return f"The first that is not UTF-8 is {wrong}; try {how_to_give(wrong.guess)}."


def how_to_give(encoding: str) -> str:
    """Write how the encoding is given on the command line and from Python.

    Examples
    --------
    >>> how_to_give("cp1252")
    "--set encoding=cp1252 (from Python encoding='cp1252')"
    """
    return f"--set encoding={encoding} (from Python encoding={encoding!r})"
