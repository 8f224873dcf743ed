"""One person's profile, and the codes that its texts get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, nan
from typing import Any

import numpy as np

from promise.errors import DataError, near
from promise.features.people import BITS, EVERYBODY, NEVER_US, UNKNOWN, People, Words, bits_of
from promise.features.people_ids import ids_array
from promise.features.people_values import (
    read_age,
    read_gender,
    read_interests,
    read_joined,
    read_number,
    read_position,
    read_seeks,
    read_text,
)

ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "person_id", "user_id", "person", "user", "iid", "member_id"),
    "age": ("age", "years"),
    "place": ("place", "city", "location", "town", "region"),
    "lat": ("lat", "latitude"),
    "lon": ("lon", "lng", "longitude"),
    "gender": ("gender", "sex"),
    "seeks": ("seeks", "seeking", "orientation", "looking_for", "interested_in", "wants"),
    "interests": ("interests", "interest", "hobbies", "tags", "likes"),
    "joined_at": ("joined_at", "joined", "created_at", "created", "registered_at", "signup_at"),
}
"""What each field of a profile may be called."""
FIELDS = tuple(ALIASES)
"""The fields of a profile, beside further numbers."""
MOST_GENDERS = 63
"""How many genders bits of 64 can tell apart beside everybody."""
MOST_INTERESTS = 256
"""How many interests a snapshot tells apart, the most common first."""

_BY_ALIAS = {alias: name for name, aliases in ALIASES.items() for alias in aliases}
_ANYBODY = frozenset({"all", "any", "anyone", "both", "everyone", "everybody", "bi", "bisexual"})
_OTHERS = frozenset({"straight", "heterosexual"})
_SAME = frozenset({"gay", "lesbian", "homosexual"})


@dataclass(frozen=True)
class Profile:
    """What one person tells, read but not yet coded; what is not told is None, NaN or empty."""

    age: float = nan
    place: str | None = None
    position: tuple[float, float] = (nan, nan)
    gender: str | None = None
    seeks: tuple[str, ...] | None = None
    interests: tuple[str, ...] = ()
    joined_us: int = NEVER_US
    extras: tuple[float, ...] = ()

    @property
    def completeness(self) -> float:
        """Share of the fields that are filled; a position stands for a place."""
        told = (
            isfinite(self.age),
            self.place is not None or isfinite(self.position[0]),
            self.gender is not None,
            self.seeks is not None,
            bool(self.interests),
            *(isfinite(value) for value in self.extras),
        )
        return sum(told) / len(told)


@dataclass
class Lexicon:
    """Gives texts their codes, and new texts new ones; upper and lower case are the same.

    Examples
    --------
    >>> lexicon = Lexicon.over(Words(places=("Oslo",)))
    >>> lexicon.place("oslo"), lexicon.place("Rome"), lexicon.words.places
    (0, 1, ('Oslo', 'Rome'))
    """

    places: dict[str, int] = field(default_factory=dict)
    genders: dict[str, int] = field(default_factory=dict)
    interests: dict[str, int] = field(default_factory=dict)
    extras: tuple[str, ...] = ()
    most_interests: int = MOST_INTERESTS
    _spelled: dict[str, list[str]] = field(
        default_factory=lambda: {"places": [], "genders": [], "interests": []}
    )

    @classmethod
    def over(cls, words: Words, most_interests: int = MOST_INTERESTS) -> Lexicon:
        """Begin with the words of a snapshot."""
        found = cls(extras=words.extras, most_interests=most_interests)
        for kind in ("places", "genders", "interests"):
            texts = getattr(words, kind)
            getattr(found, kind).update({text.casefold(): i for i, text in enumerate(texts)})
            found._spelled[kind].extend(texts)
        return found

    def spelled(self, kind: str) -> list[str]:
        """Return the texts of `places`, `genders` or `interests` by their codes."""
        return self._spelled[kind]

    @property
    def n_words(self) -> int:
        """How many words of bits the interests take."""
        return max(1, -(-self.most_interests // BITS))

    def known(self, profile: Profile) -> Profile:
        """Return what a profile tells in words that are known already; the others are left out.

        Who seeks nobody that is known seeks nobody.
        """
        seeks = profile.seeks
        if seeks is not None:
            plain = _ANYBODY | _OTHERS | _SAME
            seeks = tuple(word for word in seeks if word in self.genders or word in plain)
        return replace(
            profile,
            place=profile.place if (profile.place or "").casefold() in self.places else None,
            gender=profile.gender if profile.gender in self.genders else None,
            seeks=seeks,
            interests=tuple(w for w in profile.interests if w.casefold() in self.interests),
        )

    @property
    def words(self) -> Words:
        """The texts so far."""
        return Words(**{k: tuple(v) for k, v in self._spelled.items()}, extras=self.extras)

    def place(self, text: str | None) -> int:
        """Return the code of a place."""
        return UNKNOWN if text is None else self._code("places", text)

    def gender(self, text: str | None) -> int:
        """Return the code of a gender."""
        if text is not None and text not in self.genders and len(self.genders) >= MOST_GENDERS:
            raise DataError(
                f"gender {text!r} is the {MOST_GENDERS + 1}th of its kind; "
                f"{near(text, self._spelled['genders'])}"
            )
        return UNKNOWN if text is None else self._code("genders", text)

    def seeks(self, wanted: tuple[str, ...] | None, gender: str | None) -> int:
        """Return bits of the genders that are sought; `straight` and `gay` follow the own one."""
        if wanted is None or any(word in _ANYBODY for word in wanted):
            return int(EVERYBODY)
        bits = 0
        for word in wanted:
            if word in _SAME:
                bits |= 0 if gender is None else 1 << self.gender(gender)
            elif word in _OTHERS:
                own = 0 if gender is None else 1 << self.gender(gender)
                bits |= int(EVERYBODY) & ~own & ~(1 << MOST_GENDERS)
            else:
                bits |= 1 << self.gender(word)
        return bits

    def interest(self, text: str) -> int:
        """Return the code of an interest, -1 where there are too many already."""
        if text.casefold() not in self.interests and len(self.interests) >= self.most_interests:
            return UNKNOWN
        return self._code("interests", text)

    def _code(self, kind: str, text: str) -> int:
        codes: dict[str, int] = getattr(self, kind)
        key = text.casefold()
        found = codes.get(key)
        if found is None:
            found = codes[key] = len(codes)
            self._spelled[kind].append(text)
        return found


def read_profile(told: Mapping[str, Any], extras: Sequence[str] = ()) -> Profile:
    """Read what a caller tells of one person.

    Parameters
    ----------
    told
        Field to value; what is not told is missing, None or empty.
    extras
        Further numbers that are known here.

    Raises
    ------
    DataError
        For an unknown field, with its near match, and for a value that cannot be read.

    Examples
    --------
    >>> read_profile({"age": "31", "city": "Oslo", "interests": "chess; hiking"}).interests
    ('chess', 'hiking')
    """
    values: dict[str, Any] = {}
    for key, value in told.items():
        name = _BY_ALIAS.get(key.casefold(), key)
        if name not in FIELDS and name not in extras:
            known = [*FIELDS[1:], *extras]
            raise DataError(f"a profile has no field {key!r}; {near(key, known)}")
        values[name] = value
    gender = read_gender(values.get("gender"))
    return Profile(
        age=read_age(values.get("age")),
        place=read_text(values.get("place"), "place"),
        position=read_position(values),
        gender=gender,
        seeks=read_seeks(values.get("seeks")),
        interests=read_interests(values.get("interests")),
        joined_us=read_joined(values.get("joined_at")),
        extras=tuple(read_number(values.get(name), name) for name in extras),
    )


def known_profile(
    told: Mapping[str, Any], extras: Sequence[str] = ()
) -> tuple[Profile, tuple[str, ...]]:
    """Read what can be read of what a caller tells, and say what cannot.

    Returns
    -------
    The profile without those fields, and a sentence for each of them.

    Examples
    --------
    >>> profile, unread = known_profile({"age": "old", "city": "Oslo", "shoes": "red"})
    >>> profile.place, [sentence.partition(";")[0] for sentence in unread][1:]
    ('Oslo', ["a profile has no field 'shoes'"])
    """
    try:
        return read_profile(told, extras), ()
    except DataError:  # which of the fields, each is asked alone
        kept, unread = {}, []
    for key, value in told.items():
        try:
            read_profile({key: value}, extras)
            kept[key] = value
        except DataError as error:
            unread.append(str(error))
    return read_profile(kept, extras), tuple(unread)


def row_of(profile: Profile, lexicon: Lexicon) -> dict[str, Any]:
    """Return one person's values by the arrays of `People`; the lexicon learns their words."""
    codes = [lexicon.interest(word) for word in profile.interests]
    gender = lexicon.gender(profile.gender)
    return {
        "age": profile.age,
        "place": lexicon.place(profile.place),
        "position": profile.position,
        "gender": gender,
        "seeks": lexicon.seeks(profile.seeks, profile.gender),
        "interests": bits_of(np.array([c for c in codes if c >= 0]), lexicon.n_words),
        "joined_us": profile.joined_us,
        "completeness": profile.completeness,
        "extras": profile.extras or (nan,) * len(lexicon.extras),
    }


def people_of(profiles: Mapping[str, Profile], lexicon: Lexicon) -> People:
    """Return read profiles as rows, by id; the lexicon learns their words.

    Examples
    --------
    >>> people_of({"ada": Profile(age=36.0, place="Oslo")}, Lexicon()).place
    array([0], dtype=int32)
    """
    rows = [row_of(profile, lexicon) for profile in profiles.values()]
    empty = People.nobody(lexicon.words, lexicon.n_words)
    arrays: dict[str, Any] = {
        name: np.array([row[name] for row in rows], like.dtype).reshape(len(rows), *like.shape[1:])
        for name, like in empty.arrays.items()
        if name != "ids"
    }
    return People(lexicon.words, ids_array(profiles), **arrays)
