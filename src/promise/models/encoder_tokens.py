"""Words and word pieces of a text, as encoders of the BERT family count them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from promise.errors import ArtifactError, ConfigError

UNKNOWN = "[UNK]"
_LONGEST = 100  # characters of a word; a longer one is unknown
_KEPT = 200_000  # words whose pieces are remembered
_ASCII_WORDS = re.compile(r"[A-Za-z0-9]+|[!-/:-@\[-`{-~]")
_ASCII_CONTROLS = {code: None for code in (*range(32), 127) if chr(code) not in "\t\n\r"}


class _Spaced(dict[int, str | None]):
    """Where each character goes: controls nowhere, punctuation and ideographs between blanks."""

    def __init__(self, strip_accents: bool) -> None:
        super().__init__()
        self._strip = strip_accents

    def __missing__(self, code: int) -> str | None:
        found = self[code] = self._placed(chr(code))
        return found

    def _placed(self, char: str) -> str | None:
        kind = unicodedata.category(char)
        if char in "\t\n\r" or kind == "Zs":
            return " "
        if char == "\ufffd" or kind.startswith("C") or (self._strip and kind == "Mn"):
            return None
        ascii_sign = ord(char) < 128 and not char.isalnum()
        return f" {char} " if ascii_sign or kind.startswith("P") or _ideograph(char) else char


def _ideograph(char: str) -> bool:
    code = ord(char)
    return (
        0x4E00 <= code <= 0x9FFF
        or 0x3400 <= code <= 0x4DBF
        or 0x20000 <= code <= 0x2CEAF
        or 0xF900 <= code <= 0xFAFF
        or 0x2F800 <= code <= 0x2FA1F
    )


@dataclass(frozen=True, eq=False)
class Words:
    """Cuts text into words and single signs, as BERT's basic tokenizer does.

    Parameters
    ----------
    lower
        Whether case and accents are dropped.

    Examples
    --------
    >>> Words().cut("Café's 50%")
    ['cafe', "'", 's', '50', '%']
    """

    lower: bool = True
    _spaced: _Spaced = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_spaced", _Spaced(self.lower))

    def cut(self, text: str) -> list[str]:
        """Return the words of a text, in linear time."""
        if text.isascii():
            text = text.lower() if self.lower else text
            return _ASCII_WORDS.findall(text.translate(_ASCII_CONTROLS))
        if self.lower:
            text = unicodedata.normalize("NFD", text.lower())
        else:
            text = unicodedata.normalize("NFC", text)
        return text.translate(self._spaced).split()


@dataclass(frozen=True, eq=False)
class WordPieces:
    """Turns texts into the numbers of word pieces: the longest known ones, from the left.

    Parameters
    ----------
    numbers
        Piece to its number; inner pieces begin with `prefix`.

    Examples
    --------
    >>> known = {"[UNK]": 0, "un": 1, "##known": 2, "word": 3}
    >>> WordPieces(known).many(["unknown word", "?"])
    [[1, 2, 3], [0]]
    """

    numbers: dict[str, int]
    words: Words = field(default_factory=Words)
    prefix: str = "##"
    unknown: str = UNKNOWN
    longest: int = _LONGEST
    _known: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False)

    def many(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the numbers of each text's pieces, without the marks of begin and end."""
        return [self.one(text) for text in texts]

    def one(self, text: str) -> list[int]:
        """Return the numbers of one text's pieces."""
        known = self._known
        found: list[int] = []
        for word in self.words.cut(text):
            pieces = known.get(word)
            if pieces is None:
                pieces = self._pieces(word)
                if len(known) >= _KEPT:
                    known.clear()
                known[word] = pieces
            found += pieces
        return found

    def _pieces(self, word: str) -> tuple[int, ...]:
        """Return the longest known pieces of a word; the unknown one where it cannot be cut up."""
        if word in self.numbers:
            return (self.numbers[word],)
        unknown = (self.numbers[self.unknown],) if self.unknown in self.numbers else ()
        if len(word) > self.longest:
            return unknown
        found, start = [], 0
        while start < len(word):
            mark = self.prefix if start else ""
            for end in range(len(word), start, -1):
                number = self.numbers.get(mark + word[start:end])
                if number is not None:
                    found.append(number)
                    start = end
                    break
            else:
                return unknown
        return tuple(found)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `tokenizer.json`, or `vocab.txt` beside `tokenizer_config.json`.

        Raises
        ------
        ConfigError
            When there is neither, or the pieces are of another kind.
        """
        told = folder / "tokenizer.json"
        if told.is_file():
            return cls._of_json(json.loads(told.read_text(encoding="utf-8")), folder)
        vocabulary = folder / "vocab.txt"
        if not vocabulary.is_file():
            raise ConfigError(
                f"{folder} has neither tokenizer.json nor vocab.txt, so texts cannot be cut into "
                "pieces; copy the one that came with the weights."
            )
        with vocabulary.open(encoding="utf-8") as file:  # pieces may be marks that end other lines
            lines = [line.rstrip("\n") for line in file]
        config = _read(folder / "tokenizer_config.json")
        lower = bool(config.get("do_lower_case", True))
        return cls({line: number for number, line in enumerate(lines)}, Words(lower))

    @classmethod
    def _of_json(cls, told: dict[str, Any], folder: Path) -> Self:
        model, normaliser = told.get("model") or {}, told.get("normalizer") or {}
        kind, cleaning = model.get("type", "WordPiece"), normaliser.get("type", "BertNormalizer")
        if kind != "WordPiece" or cleaning != "BertNormalizer":
            raise ConfigError(
                f"{folder}/tokenizer.json cuts by {kind} after {cleaning}; this reads WordPiece "
                "after BertNormalizer alone (BERT, MiniLM, BGE, E5, GTE and tables made of them)."
            )
        return cls(
            {str(piece): int(number) for piece, number in model["vocab"].items()},
            Words(bool(normaliser.get("lowercase", True))),
            str(model.get("continuing_subword_prefix", "##")),
            str(model.get("unk_token", UNKNOWN)),
            int(model.get("max_input_chars_per_word", _LONGEST)),
        )

    def number(self, mark: str) -> int:
        """Return the number of a mark such as `[CLS]`; ArtifactError where it has none."""
        if mark not in self.numbers:
            raise ArtifactError(f"the vocabulary lacks {mark}, which the encoder needs.")
        return self.numbers[mark]


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found
