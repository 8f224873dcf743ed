"""What a ranker reads of two people: the candidate's own nine numbers, and what is between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.errors import ConfigError, near
from promise.features.people import NEVER_US
from promise.features.people_activity import DAY_US

UNARY = (
    "age", "account_age_days", "interests_count", "total_interactions", "like_rate",
    "recent_activity_30d", "activity_streak_days", "embedding_norm", "embedding_sparsity",
)  # fmt: skip
"""The nine features of the first design, all of the candidate alone."""
STANDING = ("received", "received_like_rate", "completeness")
"""What else is told of the candidate alone."""
OWN = ("chooser_age", "chooser_like_rate", "chooser_total_interactions")
"""What is told of the chooser alone."""
BETWEEN = (
    "affinity", "affinity_back", "age_gap", "age_difference", "distance_km", "same_place",
    "interest_overlap", "shared_interests", "mutual_neighbours",
)  # fmt: skip
"""What is told of both."""
SOURCES = ("collaborative", "content", "popular", "random")
"""Where candidates come from; codes are places in this order."""
CAME = tuple(f"from_{source}" for source in SOURCES)
"""1 where the candidate came from the source, by its code."""
PAIR = (*UNARY, *STANDING, *OWN, *BETWEEN, *CAME)
"""All of them but the further profile numbers (`extra_names`), in this order."""
SPARSE_BELOW = 0.01
"""An entry of a vector smaller than this counts as none."""
_KM = 6371.0088
_NAN = np.float32(np.nan)


@dataclass(frozen=True)
class Side:
    """People as features read them, a row for each pair, or one row for all pairs.

    Parameters
    ----------
    facts
        float32 (m, 6), see `people_activity.FACTS`.
    norm, sparsity
        Of the vector as chosen: float32 (m,).
    chooser, chosen
        Vectors, float32 (m, d); d is 0 where there is no collaborative source.
    """

    age: FloatArray
    place: IntArray
    position: FloatArray
    interests: IntArray
    joined_us: IntArray
    completeness: FloatArray
    extras: FloatArray
    facts: FloatArray
    norm: FloatArray
    sparsity: FloatArray
    chooser: FloatArray
    chosen: FloatArray


def extra_names(extras: Sequence[str]) -> tuple[str, ...]:
    """Return the features of further profile numbers: the candidate's, and how far apart."""
    return tuple(name for extra in extras for name in (extra, f"{extra}_gap"))


