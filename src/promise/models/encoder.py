"""Vectors of texts by pretrained encoders: one interface, whatever computes them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from promise.data.columns import FloatArray
from promise.errors import ConfigError, MemoryRefused
from promise.models.encoder_bert import Bert, Precision, threads_of_torch, torch_or_told
from promise.models.encoder_files import copy_files, files_of, hash_of, located
from promise.models.encoder_long import Chunk, batch_at, chunks_of
from promise.models.encoder_static import open_static
from promise.models.encoder_tokens import WordPieces

__all__ = ["Encoder", "SentenceEncoder", "open_encoder", "open_sentence_encoder"]

_log = logging.getLogger(__name__)
ENCODER_VERSION = 1
"""Raised whenever this code gives equal texts other vectors; caches ask for it."""

OVERLAP = 32
"""Tokens that neighbouring windows of a long text share."""

_TOKENS_AT_ONCE = {"cpu": 2048, "cuda": 65_536}
_TEXTS_AT_ONCE = 2048  # whose pieces are in memory at once


class Encoder(Protocol):
    """Turns texts into vectors of one length; equal texts have equal vectors."""

    @property
    def kind(self) -> str:
        """`sentence` or `static`."""
        ...

    @property
    def size(self) -> int:
        """How many numbers a vector has."""
        ...

    @property
    def max_tokens(self) -> int | None:
        """The window in tokens, marks included; longer texts are pooled over windows. None: any."""
        ...

    @property
    def weights_hash(self) -> str:
        """Hash of everything that decides what a text's vector is."""
        ...

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Return float32 (n, size), each row of length 1 (0 where nothing of a text is known)."""
        ...

    def save(self, folder: Path) -> None:
        """Write everything that `open_encoder` needs into an existing empty folder."""
        ...


def open_encoder(
    path_or_name: str | Path,
    *,
    device: str = "cpu",
    threads: int = 1,
    precision: Precision = "float32",
) -> Encoder:
    """Open an encoder from a folder, a table of vectors, or by name; nothing is downloaded.

    Parameters
    ----------
    path_or_name
        A folder with `config.json`, weights and tokenizer (sentence encoders of the BERT family, or
        static tables), a text file of word vectors, the name of an installed package that carries
        a model, or of one in this machine's hub cache.
    device
        `cpu`, `cuda`, or `auto`: a GPU where there is one. For sentence encoders.
    precision
        Of a sentence encoder's matrix products.

    Raises
    ------
    ConfigError
        When nothing is there or it cannot be read by this code; says the way out.
    MissingExtra
        When a sentence encoder is opened without PyTorch.
    """
    where = located(path_or_name)
    if where.is_dir() and _is_sentence(where):
        return open_sentence_encoder(where, device=device, threads=threads, precision=precision)
    return open_static(where)


def _is_sentence(folder: Path) -> bool:
    config = folder / "config.json"
    return config.is_file() and "hidden_size" in json.loads(config.read_text(encoding="utf-8"))


def open_sentence_encoder(
    folder: Path, *, device: str = "cpu", threads: int = 1, precision: Precision = "float32"
) -> SentenceEncoder:
    """Open a folder of a sentence encoder; see `open_encoder`."""
    device = _device(device)
    pieces = WordPieces.load(folder)
    bert = Bert.load(folder, device, precision)
    told = _json(folder / "sentence_bert_config.json")
    window = int(told.get("max_seq_length") or bert.shape.most_positions)
    return SentenceEncoder(
        folder=folder,
        pieces=pieces,
        bert=bert,
        max_tokens=min(window, bert.shape.most_positions),
        first=_pools_first(folder),
        threads=threads,
        tokens_at_once=_TOKENS_AT_ONCE.get(device.partition(":")[0], 16_384),
    )


def _device(asked: str) -> str:
    torch = torch_or_told()
    present = bool(torch.cuda.is_available())
    if asked == "auto":
        return "cuda" if present else "cpu"
    if asked.startswith("cuda") and not present:
        raise ConfigError(
            f"device {asked!r}: PyTorch sees no GPU here; say device='auto' to use one where there "
            "is one, or install a PyTorch that was built for it."
        )
    return asked


def _pools_first(folder: Path) -> bool:
    """Say whether the first token is the text's vector; the mean of all is what else is known."""
    told = _json(folder / "1_Pooling" / "config.json")
    on = [key for key, value in told.items() if key.startswith("pooling_mode_") and value is True]
    known = {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
    if not on:
        return False
    if len(on) > 1 or on[0] not in known:
        raise ConfigError(f"{folder} pools by {', '.join(on)}; this pools by mean or first token.")
    return known[on[0]]


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found


Means = Callable[[Sequence[Sequence[int]], Sequence[FloatArray | None], bool], FloatArray]


@dataclass(eq=False)
class SentenceEncoder:
    """Vectors of whole texts by a BERT: pooled over its tokens, windows and all, of length 1.

    Safe to share between threads.

    Parameters
    ----------
    max_tokens
        The window, marks included. A longer text is read in windows that overlap, and each of its
        tokens counts once: nothing is cut off.
    first
        Whether the window's first token is its vector, instead of the mean.
    tokens_at_once
        Of one batch; halved whenever the device's memory does not suffice.
    """

    folder: Path
    pieces: WordPieces
    bert: Bert
    max_tokens: int
    first: bool = False
    threads: int = 1
    tokens_at_once: int = 2048
    kind: str = "sentence"
    _means: Means = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._marks = (self.pieces.number("[CLS]"), self.pieces.number("[SEP]"))
        self._means = self.bert.means

    @property
    def size(self) -> int:
        """How many numbers a vector has."""
        return self.bert.shape.size

    @cached_property
    def weights_hash(self) -> str:
        """Hash of the files, and of the precision where it is not the usual one."""
        found = hash_of(files_of(self.folder))
        return found if self.bert.precision == "float32" else f"{found}-{self.bert.precision}"

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Return float32 (n, size), each row of length 1.

        Raises
        ------
        MemoryRefused
            When the device cannot hold a single window.
        """
        found = np.zeros((len(texts), self.size), np.float32)
        with threads_of_torch(self.threads):
            for start in range(0, len(texts), _TEXTS_AT_ONCE):
                part = texts[start : start + _TEXTS_AT_ONCE]
                self._add(list(self._chunks(part)), found[start : start + len(part)])
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return found / np.where(lengths > 0, lengths, 1)

    def _chunks(self, texts: Sequence[str]) -> Iterator[Chunk]:
        window = self.max_tokens - 2
        overlap = min(OVERLAP, window // 4)
        for text, numbers in enumerate(self.pieces.many(texts)):
            yield from chunks_of(text, numbers, window, overlap, self._marks)

    def _add(self, chunks: list[Chunk], found: FloatArray) -> None:
        """Add the chunks' vectors to their texts' rows, in the order of each text."""
        ordered = sorted(chunks, key=lambda one: len(one.numbers))
        vectors = np.concatenate([np.zeros((0, self.size), np.float32), *self._vectors(ordered)])
        texts = np.array([one.text for one in ordered], dtype=np.int64)
        np.add.at(found, texts, vectors)

    def _vectors(self, chunks: list[Chunk]) -> Iterator[FloatArray]:
        """Yield vectors batch by batch; a batch that does not fit comes again in halves."""
        torch = torch_or_told()
        done = 0
        while done < len(chunks):
            batch = batch_at(chunks, done, self.tokens_at_once)
            try:
                rows, weights = [one.numbers for one in batch], [one.weights for one in batch]
                yield self._means(rows, weights, self.first)
            except torch.cuda.OutOfMemoryError as error:
                self._halve(len(batch), error)
                continue
            done += len(batch)

    def _halve(self, n: int, error: Exception) -> None:
        import torch

        if n == 1:
            raise MemoryRefused(
                f"{self.bert.device} has no memory for one window of {self.max_tokens} tokens; "
                "free some, or say device='cpu'."
            ) from error
        self.tokens_at_once = max(1, self.tokens_at_once // 2)
        torch.cuda.empty_cache()
        _log.warning("the batch was halved", extra={"tokens_at_once": self.tokens_at_once})

    def save(self, folder: Path) -> None:
        """Copy weights, configuration and tokenizer."""
        copy_files(self.folder, folder)
