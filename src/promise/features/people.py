"""People as arrays: who they are, whom they seek, and what two of them have in common."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.errors import ArtifactError
from promise.features.people_ids import Roll, ids_array

UNKNOWN = -1
"""The code of a place or gender that a person does not tell."""
EVERYBODY = np.uint64(0xFFFFFFFFFFFFFFFF)
"""What somebody seeks who says nothing of it."""
NEVER_US = int(np.iinfo(np.int64).min)
"""When an account began that does not tell."""
BITS = 64
"""How many interests a word of bits holds."""


@dataclass(frozen=True)
class Words:
    """The texts that codes and bits stand for, in their order.

    Parameters
    ----------
    interests
        At most 64 a word of bits: interest `i` is bit `i % 64` of word `i // 64`.
    extras
        Further profile numbers that a ranker reads.
    """

    places: tuple[str, ...] = ()
    genders: tuple[str, ...] = ()
    interests: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()

    def joined(self, other: Words) -> Words:
        """Return these texts and those of the other that are not among them, after them."""
        return Words(
            **{
                one.name: tuple(dict.fromkeys(getattr(self, one.name) + getattr(other, one.name)))
                for one in fields(self)
            }
        )


@dataclass(frozen=True)
class People:
    """Everyone of one snapshot, a row each; what is not known is NaN, -1 or no bit.

    Parameters
    ----------
    ids
        As callers know them, as text: unicode of a fixed width (n,), each once.
    age
        Years: float32 (n,).
    place
        Codes into `words.places`: int32 (n,).
    position
        Latitude and longitude in degrees: float32 (n, 2).
    gender
        Codes into `words.genders`: int8 (n,).
    seeks
        Bit `g` is set where gender `g` is sought; all bits where nothing is said: uint64 (n,).
    interests
        Bits: uint64 (n, n_words).
    joined_us
        When the account began, microseconds since 1970: int64 (n,); the smallest integer where
        it is not known.
    completeness
        Share of the profile's fields that are filled: float32 (n,).
    extras
        float32 (n, n_extras).
    """

    words: Words
    ids: Array
    age: FloatArray
    place: IntArray
    position: FloatArray
    gender: IntArray
    seeks: IntArray
    interests: IntArray
    joined_us: IntArray
    completeness: FloatArray
    extras: FloatArray

    @classmethod
    def nobody(cls, words: Words, n_words: int = 1) -> People:
        """Return no people, of the right shapes and types."""
        return cls(
            words=words,
            ids=np.empty(0, "<U1"),
            age=np.empty(0, np.float32),
            place=np.empty(0, np.int32),
            position=np.empty((0, 2), np.float32),
            gender=np.empty(0, np.int8),
            seeks=np.empty(0, np.uint64),
            interests=np.empty((0, n_words), np.uint64),
            joined_us=np.empty(0, np.int64),
            completeness=np.empty(0, np.float32),
            extras=np.empty((0, len(words.extras)), np.float32),
        )

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.ids)

    @property
    def arrays(self) -> dict[str, Array]:
        """Every array by its name, as `save` writes them."""
        return {name: getattr(self, name) for name in ARRAYS}

    def roll(self) -> Roll:
        """Return what finds rows by id."""
        return Roll.of(self.ids)

    def take(self, rows: Array) -> People:
        """Return the people at these rows, or where this mask is true."""
        kept: dict[str, Any] = {name: array[rows] for name, array in self.arrays.items()}
        return replace(self, **kept)

    def grown(self, others: People) -> People:
        """Return these people and, after them, others; whoever is among both is as others tell.

        Codes and bits of these people stay; those of the others follow the joined words.
        """
        again = np.flatnonzero(np.isin(self.ids, others.ids))
        words = self.words.joined(others.words)
        kept = np.setdiff1d(np.arange(self.n), again)
        first, second = _recoded(self.take(kept), words), _recoded(others, words)
        parts = {name: (array, second.arrays[name]) for name, array in first.arrays.items()}
        del parts["ids"]
        ids = ids_array([*first.ids.tolist(), *second.ids.tolist()])
        joined: dict[str, Any] = {name: np.concatenate(both) for name, both in parts.items()}
        return People(words, ids, **joined)

    def save(self, folder: Path) -> None:
        """Write one `.npy` for each array, and the words as JSON, into an existing folder."""
        for name, array in self.arrays.items():
            np.save(folder / f"{name}.npy", array)
        np.save(folder / "order.npy", self.roll().order)
        told = {one.name: list(getattr(self.words, one.name)) for one in fields(self.words)}
        (folder / "words.json").write_text(json.dumps(told), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, mode: Literal["r", "c"] | None = "r") -> People:
        """Read back what `save` wrote: mapped, so that only what is looked at takes memory.

        Parameters
        ----------
        mode
            `"r"` maps for reading, `"c"` lets this process alone change what it sees, and None
            reads everything into memory.
        """
        told = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        arrays = {name: mapped(folder / f"{name}.npy", mode) for name in ARRAYS}
        lengths = {len(array) for array in arrays.values()}
        if len(lengths) != 1:
            raise ArtifactError(f"{folder}: the arrays of people differ in length: {lengths}.")
        return cls(Words(**{name: tuple(texts) for name, texts in told.items()}), **arrays)


ARRAYS = tuple(one.name for one in fields(People) if one.name != "words")
"""The names of a snapshot's arrays."""


