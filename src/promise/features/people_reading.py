"""A table of profiles, of mixed types, read into `People`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import pyarrow as pa

from promise.data.columns import Array, IntArray
from promise.errors import DataError, near
from promise.features.people import (
    EVERYBODY,
    NEVER_US,
    UNKNOWN,
    People,
    bits_of,
    n_interest_words,
)
from promise.features.people_ids import id_text, ids_array
from promise.features.people_profile import FIELDS, MOST_INTERESTS, Lexicon
from promise.features.people_values import (
    degrees,
    numbers_of,
    read_age,
    read_gender,
    read_interests,
    read_joined,
    read_seeks,
    read_text,
)

_COUNTED = ("age", "place", "gender", "seeks", "interests")


def read_people(
    columns: Mapping[str, Any],
    *,
    extras: Mapping[str, Any] | None = None,
    most_interests: int = MOST_INTERESTS,
) -> People:
    """Read a table of people.

    Parameters
    ----------
    columns
        Field (see `FIELDS`) to its values, as Arrow, NumPy or a list; `id` at least.
    extras
        Further numbers for each person, by name.

    Raises
    ------
    DataError
        For an unknown field, an id that stands twice, and a value that cannot be read, with its
        row.

    Examples
    --------
    >>> people = read_people({"id": [1, 2], "age": [31, None], "place": ["Oslo", "Rome"]})
    >>> people.ids.tolist(), people.age.tolist(), people.words.places
    (['1', '2'], [31.0, nan], ('Oslo', 'Rome'))
    """
    unknown = next((name for name in columns if name not in FIELDS), None)
    if unknown is not None or "id" not in columns:
        said = "people need an `id`" if unknown is None else f"people have no field {unknown!r}"
        raise DataError(f"{said}; {near(unknown or 'id', FIELDS)}")
    extras = extras or {}
    table = {name: _Column.of(name, values) for name, values in columns.items()}
    return _coded(table, extras, most_interests)


@dataclass(frozen=True)
class _Column:
    """Values with each distinct one read once: `rows[i]` is the place of row i's in `distinct`."""

    name: str
    distinct: list[Any]
    rows: IntArray  # (n,)

    @classmethod
    def of(cls, name: str, values: Any) -> _Column:
        array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        if not isinstance(array, pa.Array):
            array = _arrow(array)
        if pa.types.is_nested(array.type):
            listed = array.to_pylist()
            return cls(name, listed, np.arange(len(listed)))
        coded = array.dictionary_encode(null_encoding="encode")
        return cls(name, coded.dictionary.to_pylist(), coded.indices.to_numpy().astype(np.int64))

    def read(self, reader: Callable[[Any], Any]) -> list[Any]:
        """Return what the reader makes of each distinct value; an error names the row."""
        found = []
        for place, value in enumerate(self.distinct):
            try:
                found.append(reader(value))
            except DataError as error:
                row = int(np.flatnonzero(self.rows == place)[0])
                raise DataError(f"row {row}: {error}") from None
        return found


def _arrow(values: Any) -> pa.Array:
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # of mixed types: as text
        return pa.array([None if value is None else str(value) for value in values])


