"""A static table of a sentence encoder, made when it is first needed and kept in a folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from promise.data.columns import FloatArray
from promise.models.encoder import SentenceEncoder
from promise.models.encoder_static import StaticEncoder, distilled, open_static
from promise.state.files import whole_folder

SIZE = 256
"""Numbers of a vector, as far as the encoder has as many."""

_PROBE = 256  # pieces that tell what the others take


@dataclass(eq=False)
class DistilledEncoder:
    """Vectors of a sentence encoder's own pieces, averaged: no network runs for a text.

    Parameters
    ----------
    source
        What the table is made of.
    home
        Where tables are kept, one folder for each encoder; made where it is missing.
    """

    source: SentenceEncoder
    home: Path
    kind: str = "static"
    max_tokens: int | None = None

    @property
    def size(self) -> int:
        """How many numbers a vector has."""
        return min(SIZE, self.source.size)

    @property
    def folder(self) -> Path:
        """Where the table is kept."""
        return self.home / f"{self.source.weights_hash[:32]}-{self.size}"

    @property
    def seconds_needed(self) -> float:
        """What making the table would take, measured on a few pieces; 0 where it is made."""
        if self.folder.is_dir():
            return 0.0
        pieces = list(self.source.pieces.numbers)
        begun = time.perf_counter()
        self.source.encode(pieces[-_PROBE:])
        spent = time.perf_counter() - begun
        return spent * len(pieces) / min(_PROBE, len(pieces))

    @cached_property
    def table(self) -> StaticEncoder:
        """The table, made at first use."""
        if not self.folder.is_dir():
            with whole_folder(self.folder, replace=True) as draft:
                distilled(self.source, self.source.pieces, draft, self.size)
        return open_static(self.folder)

    @property
    def weights_hash(self) -> str:
        """Hash of the table and of what cuts texts."""
        return self.table.weights_hash

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Return float32 (n, size); zeros where nothing of a text is known."""
        return self.table.encode(texts)

    def save(self, folder: Path) -> None:
        """Write the table and what cuts texts; the sentence encoder is not needed any more."""
        self.table.save(folder)
