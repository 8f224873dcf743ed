"""Features of texts kept by what the text says and by everything that computed them."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.columns import FloatArray
from promise.features.text_cache_stores import MemoryEntries, TextStore
from promise.models.encoder import ENCODER_VERSION, Encoder

_log = logging.getLogger(__name__)
LOOK_UPS = 1000
"""So many texts are looked up before a low rate of hits is worth a warning."""

_LOW = 0.5
_CHECK = 8  # bytes of the checksum before each value
_BLANKS = re.compile(r"[^\S\x0b\x0c\x1c-\x1f\x85]+")  # controls are no blanks: encoders drop them

Compute = Callable[[Sequence[str]], FloatArray]


def normal_text(text: str) -> str:
    """Return the text as caches know it: composed characters, single blanks, none at the ends.

    Examples
    --------
    >>> normal_text("  Cafe\u0301\\n\\nopens ") == "Café opens"
    True
    """
    return _BLANKS.sub(" ", unicodedata.normalize("NFC", text)).strip(" ")


@dataclass(frozen=True)
class CacheStats:
    """How a cache does.

    Parameters
    ----------
    size
        Entries that it holds.
    hit_rate
        Share of looked-up texts that were found, in [0, 1]; 0 before the first.
    seconds
        What computing the others took.
    """

    enabled: bool
    size: int
    memory_mb: float
    hit_rate: float
    hits: int = 0
    misses: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return vars(self).copy()


@dataclass(eq=False)
class TextCache:
    """Computes a text's features once for as long as text, code, settings and weights are equal.

    A value is found only under the hash of all four, so another version of the extractor never
    sees what an older one left. What a store lost or damaged is computed again.

    Parameters
    ----------
    extractor, version
        Which code computes, and which state of it: raised whenever equal texts get other values.
    configuration
        Its settings, JSON-ready.
    weights_hash
        Of what it learned or loaded.
    normalise
        What is looked up and computed of a text, so that equal keys have equal values.

    Examples
    --------
    >>> cache = TextCache("length")
    >>> measured = lambda texts: np.array([[len(text)] for text in texts], np.float32)
    >>> cache.values(["one", "three", " one "], measured, 1).ravel().tolist()
    [3.0, 5.0, 3.0]
    >>> _ = cache.values(["one"], measured, 1)
    >>> cache.stats().hits, cache.stats().size
    (2, 2)
    """

    extractor: str
    version: int = 1
    configuration: Mapping[str, Any] = field(default_factory=dict)
    weights_hash: str = ""
    store: TextStore = field(default_factory=MemoryEntries)
    normalise: Callable[[str], str] = normal_text
    hits: int = 0
    misses: int = 0
    seconds: float = 0.0
    _warned: bool = False

    @cached_property
    def _mark(self) -> bytes:
        """Hash of everything beside the text."""
        settings = json.dumps(self.configuration, sort_keys=True, ensure_ascii=False)
        parts = (self.extractor, str(self.version), settings, self.weights_hash)
        return blake2b("\x1f".join(parts).encode(), digest_size=16).digest()

    def key(self, normal: str) -> bytes:
        """Return the key of a normalised text, 16 bytes."""
        data = normal.encode("utf-8", "surrogatepass")
        return blake2b(data, digest_size=16, key=self._mark).digest()

    def values(self, texts: Sequence[str], compute: Compute, size: int) -> FloatArray:
        """Return float32 (n, size): found where known, else computed, once for equal texts.

        Parameters
        ----------
        compute
            Normalised texts to float32 (n, size); called once, with those that are not known.
        """
        normal = [self.normalise(text) for text in texts]
        keys = [self.key(text) for text in normal]
        distinct = dict(zip(keys, normal, strict=True))
        known = self.store.get_many(list(distinct))
        told = {key: _unframed(found, size) for key, found in known.items()}
        rows = {key: row for key, row in told.items() if row is not None}
        lacking = [key for key in distinct if key not in rows]
        if lacking:
            begun = time.perf_counter()
            made = np.asarray(compute([distinct[key] for key in lacking]), dtype=np.float32)
            self.seconds += time.perf_counter() - begun
            rows |= dict(zip(lacking, made, strict=True))
            self.store.put_many({key: _framed(rows[key]) for key in lacking})
        self._count(len(texts), len(lacking))
        if not keys:
            return np.zeros((0, size), np.float32)
        return np.stack([rows[key] for key in keys])

    def lacking(self, texts: Sequence[str]) -> int:
        """Return how many different ones of the texts would have to be computed."""
        keys = {self.key(self.normalise(text)) for text in texts}
        return len(keys) - len(self.store.get_many(list(keys)))

    def _count(self, n: int, lacking: int) -> None:
        self.misses += lacking
        self.hits += n - lacking
        looked_up = self.hits + self.misses
        if not self._warned and looked_up >= LOOK_UPS and self.hits < _LOW * looked_up:
            self._warned = True
            facts = {"extractor": self.extractor, "hit_rate": self.hits / looked_up}
            _log.warning("fewer than half of the texts are found in the cache", extra=facts)

    def stats(self) -> CacheStats:
        """Return how the cache does."""
        held, looked_up = self.store.held(), self.hits + self.misses
        return CacheStats(
            enabled=True,
            size=held.n,
            memory_mb=held.n_bytes / 2**20,
            hit_rate=self.hits / max(1, looked_up),
            hits=self.hits,
            misses=self.misses,
            seconds=self.seconds,
        )

    def clear(self) -> None:
        """Forget every value in the store, other extractors' too, and count anew."""
        self.store.clear()
        self.hits = self.misses = 0
        self.seconds = 0.0
        self._warned = False


