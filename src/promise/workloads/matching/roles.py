"""Which column of people and of events plays which part: named, or told by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from promise.errors import ConfigError, DataError, near

PROFILE = ("age", "place", "lat", "lon", "gender", "seeks", "interests", "joined_at")
"""What a profile may tell beside the id; further numbers are `extra`."""
PERSON_ROLES = ("id", *PROFILE, "extra", "ignore")
EVENT_ROLES = ("event_id", "entity", "other", "type", "at", "position", "propensity", "ignore")
PAIR_ROLES = ("entity", "other", "decision", "at", "group", *PROFILE, "extra", "ignore")

NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "person_id", "user_id", "iid", "person", "user", "member_id"),
    "age": ("age", "years"),
    "place": ("place", "city", "location", "town", "region"),
    "lat": ("lat", "latitude"),
    "lon": ("lon", "lng", "longitude"),
    "gender": ("gender", "sex"),
    "seeks": ("seeks", "orientation", "looking_for", "interested_in", "wants"),
    "interests": ("interests", "hobbies", "tags", "likes"),
    "joined_at": ("joined_at", "joined", "created_at", "created", "signup_at", "registered_at"),
    "event_id": ("event_id", "id", "uuid"),
    "entity": ("entity", "person", "user", "from", "person_id", "user_id", "chooser", "iid"),
    "other": ("other", "target", "to", "other_id", "target_id", "chosen", "partner_id", "pid"),
    "type": ("type", "event", "kind", "action", "event_type"),
    "at": ("at", "time", "timestamp", "when", "created_at", "date"),
    "position": ("position", "rank", "slot"),
    "propensity": ("propensity", "probability_shown"),
    "decision": ("decision", "dec", "liked", "like", "yes"),
    "group": ("group", "wave", "session", "evening"),
}
"""What the column of each role may be called."""
_NEEDED = {
    "id": "the id of each person",
    "entity": "who did it",
    "other": "to whom",
    "type": "what was done (like, pass, block, …)",
    "at": "when it happened",
    "decision": "whether the chooser said yes (1 or 0)",
}


@dataclass(frozen=True)
class Roles:
    """Role to column, further profile numbers, and the sentences that say what was guessed."""

    columns: Mapping[str, str]
    extras: tuple[str, ...]
    ignored: tuple[str, ...]
    told: tuple[str, ...]

    def __getitem__(self, role: str) -> str:
        return self.columns[role]

    def __contains__(self, role: object) -> bool:
        return role in self.columns


def people_roles(names: Iterable[str], named: Mapping[str, str], source: str) -> Roles:
    """Return the roles of a table of profiles.

    Examples
    --------
    >>> roles = people_roles(("user_id", "age", "city"), {}, "people")
    >>> roles["id"], roles["place"]
    ('user_id', 'city')
    """
    return _roles(tuple(names), named, source, PERSON_ROLES, ("id",))


def event_roles(names: Iterable[str], named: Mapping[str, str], source: str) -> Roles:
    """Return the roles of a table of events; an `id` column beside a person is the event's."""
    return _roles(tuple(names), named, source, EVENT_ROLES, ("entity", "other", "type", "at"))


def pair_roles(names: Iterable[str], named: Mapping[str, str], source: str) -> Roles:
    """Return the roles of a table of decisions, each row with its chooser's profile."""
    return _roles(tuple(names), named, source, PAIR_ROLES, ("entity", "other", "decision"))


def check_roles(named: Mapping[str, str]) -> None:
    """Refuse a role that no table of this workload has; names the near match."""
    known = tuple(dict.fromkeys((*PERSON_ROLES, *EVENT_ROLES, *PAIR_ROLES)))
    for column, role in named.items():
        if role not in known:
            raise ConfigError(f"column {column!r}: there is no role {role!r}; {near(role, known)}")


def _roles(
    names: tuple[str, ...],
    named: Mapping[str, str],
    source: str,
    roles: tuple[str, ...],
    needed: tuple[str, ...],
) -> Roles:
    found: dict[str, str] = {}
    here = {c: r for c, r in named.items() if c in names and r in roles}
    extras = tuple(column for column, role in here.items() if role == "extra")
    ignored = tuple(column for column, role in here.items() if role == "ignore")
    for column, role in here.items():
        if role in ("extra", "ignore"):
            continue
        if role in found:
            raise ConfigError(
                f"{found[role]!r} and {column!r} are named as the {role}; name one column."
            )
        found[role] = column
    told = [f"`{column}` was named as the {role}" for role, column in found.items()]
    by_lower = {name.lower(): name for name in reversed(names)}
    for role in (*needed, *(role for role in roles if role not in needed)):
        free = (by_lower[n] for n in NAMES.get(role, ()) if n in by_lower)
        chosen = next((name for name in free if name not in here and name not in found.values()),
                      None)  # fmt: skip
        if role not in found and chosen is not None:
            found[role] = chosen
            told.append(f"`{chosen}` was taken for the {role} (by its name)")
    for role in needed:
        if role not in found:
            raise DataError(_missing(role, names, source))
    return Roles(found, extras, ignored, tuple(told))


def _missing(role: str, names: tuple[str, ...], source: str) -> str:
    close = [name for name in NAMES[role] if near(name, names).startswith("did you mean")]
    hint = near(close[0], names) if close else near(role, names)
    return (
        f"{source}: no column tells {_NEEDED[role]} ({', '.join(NAMES[role])}); {hint} "
        f"Say which by --column {role}=NAME."
    )