def norms(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the length of each vector, and the share of its entries that are near zero."""
    if not vectors.shape[1]:
        return np.zeros(len(vectors), np.float32), np.zeros(len(vectors), np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors)).astype(np.float32)
    return length, (np.abs(vectors) < SPARSE_BELOW).mean(axis=1, dtype=np.float32)


def unary(side: Side, at_us: IntArray | int) -> FloatArray:
    """Return the nine features of the first design: float32 (m, 9); what is not told is NaN."""
    found = np.empty((len(side.age), len(UNARY)), np.float32)
    _unary_into(found, side, at_us)
    return found


def pair_features(
    chooser: Side,
    chosen: Side,
    at_us: IntArray | int,
    neighbours: IntArray,
    source: IntArray | None = None,
) -> FloatArray:
    """Return what is told of pairs: float32 (m, n_features), see `PAIR` and `extra_names`.

    Parameters
    ----------
    chooser
        One row for each pair, or a single row.
    at_us
        When, microseconds since 1970.
    neighbours
        How many neighbours the two share: int64 (m,).
    source
        Codes of `SOURCES`; None where candidates come from nowhere.
    """
    m, n_extras = max(len(chooser.age), len(chosen.age)), chosen.extras.shape[1]
    found = np.empty((m, len(PAIR) + 2 * n_extras), np.float32)
    _unary_into(found, chosen, at_us)
    at = len(UNARY)
    found[:, at : at + 2] = chosen.facts[:, 4:6]
    found[:, at + 2] = chosen.completeness
    at += len(STANDING)
    found[:, at], found[:, at + 1] = chooser.age, chooser.facts[:, 1]
    found[:, at + 2] = chooser.facts[:, 0]
    at += len(OWN)
    _between_into(found[:, at : at + len(BETWEEN)], chooser, chosen, neighbours)
    at += len(BETWEEN)
    for code in range(len(SOURCES)):
        found[:, at + code] = 0.0 if source is None else source == code
    at += len(SOURCES)
    if n_extras:
        found[:, at::2] = chosen.extras
        found[:, at + 1 :: 2] = np.abs(chosen.extras - chooser.extras)
    return found


def chosen_columns(names: Sequence[str], extras: Sequence[str]) -> IntArray:
    """Return where the named features stand among all.

    Raises
    ------
    ConfigError
        For an unknown feature, with its near match.

    Examples
    --------
    >>> chosen_columns(("age", "affinity"), ())
    array([ 0, 15])
    """
    known: Mapping[str, int] = MappingProxyType(
        {name: place for place, name in enumerate((*PAIR, *extra_names(extras)))}
    )
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        raise ConfigError(f"there is no feature {unknown!r} of pairs; {near(unknown, known)}")
    return np.array([known[name] for name in names], dtype=np.int64)


def distance_km(position: FloatArray, other: FloatArray) -> FloatArray:
    """Return great-circle distances: float32 (m,); NaN where one is not known.

    Examples
    --------
    >>> oslo, rome = np.array([[59.91, 10.75]]), np.array([[41.89, 12.48]])
    >>> int(distance_km(oslo, rome)[0])
    2007
    """
    a, b = np.radians(position), np.radians(other)
    half = np.sin((b - a) / 2) ** 2
    found = half[:, 0] + np.cos(a[:, 0]) * np.cos(b[:, 0]) * half[:, 1]
    return np.asarray(2 * _KM * np.arcsin(np.sqrt(np.clip(found, 0, 1))), dtype=np.float32)


def day_one(completeness: FloatArray, recent: FloatArray, account_days: FloatArray) -> FloatArray:
    """Return the score of a day without data: complete and active profiles, newer ones a bit up.

    Half for completeness, four tenths for whoever did something within 30 days, a tenth that halves
    every 30 days for a young account; an age that is not told counts as old. Within 0 and 1.
    """
    young = np.exp2(-np.nan_to_num(account_days, nan=3_650.0) / 30.0)
    found = 0.5 * completeness + 0.4 * (recent > 0) + 0.1 * young
    return np.asarray(found, dtype=np.float32)


def account_days(joined_us: IntArray, at_us: IntArray | int) -> FloatArray:
    """Return days since people joined, not below 0; NaN where that is not told."""
    days = (np.asarray(at_us, np.float64) - joined_us.astype(np.float64)) / DAY_US
    return np.where(joined_us == NEVER_US, _NAN, np.maximum(days, 0.0)).astype(np.float32)


def _unary_into(found: FloatArray, side: Side, at_us: IntArray | int) -> None:
    found[:, 0] = side.age
    found[:, 1] = account_days(side.joined_us, at_us)
    found[:, 2] = np.bitwise_count(side.interests).sum(axis=1)
    found[:, 3:7] = side.facts[:, :4]
    found[:, 7], found[:, 8] = side.norm, side.sparsity


def _between_into(found: FloatArray, chooser: Side, chosen: Side, neighbours: IntArray) -> None:
    found[:, 0] = _products(chooser.chooser, chosen.chosen)
    found[:, 1] = _products(chosen.chooser, chooser.chosen)
    difference = chosen.age - chooser.age
    found[:, 2], found[:, 3] = np.abs(difference), difference
    found[:, 4] = distance_km(chooser.position, chosen.position)
    known = (chooser.place >= 0) & (chosen.place >= 0)
    found[:, 5] = np.where(known, (chooser.place == chosen.place).astype(np.float32), _NAN)
    both = np.bitwise_count(chooser.interests & chosen.interests).sum(axis=1)
    either = np.bitwise_count(chooser.interests | chosen.interests).sum(axis=1)
    found[:, 6] = both / np.maximum(either, 1)
    found[:, 7], found[:, 8] = both, neighbours


def _products(left: Array, right: Array) -> FloatArray:
    found: FloatArray = np.einsum("ij,ij->i", *np.broadcast_arrays(left, right))
    return found
