"""Who or what suits a person: the protocol between a workload that ranks and what serves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

MOST = 1_000
"""The longest list that is given."""

NOUNS = ("people", "items", "documents")
"""What lists are asked for by, as paths name it."""

PROFILE, FORGET = "person", "forget"
"""Events about one alone: what they tell of themselves, and that they are deleted."""

UNHEARD = "nobody has told of this person."
"""Why a list is empty that somebody unknown, or deleted, is asked for."""

ENCOUNTERS = ("like", "super_like", "message", "pass", "dislike", "block", "impression")
"""Events that one person does to another."""


@dataclass(frozen=True)
class Asked:
    """One request for a list.

    Parameters
    ----------
    id
        Who asks, as the caller knows them; None without a session.
    limit
        How many are wanted, 1 to `MOST`.
    profile
        What the caller tells of somebody who is not known yet.
    filters
        Field to what it must be, as `{"place": "Oslo", "age": [25, 35]}`.
    exclude
        Ids that are not wanted this time.
    draw
        Seeds what is left to chance, so that an answer can be drawn again.
    features
        Whether each item comes with the values that it was ranked by.
    """

    id: str | None
    limit: int = 20
    profile: Mapping[str, Any] | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)
    exclude: Sequence[str] = ()
    draw: int = 0
    features: bool = False


@dataclass(frozen=True)
class Told:
    """One event of the log that a finder follows; those of one person come in order.

    Parameters
    ----------
    number
        Its place in the log; a finder ignores what it has taken already.
    entity, other
        Who did it, and to whom; `other` is empty for events about one person alone.
    type
        `like`, `pass`, `block`, …; `person` carries a profile, `forget` deletes a person.
    """

    number: int
    entity: str
    other: str
    type: str
    at: datetime
    payload: Mapping[str, Any] = field(default_factory=dict)


class Finder(Protocol):
    """Finds over one immutable version and an overlay of what happened since; for one process.

    It is called from one thread at a time.
    """

    @property
    def number(self) -> int:
        """How far in the log it came."""
        ...

    def take(self, events: Sequence[Told]) -> None:
        """Take events in the log's order: known and strange ones change nothing, none fails."""
        ...

    def find(self, asked: Asked, at: datetime) -> dict[str, Any]:
        """Return the answer's fields, JSON-ready; its `items` are best first.

        An id that nobody has told of is answered like somebody new, and the answer says so
        (`"cold_start": true`).

        Raises
        ------
        DataError
            Where the request itself cannot be read: an unknown filter, a profile of no known
            field.
        """
        ...

    def similar(self, id: str, limit: int, at: datetime) -> dict[str, Any]:
        """Return who is chosen by the same people as this person."""
        ...

    def follow_from(self) -> int:
        """Return the number of the log's last event that the version has learned from."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """A finder that shows nobody more often on one day than its policy allows."""

    @property
    def most_shown(self) -> int | None:
        """How often somebody is shown on one day at most; None for no bound."""
        ...

    def count_shown(self, shown: Mapping[str, int], at: datetime) -> None:
        """Count in how many lists of the day of `at` people stood."""
        ...

    def shown_enough(self, ids: Iterable[str], at: datetime) -> bool:
        """Say whether anybody of these was shown as often on the day of `at` as may be."""
        ...


@runtime_checkable
class Warms(Protocol):
    """A finder whose first answers would wait for the disk, or for code to be loaded."""

    def warm(self) -> None:
        """Read and load what requests will need; before the first of them."""
        ...


@runtime_checkable
class ReadsProfiles(Protocol):
    """A finder that takes of a profile what it knows, and can say what it does not."""

    def unread(self, profile: Mapping[str, Any]) -> Sequence[str]:
        """Say what of a profile it cannot read; any thread may ask."""
        ...
