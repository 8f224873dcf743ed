"""Which column of an event table is the customer, the amount, the time: named, or guessed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from promise.data.evidence import BIRTH
from promise.data.schema import Field, Schema
from promise.errors import ConfigError, DataError, near
from promise.features.event import AMOUNT
from promise.profiling.names import names_identifier, parts
from promise.workloads.fraud.task import TOLD

NEEDED = ("time", "entity", AMOUNT, "label")
ROLES = (*TOLD, "label", "known_at", "input", "ignore")
"""The parts that a column of events can play."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FILLER = _words(
    "id ids no nr num number key hash token name code uuid tx txn trans transaction event"
)
_HINTS: dict[str, frozenset[str]] = {
    "entity": _words(
        "entity customer client card cardholder account acct user payer sender buyer member orig "
        "origin cc person applicant subscriber"
    ),
    "other": _words(
        "other merchant terminal shop store seller payee receiver recipient beneficiary vendor "
        "dest destination counterparty counterpart pos"
    ),
    AMOUNT: _words("amount amt value price total sum eur usd gbp chf"),
    "label": _words("fraud label target class chargeback fraudulent isfraud y"),
    "device": _words("device fingerprint imei"),
    "ip": _words("ip ipv4 address addr"),
    "user_agent": _words("user agent ua browser useragent"),
    "location": _words("location city country region zip postcode postal geo"),
    "known_at": _words("known labelled labeled reported at time date"),
}
_MUST = {
    "ip": _words("ip ipv4"),
    "user_agent": _words("agent ua browser useragent"),
    "known_at": _words("known labelled labeled reported"),
}
_EVENT = _words("transaction event tx txn trans payment order")
_FLAGS = _words("is flag bool has")


@dataclass(frozen=True)
class Roles:
    """What each column was taken for, and the sentences that say so.

    Parameters
    ----------
    columns
        Role to column.
    numbers
        Columns that were named as inputs.
    told
        One sentence for each thing that a reader should check.
    """

    columns: Mapping[str, str]
    numbers: tuple[str, ...]
    told: tuple[str, ...]


def roles_of(schema: Schema, sample: pa.Table, named: Mapping[str, str]) -> Roles:
    """Return the role of each column: as the user named it, else by name, type and values.

    Parameters
    ----------
    schema
        Inferred types of all columns.
    sample
        Some rows as they came.
    named
        Column to role, as `--column ROLE=NAME` gives it.

    Raises
    ------
    ConfigError
        When a role is unknown or named twice, or a needed one cannot be told: names the way out.

    Examples
    --------
    >>> schema = Schema((Field("when", "date"), Field("card_id", "category"),
    ...                  Field("amount", "number"), Field("is_fraud", "number")))
    >>> sample = pa.table({"when": [0, 1, 2], "card_id": ["a", "a", "b"],
    ...                    "amount": [1.0, 2.0, 2.0], "is_fraud": [0, 0, 1]})
    >>> roles_of(schema, sample, {}).columns["entity"]
    'card_id'
    """
    found, numbers = _named(schema, named)
    free = [field for field in schema if field.name not in named]
    told = [f"`{name}` was named as the {role}" for role, name in found.items()]
    for role in ("time", "label", AMOUNT, "entity", "other", "id", *_OPTIONAL):
        if role in found:
            continue
        fitting = [f.name for f in free if _fits(role, f, sample)]
        chosen = fitting[0] if len(fitting) == 1 else _surest(role, fitting)
        if chosen is not None:
            found[role] = chosen
            free = [field for field in free if field.name != chosen]
            told.append(f"`{chosen}` was taken for the {role} ({_WHY[role]})")
        elif fitting and role not in NEEDED:
            listed = ", ".join(f"`{name}`" for name in fitting)
            told.append(f"{listed} might be the {role}, none was taken: --column {role}=NAME")
        elif role in NEEDED:
            raise ConfigError(_unsure(role, fitting, schema))
    unread = [field.name for field in free if field.name not in numbers]
    if unread:
        listed = ", ".join(f"`{name}`" for name in unread)
        told.append(f"not read: {listed} (numbers can be named: --column input=NAME)")
    return Roles(found, numbers, tuple(told))