def _coded(table: Mapping[str, _Column], extras: Mapping[str, Any], most_interests: int) -> People:
    n = len(table["id"].rows)
    for name, column in table.items():
        if len(column.rows) != n:
            raise DataError(f"{name!r} has {len(column.rows)} rows, the ids are {n}.")
    told: dict[str, Array] = {name: np.zeros(n, dtype=bool) for name in _COUNTED}
    lexicon = Lexicon(extras=tuple(extras), most_interests=most_interests)
    ids = np.array(table["id"].read(id_text), dtype=np.str_)[table["id"].rows]
    age = _numbers(table, "age", n, read_age, np.float32)
    position = np.stack(
        [_numbers(table, name, n, degrees(name), np.float32) for name in ("lat", "lon")], axis=1
    )
    position[np.isnan(position).any(axis=1)] = nan
    place = _codes(table, "place", n, lambda v: lexicon.place(read_text(v, "place")))
    gender = _codes(table, "gender", n, lambda v: lexicon.gender(read_gender(v)))
    seeks, told["seeks"] = _all_seeks(table, gender, lexicon)
    interests = _all_interests(table, n, lexicon)
    filled_in: dict[str, Array] = {
        "age": np.isfinite(age),
        "place": (place >= 0) | np.isfinite(position[:, 0]),
        "gender": gender >= 0,
        "interests": np.any(interests, axis=1),
    }
    told |= filled_in
    more = {name: _Column.of(name, values) for name, values in extras.items()}
    wide = [_numbers(more, name, n, numbers_of(name), np.float32) for name in more]
    stack = np.stack(wide, axis=1) if wide else np.zeros((n, 0), np.float32)
    filled = sum(flags.astype(np.float32) for flags in told.values())
    filled = filled + np.isfinite(stack).sum(axis=1)
    return People(
        words=lexicon.words,
        ids=ids_array(ids.tolist()),
        age=age,
        place=place.astype(np.int32),
        position=position,
        gender=gender.astype(np.int8),
        seeks=seeks,
        interests=interests,
        joined_us=_numbers(table, "joined_at", n, read_joined, np.int64, NEVER_US),
        completeness=(filled / (len(told) + len(wide))).astype(np.float32),
        extras=stack,
    )


def _numbers(
    table: Mapping[str, _Column],
    name: str,
    n: int,
    reader: Callable[[Any], Any],
    dtype: Any,
    missing: Any = nan,
) -> Array:
    if name not in table:
        return np.full(n, missing, dtype)
    return np.array(table[name].read(reader), dtype=dtype)[table[name].rows]


def _codes(
    table: Mapping[str, _Column], name: str, n: int, reader: Callable[[Any], Any]
) -> IntArray:
    return _numbers(table, name, n, reader, np.int64, UNKNOWN)


def _all_seeks(
    table: Mapping[str, _Column], gender: IntArray, lexicon: Lexicon
) -> tuple[Array, Array]:
    """Return the bits of everybody, and who says whom they seek."""
    n = len(gender)
    if "seeks" not in table:
        return np.full(n, EVERYBODY, np.uint64), np.zeros(n, dtype=bool)
    column = table["seeks"]
    wanted = column.read(read_seeks)
    told = np.array([one is not None for one in wanted], dtype=bool)[column.rows]
    names = [*lexicon.words.genders, None]
    pairs, back = np.unique(column.rows * (len(names) + 1) + gender + 1, return_inverse=True)
    bits = []
    for pair in pairs.tolist():
        place, own = divmod(pair, len(names) + 1)
        bits.append(lexicon.seeks(wanted[place], names[own - 1]))
    return np.array(bits, dtype=np.uint64)[back], told


def _all_interests(table: Mapping[str, _Column], n: int, lexicon: Lexicon) -> IntArray:
    """Return everybody's bits; where there are too many interests, of the most common ones."""
    if "interests" not in table:
        return np.zeros((n, 1), np.uint64)
    column = table["interests"]
    lists = column.read(read_interests)
    weights = np.bincount(column.rows, minlength=len(lists)).tolist()
    counts: dict[str, int] = {}
    for words, weight in zip(lists, weights, strict=True):
        for word in words:
            counts[word.casefold()] = counts.get(word.casefold(), 0) + weight
    common = sorted(counts, key=lambda word: (-counts[word], word))
    kept = frozenset(common[: lexicon.most_interests])
    found = [[lexicon.interest(w) for w in words if w.casefold() in kept] for words in lists]
    n_words = n_interest_words(lexicon.words)
    bits = np.stack([bits_of(np.array(codes), n_words) for codes in found]) if found else None
    return np.zeros((0, n_words), np.uint64) if bits is None else bits[column.rows]