def _framed(row: FloatArray) -> bytes:
    data = np.ascontiguousarray(row, dtype="<f4").tobytes()
    return blake2b(data, digest_size=_CHECK).digest() + data


def _unframed(found: bytes, size: int) -> FloatArray | None:
    """Return the vector; None where the bytes are not what was kept."""
    data = found[_CHECK:]
    if len(data) != 4 * size or blake2b(data, digest_size=_CHECK).digest() != found[:_CHECK]:
        return None
    return np.frombuffer(data, "<f4")


@dataclass(eq=False)
class CachedEncoder:
    """An encoder that computes each text once; an Encoder itself.

    Its vectors are those of the normalised text, whether they were found or computed.

    Parameters
    ----------
    encoder
        What computes.
    cache
        Made by `CachedEncoder.over`, so that its key holds the encoder's weights.
    """

    encoder: Encoder
    cache: TextCache

    @classmethod
    def over(cls, encoder: Encoder, store: TextStore | None = None) -> CachedEncoder:
        """Put a cache before an encoder: 100 MB in process unless another store is given."""
        cache = TextCache(
            f"encoder:{encoder.kind}",
            ENCODER_VERSION,
            {"size": encoder.size, "max_tokens": encoder.max_tokens},
            encoder.weights_hash,
            MemoryEntries() if store is None else store,
        )
        return cls(encoder, cache)

    @property
    def kind(self) -> str:
        """`sentence` or `static`."""
        return self.encoder.kind

    @property
    def size(self) -> int:
        """How many numbers a vector has."""
        return self.encoder.size

    @property
    def max_tokens(self) -> int | None:
        """The encoder's window."""
        return self.encoder.max_tokens

    @property
    def weights_hash(self) -> str:
        """Hash of everything that decides what a text's vector is."""
        return self.encoder.weights_hash

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Return float32 (n, size)."""
        return self.cache.values(texts, self.encoder.encode, self.size)

    async def encode_soon(self, texts: Sequence[str]) -> FloatArray:
        """Return what `encode` does, without holding up the event loop."""
        return await asyncio.to_thread(self.encode, texts)

    def save(self, folder: Path) -> None:
        """Write the encoder; the cache stays where it is."""
        self.encoder.save(folder)
