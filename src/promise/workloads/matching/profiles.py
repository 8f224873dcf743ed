"""Everybody whom a model's log tells of, as the table of profiles that training reads."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from promise.errors import DataError
from promise.features.people import NEVER_US
from promise.features.people_profile import ALIASES, known_profile
from promise.features.people_values import read_number
from promise.pipeline.finding import FORGET, PROFILE
from promise.records.history import History

_TYPES = {
    "id": pa.string(),
    "age": pa.float64(),
    "place": pa.string(),
    "lat": pa.float64(),
    "lon": pa.float64(),
    "gender": pa.string(),
    "seeks": pa.string(),
    "interests": pa.list_(pa.string()),
    "joined_at": pa.timestamp("us"),
}
_KNOWN = frozenset(alias for aliases in ALIASES.values() for alias in aliases)


def told_profiles(history: History) -> tuple[pa.Table | None, tuple[str, ...]]:
    """Return a row for each profile that was told, the newest of a person last, and remarks.

    Who did something and told nothing has an empty row. Further fields that are numbers in every
    profile become columns; a field that cannot be read counts for nothing, as for who follows the
    log.

    Returns
    -------
    None in place of the table where the log has no profile.
    """
    parts: list[pa.Table] = []
    n_bad, texts = 0, set[str]()
    for ids, payloads in history.payloads(PROFILE):
        found = [_row(id, told, texts) for id, told in zip(ids, payloads, strict=True)]
        rows = [row for row, _ in found]
        n_bad += sum(bad for _, bad in found)
        if rows:
            parts.append(_table(rows, texts))
    if not parts:
        return None, _remarks(n_bad)
    told = pa.concat_tables(parts, promote_options="default")
    told = told.drop_columns([name for name in told.column_names if name in texts])
    alone = _actors(history)
    alone = alone.filter(pc.invert(pc.is_in(alone, told.column("id").combine_chunks())))
    everybody = pa.concat_tables([pa.table({"id": alone}), told], promote_options="default")
    return everybody, _remarks(n_bad)


def _remarks(n_bad: int) -> tuple[str, ...]:
    return (f"{n_bad:,} profiles of the log cannot be read whole; the rest counts",) * bool(n_bad)


def _row(id: str, told: Mapping[str, Any], texts: set[str]) -> tuple[dict[str, Any], bool]:
    """Return a profile's columns, and whether some cannot be read; notes what is no number."""
    further = {name: value for name, value in told.items() if name.casefold() not in _KNOWN}
    profile, unread = known_profile({k: v for k, v in told.items() if k not in further})
    lat, lon = profile.position
    row: dict[str, Any] = {
        "id": id,
        "age": profile.age if isfinite(profile.age) else None,
        "place": profile.place,
        "lat": lat if isfinite(lat) else None,
        "lon": lon if isfinite(lon) else None,
        "gender": profile.gender,
        "seeks": None if profile.seeks is None else ";".join(profile.seeks),
        "interests": list(profile.interests),
        "joined_at": None if profile.joined_us == NEVER_US else profile.joined_us,
    }
    for name, value in further.items():
        try:
            row[name] = read_number(value, name)
        except DataError:
            texts.add(name)
    return row, bool(unread)


def _table(rows: list[dict[str, Any]], texts: set[str]) -> pa.Table:
    further = dict.fromkeys(name for row in rows for name in row if name not in _TYPES)
    kinds = _TYPES | {name: pa.float64() for name in further if name not in texts}
    return pa.table(
        {name: pa.array([row.get(name) for row in rows], kind) for name, kind in kinds.items()}
    )


def _actors(history: History) -> pa.Array:
    """Return the ids of those who did something to another, in order."""
    about_one = pa.array([PROFILE, FORGET])
    found: set[str] = set()
    for _, table in history.batches(["entity", "type"]):
        deeds = table.filter(pc.invert(pc.is_in(table.column("type"), about_one)))
        found.update(pc.unique(deeds.column("entity").drop_null()).to_pylist())
    return pa.array(sorted(found), pa.string())