def mapped(path: Path, mode: Literal["r", "c"] | None = "r") -> Array:
    """Return the array of a `.npy` file, mapped where it has anything to map."""
    with path.open("rb") as file:
        read = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if read == (1, 0) else None
        shape = header(file)[0] if header is not None else (1,)
    empty = 0 in shape
    found: Array = np.load(path, mmap_mode=None if empty else mode, allow_pickle=False)
    # a plain view: the subclass costs microseconds at every slice
    return found if empty or mode is None else found.view(np.ndarray)


def n_interest_words(words: Words) -> int:
    """Return how many words of bits the interests take; at least one."""
    return max(1, -(-len(words.interests) // BITS))


def bits_of(codes: Array, n_words: int) -> IntArray:
    """Return a row of bits with these codes set: uint64 (n_words,)."""
    found = np.zeros(n_words, np.uint64)
    codes = np.asarray(codes, dtype=np.int64)
    np.bitwise_or.at(found, codes // BITS, np.uint64(1) << (codes % BITS).astype(np.uint64))
    return found


def codes_of(bits: Array) -> list[int]:
    """Return which codes are set in one row of bits.

    Examples
    --------
    >>> codes_of(bits_of(np.array([3, 64]), 2))
    [3, 64]
    """
    flags = np.unpackbits(np.ascontiguousarray(bits).view(np.uint8), bitorder="little")
    return [int(code) for code in np.flatnonzero(flags)]


def _recoded(people: People, words: Words) -> People:
    """Return the same people with codes and bits into other words, which hold all of theirs."""
    if people.words == words and people.interests.shape[1] == n_interest_words(words):
        return people
    places, genders = (
        np.array([*_places_in(had, new), UNKNOWN], dtype=np.int64)
        for had, new in (
            (people.words.places, words.places),
            (people.words.genders, words.genders),
        )
    )
    extras = np.full((people.n, len(words.extras)), np.nan, np.float32)
    extras[:, _places_in(people.words.extras, words.extras)] = people.extras
    return replace(
        people,
        words=words,
        place=places[people.place].astype(np.int32),
        gender=genders[people.gender].astype(np.int8),
        seeks=_moved_seeks(people.seeks, genders[:-1]),
        interests=_moved_bits(people, words),
        extras=extras,
    )


def _places_in(had: tuple[str, ...], new: tuple[str, ...]) -> list[int]:
    where = {text: code for code, text in enumerate(new)}
    return [where[text] for text in had]


def _moved_seeks(seeks: Array, genders: Array) -> IntArray:
    told = (np.uint64(1) << np.uint64(len(genders))) - np.uint64(1)
    others = EVERYBODY & ~np.uint64(sum(1 << new for new in genders.tolist())) >> np.uint64(1)
    # who seeks all genders but their own also seeks those that were not heard of yet
    moved = np.where(seeks & ~told, others, np.uint64(0))
    for old, new in enumerate(genders.tolist()):
        moved |= ((seeks >> np.uint64(old)) & np.uint64(1)) << np.uint64(new)
    return np.where(seeks == EVERYBODY, EVERYBODY, moved)


def _moved_bits(people: People, words: Words) -> IntArray:
    moved = np.zeros((people.n, n_interest_words(words)), np.uint64)
    where = _places_in(people.words.interests, words.interests)
    for old, new in enumerate(where):
        bit = (people.interests[:, old // BITS] >> np.uint64(old % BITS)) & np.uint64(1)
        moved[:, new // BITS] |= bit << np.uint64(new % BITS)
    return moved
