"""Vectors of texts as the mean of their pieces' own vectors: a table, and no network to run."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from scipy.sparse import csr_matrix

from promise.data.columns import FloatArray
from promise.errors import ConfigError, DataError
from promise.models.encoder_files import (
    copy_files,
    files_of,
    hash_of,
    read_safetensors,
    write_safetensors,
)
from promise.models.encoder_tokens import WordPieces, Words

_ENDINGS = (".txt", ".vec", ".gz")
_RARE = 1e-4  # Arora, Liang & Ma 2017 (smooth inverse frequency), with Zipf's law for counts


class _Encodes(Protocol):
    @property
    def size(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> FloatArray: ...


@dataclass(eq=False)
class StaticEncoder:
    """Means of a table's rows, of length 1; texts of any length, thousands a second.

    Parameters
    ----------
    table
        Float32 (n_pieces, size), already weighted.
    path
        The folder or file that it was read from.
    """

    pieces: WordPieces
    table: FloatArray
    path: Path
    kind: str = "static"
    max_tokens: int | None = None

    @property
    def size(self) -> int:
        """How many numbers a vector has."""
        return int(self.table.shape[1])

    @cached_property
    def weights_hash(self) -> str:
        """Hash of the table and of what cuts texts."""
        return hash_of(files_of(self.path) if self.path.is_dir() else [self.path])

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Return float32 (n, size); zeros where nothing of a text is known."""
        unknown = self.pieces.numbers.get(self.pieces.unknown, -1)
        rows = [np.array(one, dtype=np.int64) for one in self.pieces.many(texts)]
        rows = [one[(one != unknown) & (one < len(self.table))] for one in rows]
        offsets = np.cumsum([0, *(len(one) for one in rows)])
        numbers = np.concatenate([np.zeros(0, np.int64), *rows])
        ones = np.ones(len(numbers), np.float32)
        # A product of compressed rows adds in their order, whatever the rows beside them.
        found = csr_matrix((ones, numbers, offsets), (len(rows), len(self.table))) @ self.table
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        answer: FloatArray = found / np.where(lengths > 0, lengths, 1)
        return answer

    def save(self, folder: Path) -> None:
        """Write the table and what cuts texts."""
        if self.path.is_dir():
            copy_files(self.path, folder)
            return
        _write(folder, self.pieces, self.table)


def open_static(path: Path) -> StaticEncoder:
    """Open a folder with a table and its tokenizer, or a text file of word vectors.

    A folder has `model.safetensors` (tensor `embeddings`, and `weights` where rows are weighted) or
    `embeddings.npy` (and `weights.npy`), beside `tokenizer.json` or `vocab.txt`.

    Raises
    ------
    ConfigError, DataError
        When the path is no such thing, or a line cannot be read.
    """
    if path.is_file():
        if path.suffix not in _ENDINGS:
            raise ConfigError(
                f"{path} is no encoder: expected a folder, or word vectors in a text file with the "
                f"ending {', '.join(_ENDINGS)}."
            )
        return _read_words(path)
    table, weights = _read_table(path)
    if table.ndim != 2 or (weights is not None and weights.shape != (len(table),)):
        raise ConfigError(f"the table in {path} is not (pieces, numbers) with a weight for each.")
    if weights is not None:
        table = table * weights[:, None].astype(np.float32)
    return StaticEncoder(WordPieces.load(path), np.ascontiguousarray(table), path)


def _read_table(folder: Path) -> tuple[FloatArray, FloatArray | None]:
    if (folder / "embeddings.npy").is_file():
        table = np.load(folder / "embeddings.npy", allow_pickle=False)
        beside = folder / "weights.npy"
        weights = np.load(beside, allow_pickle=False) if beside.is_file() else None
        return table.astype(np.float32), weights
    if not (folder / "model.safetensors").is_file():
        raise ConfigError(
            f"{folder} is no encoder: it has neither a config.json of a BERT, nor embeddings.npy, "
            "nor model.safetensors."
        )
    tensors = read_safetensors(folder / "model.safetensors")
    name = next((one for one in ("embeddings", "embedding.weight") if one in tensors), None)
    if name is None:
        raise ConfigError(f"{folder}/model.safetensors holds {', '.join(tensors)}; no embeddings.")
    return tensors[name].astype(np.float32), tensors.get("weights")


