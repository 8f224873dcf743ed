"""Who may meet whom: both seek each other, neither blocks, nobody twice, and what is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import inf, isnan, nan
from pathlib import Path
from typing import Any, Literal

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.errors import DataError, near
from promise.features.people import EVERYBODY, UNKNOWN, People, bits_of, mapped
from promise.features.people_profile import Lexicon
from promise.features.people_values import read_gender, read_interests, read_number, read_text

FILTERS = ("place", "age", "gender", "interests", "distance_km")
"""What a request may ask of candidates, beside ranges of further profile numbers."""


def seeks_gender(seeks: Array, gender: Array) -> Array:
    """Say whether a gender is among those sought; one that is not told only suits who seeks all.

    Examples
    --------
    >>> seeks_gender(np.array([2, 1, EVERYBODY], np.uint64), np.array([1, 1, -1]))
    array([ True, False,  True])
    """
    bit = np.maximum(gender, 0).astype(np.uint64)
    told = (seeks >> bit) & np.uint64(1) == 1
    found: Array = np.where(gender >= 0, told, seeks == EVERYBODY)
    return found


@dataclass(frozen=True)
class Layout:
    """Everybody in the order of group, place and age, so that whom to scan lies together.

    A group is who has the same gender and seeks the same genders.

    Parameters
    ----------
    group_gender, group_seeks
        int8 (n_groups,) and uint64 (n_groups,).
    cells
        Where each cell (group, then place; the first place is of those who tell none) starts:
        int64 (n_groups * n_places + 1,).
    order
        The code at each place: int32 (n,).
    rank
        The place of each code: int32 (n,).
    age, interests
        In this order: float32 (n,), uint64 (n, n_words).
    """

    group_gender: IntArray
    group_seeks: IntArray
    cells: IntArray
    order: IntArray
    rank: IntArray
    age: FloatArray
    interests: IntArray

    @property
    def n_places(self) -> int:
        """How many places there are, with the one for those who tell none."""
        return max(1, (len(self.cells) - 1) // max(1, len(self.group_gender)))

    @classmethod
    def of(cls, people: People) -> Layout:
        """Sort everybody."""
        key = np.empty(people.n, dtype=[("gender", np.int8), ("seeks", np.uint64)])
        key["gender"], key["seeks"] = people.gender, people.seeks
        groups, group = np.unique(key, return_inverse=True)
        n_places = len(people.words.places) + 1
        cell = group * n_places + people.place + 1
        order = np.lexsort((people.age, cell)).astype(np.int32)  # NaN lies last
        rank = np.empty(people.n, np.int32)
        rank[order] = np.arange(people.n, dtype=np.int32)
        edges = np.arange(len(groups) * n_places + 1)
        return cls(
            group_gender=np.ascontiguousarray(groups["gender"]),
            group_seeks=np.ascontiguousarray(groups["seeks"]),
            cells=np.searchsorted(cell[order], edges).astype(np.int64),
            order=order,
            rank=rank,
            age=people.age[order],
            interests=people.interests[order],
        )

    def save(self, folder: Path) -> None:
        """Write one `.npy` for each array into an existing folder."""
        for one in fields(self):
            np.save(folder / f"{one.name}.npy", getattr(self, one.name))

    @classmethod
    def load(cls, folder: Path, mode: Literal["r", "c"] | None = "r") -> Layout:
        """Read back what `save` wrote."""
        return cls(**{one.name: mapped(folder / f"{one.name}.npy", mode) for one in fields(cls)})


@dataclass(frozen=True)
class Wish:
    """What a request asks of candidates beyond being eligible; everything is optional.

    Parameters
    ----------
    places, genders
        Codes, or None for any.
    age
        Bounds in years, both within; NaN for none.
    interests
        At least one of these bits: uint64 (n_words,), or None.
    within_km
        Largest distance; infinite for any.
    extras
        Column of a further number, with its bounds.
    """

    places: IntArray | None = None
    genders: IntArray | None = None
    age: tuple[float, float] = (nan, nan)
    interests: IntArray | None = None
    within_km: float = inf
    extras: tuple[tuple[int, float, float], ...] = ()

    @property
    def by_spans(self) -> bool:
        """Whether groups, places and ages say everything, so that nobody of a span fails it."""
        return self.interests is None and self.within_km == inf and not self.extras


def read_wish(filters: Mapping[str, Any], lexicon: Lexicon, n_words: int) -> Wish:
    """Read the filters of a request.

    Raises
    ------
    DataError
        For an unknown filter, with its near match, or a value that cannot be read.

    Examples
    --------
    >>> read_wish({"age": [25, 35]}, Lexicon(), 1).age
    (25.0, 35.0)
    """
    known = (*FILTERS, *lexicon.extras)
    unknown = next((name for name in filters if name not in known), None)
    if unknown is not None:
        raise DataError(f"there is no filter {unknown!r}; {near(unknown, known)}")
    told = {name: value for name, value in filters.items() if value is not None}
    within = read_number(told.get("distance_km"), "distance_km")
    return Wish(
        places=_codes(told, "place", lexicon.places),
        genders=_codes(told, "gender", lexicon.genders),
        age=_bounds(told["age"], "age") if "age" in told else (nan, nan),
        interests=_bits(told, lexicon, n_words),
        within_km=inf if isnan(within) else within,
        extras=tuple(
            (column, *_bounds(told[name], name))
            for column, name in enumerate(lexicon.extras)
            if name in told
        ),
    )


def _codes(told: Mapping[str, Any], name: str, codes: Mapping[str, int]) -> IntArray | None:
    """Return the codes of the texts that are known; nobody has the others."""
    if name not in told:
        return None
    value = told[name]
    listed = value if isinstance(value, list | tuple) else [value]
    reader = read_gender if name == "gender" else _place
    texts = [reader(one) for one in listed]
    found = [codes[text.casefold()] for text in texts if text and text.casefold() in codes]
    return np.array(found, dtype=np.int64)


def _place(value: Any) -> str | None:
    return read_text(value, "place")


def _bits(told: Mapping[str, Any], lexicon: Lexicon, n_words: int) -> IntArray | None:
    if "interests" not in told:
        return None
    words = [word.casefold() for word in read_interests(told["interests"])]
    codes = [lexicon.interests[word] for word in words if word in lexicon.interests]
    return bits_of(np.array(codes, dtype=np.int64), n_words)


def _bounds(value: Any, name: str) -> tuple[float, float]:
    """Return a range as `[25, 35]`, `"25..35"`, or one number for both ends; None leaves one open.

    Examples
    --------
    >>> _bounds("25..35", "age"), _bounds([None, 40], "age"), _bounds(30, "age")
    ((25.0, 35.0), (-inf, 40.0), (30.0, 30.0))
    """
    parts: Sequence[Any]
    if isinstance(value, str) and ".." in value:
        parts = value.split("..", 1)
    elif isinstance(value, list | tuple):
        parts = value
    else:
        parts = (value, value)
    if len(parts) != 2:
        raise DataError(f"{name} {value!r} is no range; write [25, 35] or 25..35.")
    low, high = (read_number(part, name) for part in parts)
    low, high = (-inf if isnan(low) else low), (inf if isnan(high) else high)
    if low > high:
        raise DataError(f"{name} {value!r} is empty: it ends below where it begins.")
    return low, high


def fits(wish: Wish, people: Mapping[str, Array], distance: FloatArray | None) -> Array:
    """Say which of these people a request asks for: bool (m,).

    What somebody does not tell does not fit a filter on it.

    Parameters
    ----------
    people
        The arrays of `People`, by name, for the people in question.
    distance
        Kilometres to each, where `within_km` is asked for.
    """
    kept = np.ones(len(people["age"]), dtype=bool)
    if wish.places is not None:
        kept &= np.isin(people["place"], wish.places) & (people["place"] != UNKNOWN)
    if wish.genders is not None:
        kept &= np.isin(people["gender"], wish.genders) & (people["gender"] != UNKNOWN)
    if not isnan(wish.age[0]):
        kept &= (people["age"] >= wish.age[0]) & (people["age"] <= wish.age[1])
    if wish.interests is not None:
        kept &= (people["interests"] & wish.interests).any(axis=1)
    if distance is not None:
        kept &= distance <= wish.within_km
    for column, low, high in wish.extras:
        values = people["extras"][:, column]
        kept &= (values >= low) & (values <= high)
    return kept