def _named(schema: Schema, named: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return what the user named: role to column, and the inputs."""
    found: dict[str, str] = {}
    numbers = []
    for column, role in named.items():
        if role not in ROLES:
            raise ConfigError(f"events have no column of role {role!r}; {near(role, ROLES)}")
        if column not in schema:
            raise DataError(f"there is no column {column!r}; {near(column, schema.names)}")
        if role == "input":
            if schema[column].type not in ("number", "boolean"):
                raise ConfigError(
                    f"{column!r} is {schema[column].type}, as an input of events only numbers are "
                    "read; name it as a role (device, location, …) or leave it out."
                )
            numbers.append(column)
        elif role != "ignore":
            if role in found:
                raise ConfigError(
                    f"{found[role]!r} and {column!r} are named as the {role}; name one column."
                )
            found[role] = column
    if "time" in found and schema[found["time"]].type != "date":
        raise ConfigError(
            f"{found['time']!r} is {schema[found['time']].type}, but the time of an event has to "
            "be a date with a clock, or seconds since 1970 in a column named like `timestamp`."
        )
    return found, tuple(numbers)


def _fits(role: str, field: Field, sample: pa.Table) -> bool:
    """Say whether a column can play a role by its type, its name and its values."""
    return _CHECKS.get(role, _is_key)(role, field, sample)


def _is_time(role: str, field: Field, sample: pa.Table) -> bool:  # noqa: ARG001
    late = set(parts(field.name)) & _MUST["known_at"]
    return field.type == "date" and not BIRTH.search(field.name) and not late


def _is_known_at(role: str, field: Field, sample: pa.Table) -> bool:  # noqa: ARG001
    return field.type == "date" and bool(set(parts(field.name)) & _MUST["known_at"])


def _is_label(role: str, field: Field, sample: pa.Table) -> bool:
    values = sample.column(field.name).drop_null()
    two = pc.count_distinct(values).as_py() <= 2
    return two and field.type != "date" and _hinted(role, field.name, _FLAGS)


def _is_amount(role: str, field: Field, sample: pa.Table) -> bool:  # noqa: ARG001
    return field.type == "number" and _hinted(role, field.name)


def _is_key(role: str, field: Field, sample: pa.Table) -> bool:
    """A key is whole, repeats, and is named after its role."""
    if field.type in ("date", "boolean") or not _hinted(role, field.name):
        return False
    return not pa.types.is_floating(sample.column(field.name).type)


def _is_id(role: str, field: Field, sample: pa.Table) -> bool:  # noqa: ARG001
    """An event's id is another for each row."""
    if field.type == "date" or not names_identifier(field.name):
        return False
    words = set(parts(field.name))
    values = sample.column(field.name)
    unique = pc.count_distinct(values).as_py() >= 0.99 * len(values)
    return unique and (bool(words & _EVENT) or words <= _FILLER)


_OPTIONAL = ("device", "ip", "user_agent", "location", "known_at")
_CHECKS: dict[str, Callable[[str, Field, pa.Table], bool]] = {
    "time": _is_time,
    "known_at": _is_known_at,
    "label": _is_label,
    AMOUNT: _is_amount,
    "id": _is_id,
}
_WHY = dict.fromkeys((*_HINTS, "id"), "by its name") | {
    "time": "the only date",
    "label": "two values, by its name",
    "id": "another for each row, by its name",
}


def _hinted(role: str, name: str, more: frozenset[str] = frozenset()) -> bool:
    """Say whether all words of a name speak of a role, and one of them surely."""
    words = set(parts(name))
    hints = _HINTS[role]
    sure = _MUST.get(role, hints)
    return bool(words & sure) and words <= hints | _FILLER | more


def _surest(role: str, fitting: list[str]) -> str | None:
    """Return the one among several that is named an identifier, or nothing: better ask."""
    if role not in ("entity", "other"):
        return None
    keys = [name for name in fitting if names_identifier(name)]
    return keys[0] if len(keys) == 1 else None


def _unsure(role: str, fitting: list[str], schema: Schema) -> str:
    """Return the sentence that asks for a role."""
    what = {
        "time": "the time of the event",
        "entity": "whose event it is (customer, card, account)",
        AMOUNT: "the money at stake",
        "label": "what the event turned out to be (0 or 1)",
    }[role]
    if fitting:
        listed = ", ".join(repr(name) for name in fitting)
        return f"{listed} could each be {what}: say which by --column {role}=NAME."
    listed = ", ".join(schema.names[:12]) + (" …" if len(schema) > 12 else "")
    return f"no column looks like {what}: say which by --column {role}=NAME; there are: {listed}."
