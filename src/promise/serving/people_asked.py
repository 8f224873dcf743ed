"""What is asked of a model that answers with lists: read from a path and query, or from a body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from promise.errors import DataError
from promise.pipeline.finding import MOST, Asked
from promise.records.event_values import read_text
from promise.serving.bodies import MOST as MOST_SENT
from promise.serving.bodies import Text

_OWN = ("limit", "exclude", "features")
_USUAL = 20
_NUMBER = r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?"
_RANGE = re.compile(rf"({_NUMBER})?\.\.({_NUMBER})?")
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


class ListSent(Struct, forbid_unknown_fields=True):
    """Who asks for a list without being known: a profile, and what is wanted."""

    profile: dict[str, Any] | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST)] = _USUAL
    filters: dict[str, Any] = {}
    exclude: Annotated[list[Text | int], Meta(max_length=MOST_SENT)] = []
    features: bool = False

    def asked(self) -> Asked:
        """Return the request as finders take it."""
        return Asked(
            id=None,
            limit=self.limit,
            profile=self.profile,
            filters=self.filters,
            exclude=tuple(str(id) for id in self.exclude),
            features=self.features,
        )


def asked_by(id: str, query: Mapping[str, str]) -> Asked:
    """Return what a path and its query ask for; parameters of other names are filters.

    A filter `age=25..35` is a range, open where a side is left out; anything else stays text.

    Raises
    ------
    DataError
        When the id or a parameter cannot be read.

    Examples
    --------
    >>> asked_by("ann", {"limit": "3", "age": "25..35", "place": "Oslo"}).filters
    {'age': [25.0, 35.0], 'place': 'Oslo'}
    """
    return Asked(
        id=id_in_path(id),
        limit=limit_of(query.get("limit")),
        filters={name: _filter(name, told) for name, told in query.items() if name not in _OWN},
        exclude=tuple(part for part in query.get("exclude", "").split(",") if part),
        features=_truth("features", query.get("features", "false")),
    )


def similar_asked(id: str, query: Mapping[str, str]) -> Asked:
    """Return what a path and its query ask for, where similar people are wanted: nothing filters.

    Raises
    ------
    DataError
        When the id or a parameter cannot be read.
    """
    strange = next((name for name in query if name != "limit"), None)
    if strange is not None:
        raise DataError(f"similar people are not chosen by {strange[:40]!r}; give only a limit.")
    return Asked(id_in_path(id), limit_of(query.get("limit")))


def id_in_path(id: str) -> str:
    """Return an id of a path, if it is one."""
    return read_text("the path", "id", id)


def limit_of(told: str | None) -> int:
    """Return how many are wanted.

    Examples
    --------
    >>> limit_of(None), limit_of("50")
    (20, 50)
    >>> limit_of("0")
    Traceback (most recent call last):
        ...
    promise.errors.DataError: limit is '0'; expected a whole number from 1 to 1,000.
    """
    if told is None:
        return _USUAL
    if re.fullmatch(r"[0-9]{1,9}", told) and 1 <= int(told) <= MOST:
        return int(told)
    raise DataError(f"limit is {told[:40]!r}; expected a whole number from 1 to {MOST:,}.")


def _filter(name: str, told: str) -> Any:
    found = _RANGE.fullmatch(told)
    if found is None:
        return told
    low, high = (None if part is None else float(part) for part in found.groups())
    if low is None and high is None:
        raise DataError(f"{name} is '..'; give a range as 25..35, 25.. or ..35.")
    if low is not None and high is not None and low > high:
        raise DataError(f"{name} is {told!r}; a range begins with its smaller end.")
    return [low, high]


def _truth(name: str, told: str) -> bool:
    if told.lower() not in _TRUTHS:
        raise DataError(f"{name} is {told[:40]!r}; expected true or false.")
    return _TRUTHS[told.lower()]