def _read_words(path: Path) -> StaticEncoder:
    """Read `word number number …` lines, with or without a first line of counts."""
    words: dict[str, int] = {}
    rows: list[FloatArray] = []
    zipped = path.suffix == ".gz"
    with gzip.open(path, "rt", encoding="utf-8") if zipped else path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            word, *numbers = line.rstrip().split(" ")
            if number == 1 and len(numbers) == 1:
                continue
            try:
                row = np.array(numbers, dtype=np.float32)
            except ValueError:
                row = np.zeros(0, np.float32)
            if not len(row) or (rows and len(row) != len(rows[0])):
                width = f"{len(rows[0])} numbers" if rows else "numbers"
                raise DataError(f"{path}, line {number}: expected a word and {width}.")
            if words.setdefault(word, len(rows)) == len(rows):
                rows.append(row)
    if not rows:
        raise DataError(f"{path} holds no vectors.")
    lower = not any(word != word.lower() for word in words)
    cuts = Words(lower)
    known = {_as_cut(word, cuts): row for word, row in reversed(words.items())}  # first ones stay
    pieces = WordPieces(known, cuts, prefix="\0", unknown="\0")
    return StaticEncoder(pieces, np.stack(rows), path)


def _as_cut(word: str, cuts: Words) -> str:
    """Return a listed word as texts are cut into it: without accents where these are dropped."""
    parts = cuts.cut(word)
    return parts[0] if len(parts) == 1 else word


def distilled(
    encoder: _Encodes, pieces: WordPieces, folder: Path, size: int = 256
) -> StaticEncoder:
    """Make a static table of a sentence encoder: each piece encoded alone, reduced, weighted.

    As model2vec does (Tulkens & van Dongen 2024): principal components of the pieces' vectors, a
    piece weighing a / (a + p) with p by Zipf's law from its place in the vocabulary, which runs
    from frequent to rare.

    Parameters
    ----------
    folder
        An existing folder that the table is written into.
    """
    marks = {piece for piece in pieces.numbers if piece.startswith("[") and piece.endswith("]")}
    known = [piece for piece in pieces.numbers if piece not in marks]
    texts = [piece.removeprefix(pieces.prefix) for piece in known]
    vectors = np.zeros((max(pieces.numbers.values()) + 1, encoder.size))
    rows = np.array([pieces.numbers[piece] for piece in known])
    vectors[rows] = encoder.encode(texts)
    centred = vectors[rows] - vectors[rows].mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, : min(size, encoder.size)]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None, :], axis=0)
    table = np.zeros((len(vectors), axes.shape[1]), np.float32)
    places = np.arange(1, len(rows) + 1)
    shares = (1 / places) / (1 / places).sum()
    table[rows] = (centred @ (axes * np.sign(largest))) * (_RARE / (_RARE + shares))[:, None]
    _write(folder, pieces, table)
    return open_static(folder)


def _write(folder: Path, pieces: WordPieces, table: FloatArray) -> None:
    """Write table and tokenizer as `open_static` reads a folder."""
    write_safetensors(folder / "model.safetensors", {"embeddings": table})
    model = {
        "type": "WordPiece", "vocab": pieces.numbers, "unk_token": pieces.unknown,
        "continuing_subword_prefix": pieces.prefix, "max_input_chars_per_word": pieces.longest,
    }  # fmt: skip
    told = {
        "normalizer": {"type": "BertNormalizer", "lowercase": pieces.words.lower},
        "model": model,
    }
    (folder / "tokenizer.json").write_text(json.dumps(told), encoding="utf-8")
