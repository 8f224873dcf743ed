"""Everybody as they are now: the snapshot's rows, changed in this process alone, and new ones."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from promise.data.columns import Array, IntArray
from promise.features.people_ids import NOBODY
from promise.features.people_profile import Lexicon, Profile, row_of
from promise.models.short_vectors import ShortVectors
from promise.workloads.matching.snapshot import Snapshot

GONE, LOOSE, HIDDEN, TIED, FOLDED = (np.uint8(1 << bit) for bit in range(5))
"""Flags: deleted; not where the layout has them; only heard of; has new ties; has new vectors."""
BARRED = GONE | LOOSE | HIDDEN
"""Who has one of these is not found by the layout."""
_REAL = ("age", "position", "completeness", "extras")
_ROOM = 64
_MANY = 32


class Register:
    """Codes, profiles and flags; a code stays with its person and is never given twice.

    A snapshot that was loaded with mode `"c"` is changed in place, where only this process sees it.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        people = snapshot.people
        self.n_base = people.n
        self.n = people.n
        self.lexicon = Lexicon.over(people.words, most_interests=64 * people.interests.shape[1])
        self.flags = np.zeros(people.n + _ROOM, np.uint8)
        self._snapshot = snapshot
        self._base = {name: array for name, array in people.arrays.items() if name != "ids"}
        self._new = {name: _room(array, _ROOM) for name, array in self._base.items()}
        self._codes: dict[str, int] = {}
        self._looked_up: dict[str, int] = {}
        self._ids: list[str] = []
        self._loose: dict[int, None] = {}
        self._loose_codes: IntArray | None = None
        self._moved: list[int] = []
        self._moved_codes: IntArray = np.empty(0, np.int64)

    def code(self, id: str) -> int:
        """Return the code of an id, -1 for one that nobody has told of."""
        found = self._codes.get(id)
        if found is None:
            found = self._looked_up.get(id)
        return self._snapshot.roll.row(id) if found is None else found

    def look_up(self, ids: list[str]) -> None:
        """Look for many ids at once; `code` finds these faster until others are looked up."""
        self._looked_up = {}
        if len(ids) > _MANY:
            self._looked_up = dict(zip(ids, self._snapshot.roll.rows(ids).tolist(), strict=True))

    def ids(self, codes: Iterable[int]) -> list[str]:
        """Return ids of codes."""
        base, known = self._snapshot.people.ids, self.n_base
        return [str(base[c]) if c < known else self._ids[c - known] for c in codes]

    def take(self, name: str, codes: IntArray) -> Array:
        """Return one of the arrays of `People` for these codes."""
        if self.n == self.n_base:
            return self._base[name][codes]
        return joined(self._base[name], self._new[name], codes)

    def code_or_new(self, id: str) -> int:
        """Return the code of an id; who was only heard of is hidden until they do something."""
        found = self.code(id)
        return found if found != NOBODY else self._add(id, Profile(), True)

    def put(self, id: str, profile: Profile) -> int:
        """Write a whole profile, of somebody new or known, and return the code.

        One that says what is known already changes nothing: they stay where the layout has them.
        """
        code = self.code(id)
        if code == NOBODY:
            return self._add(id, profile, False)
        if code < self.n_base and self._is_known(code, profile):
            return code
        self._write(code, profile)
        self._loosen(code)
        return code

    def _is_known(self, code: int, profile: Profile) -> bool:
        row = row_of(profile, self.lexicon)
        return all(
            np.array_equal(array[code], np.asarray(row[name], array.dtype), equal_nan=name in _REAL)
            for name, array in self._base.items()
        )

    def show(self, code: int) -> None:
        """Offer somebody who was only heard of until now."""
        self.flags[code] &= ~HIDDEN

    def forget(self, id: str) -> int:
        """Leave nothing of a person but a mark, and return the code; -1 where nobody is known."""
        code = self.code(id)
        if code == NOBODY:
            return code
        self._write(code, Profile())
        self._loosen(code)
        self._loose.pop(code, None)
        self._loose_codes = None
        self.flags[code] = GONE | LOOSE
        if code >= self.n_base:
            self._ids[code - self.n_base] = ""
        self._codes[id] = NOBODY
        return code

    @property
    def loose(self) -> IntArray:
        """The codes of those whom the layout does not hold, or not where they belong: int64."""
        if self._loose_codes is None:
            self._loose_codes = np.fromiter(self._loose, np.int64, len(self._loose))
        return self._loose_codes

    @property
    def width(self) -> int:
        """How many words of bits the interests take."""
        return int(self._base["interests"].shape[1])

    @property
    def moved(self) -> IntArray:
        """Codes of the snapshot that the layout no longer holds in their place: int64."""
        if len(self._moved_codes) != len(self._moved):
            self._moved_codes = np.array(self._moved, np.int64)
        return self._moved_codes

    def _add(self, id: str, profile: Profile, hidden: bool) -> int:
        code, place = self.n, self.n - self.n_base
        if place >= len(self._new["age"]):
            self._new = {name: grown(array) for name, array in self._new.items()}
            self.flags = np.concatenate([self.flags, np.zeros(place + _ROOM, np.uint8)])
        self.n += 1
        self._codes[id] = code
        self._ids.append(id)
        self._write(code, profile)
        self._loosen(code)
        if hidden:
            self.flags[code] |= HIDDEN
        return code

    def _write(self, code: int, profile: Profile) -> None:
        row = row_of(profile, self.lexicon)
        old = code < self.n_base
        into, place = (self._base, code) if old else (self._new, code - self.n_base)
        for name, array in into.items():
            array[place] = row[name]

    def _loosen(self, code: int) -> None:
        if code < self.n_base and not self.flags[code] & LOOSE:
            self._moved.append(code)
        self.flags[code] = (self.flags[code] | LOOSE) & ~HIDDEN
        self._loose[code] = None
        self._loose_codes = None


def joined(base: Array | ShortVectors, new: Array, codes: IntArray) -> Array:
    """Return rows by code: those of the snapshot, then the new ones."""
    if not len(codes):
        return base[:0]
    if int(codes.max()) < len(base):
        return base[codes]
    fresh = codes >= len(base)
    found = np.empty((len(codes), *base.shape[1:]), base.dtype)
    found[~fresh] = base[codes[~fresh]]
    found[fresh] = new[codes[fresh] - len(base)]
    return found


def grown(array: Array) -> Array:
    """Return twice the room."""
    return np.concatenate([array, np.zeros_like(array)])


def _room(like: Array, n: int) -> Array:
    return np.zeros((n, *like.shape[1:]), like.dtype)
