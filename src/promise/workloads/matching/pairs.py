"""A table of decided pairs: which of its columns are the chooser's profile.

A row holds a chooser, whom they met, their decision, and the chooser's answers. Read as profile
are the columns that say the same in all rows of a chooser and stand left of the decision: what
stands right of it may have been asked afterwards, and what changes from row to row is about the
meeting, or about the other one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from promise.data.columns import Array, IntArray
from promise.data.infer import infer_field
from promise.errors import DataError
from promise.profiling.names import names_identifier
from promise.workloads.matching.roles import NAMES, PROFILE, Roles, pair_roles
from promise.workloads.matching.tables import texts


@dataclass(frozen=True)
class Pairs:
    """How a table of decided pairs is read.

    Parameters
    ----------
    profiles
        One row for each chooser, with the columns that `profile_roles` names.
    """

    roles: Roles
    profiles: pa.Table
    profile_roles: Roles
    told: tuple[str, ...]


def pair_table(table: pa.Table, named: Mapping[str, str], source: str) -> Pairs:
    """Find out which columns are read of a table of decided pairs.

    Examples
    --------
    >>> table = pa.table({"iid": [1, 1, 2, 2], "pid": [2, 3, 1, 3], "age": [30, 30, 41, 41],
    ...                   "met": [0, 1, 1, 0], "dec": [1, 0, 0, 1], "asked": [5, 5, 6, 6]})
    >>> pairs = pair_table(table, {}, "evening")
    >>> pairs.profiles.column_names, pairs.roles["decision"]
    (['iid', 'age'], 'dec')
    """
    named = _sure(table, named, source)
    roles = pair_roles(table.column_names, named, source)
    who = np.array(texts(table.column(roles["entity"])).to_pylist(), dtype=object).astype(str)
    ids, first, code = np.unique(who, return_index=True, return_inverse=True)
    group = _codes(table, roles["group"]) if "group" in roles else None
    used = {column for role, column in roles.columns.items() if role not in PROFILE}
    wanted = {name for name, role in named.items() if role in (*PROFILE, "extra")}
    after = table.column_names.index(roles["decision"])
    kept, late, varying = [], [], []
    for place, name in enumerate(table.column_names):
        if name in used or name in roles.ignored:
            continue
        if name in wanted:
            kept.append(name)
        elif place > after:
            late.append(name)
        elif not _same_within(table, name, code, len(ids)):
            varying.append(name)
        elif not names_identifier(name) and not _tells_group(table, name, group):
            kept.append(name)
    columns = {"id": roles["entity"]} | {r: c for r, c in roles.columns.items()
                                         if r in PROFILE and c in kept}  # fmt: skip
    dropped = {r: c for r, c in roles.columns.items() if r not in PROFILE or c in kept}
    profiles = table.select([roles["entity"], *kept]).take(pa.array(np.sort(first)))
    return Pairs(
        roles=Roles(dropped, roles.extras, roles.ignored, roles.told),
        profiles=profiles,
        profile_roles=Roles(columns, roles.extras, roles.ignored, ()),
        told=(
            f"{len(kept)} columns are read as the chooser's profile: {_some(kept)}",
            f"left out, since they stand after the decision and may have been asked after it: "
            f"{_some(late)}",
            f"left out, since they change from row to row of a chooser: {_some(varying)}",
        ),
    )


def _sure(table: pa.Table, named: Mapping[str, str], source: str) -> dict[str, str]:
    """Return column to role as named, and what the values make sure of where nothing was named.

    Those who were met are choosers too, else nobody knows their profile: that tells the columns of
    ids apart. A time is a column of dates.
    """
    found = {column: role for column, role in named.items() if column in table.column_names}
    by_lower = {name.lower(): name for name in reversed(table.column_names)}
    whose, whom = (
        [column for column, role in found.items() if role == asked]
        or [by_lower[name] for name in NAMES[asked] if name in by_lower]
        for asked in ("entity", "other")
    )
    known = [(_share_known(table, a, b), a, b) for a in whose for b in whom if a != b]
    if known:
        share, entity, other = max(known, key=lambda one: one[0])
        if share < 0.5:
            raise DataError(
                f"{source}: only {100 * share:.0f} % of the ids in `{other}` stand in `{entity}`: "
                "say which columns hold chooser and chosen by --column entity=NAME "
                "--column other=NAME."
            )
        found |= {entity: "entity", other: "other"}
    if "at" not in found.values():
        for name in NAMES["at"]:
            column = by_lower.get(name)
            if column and infer_field(column, table.column(column)).type != "date":
                found.setdefault(column, "ignore")
    return found


def _share_known(table: pa.Table, entity: str, other: str) -> float:
    who, whom = texts(table.column(entity)), texts(table.column(other)).drop_null()
    if not len(whom):
        return 0.0
    known = pc.is_in(whom, value_set=pc.unique(who)).cast(pa.int8())
    return float(pc.mean(known).as_py())


def _codes(table: pa.Table, name: str) -> IntArray:
    values = np.array(texts(table.column(name)).to_pylist(), dtype=object).astype(str)
    return np.asarray(np.unique(values, return_inverse=True)[1], dtype=np.int64)


def _same_within(table: pa.Table, name: str, code: IntArray, n: int) -> bool:
    """Say whether a column is the same in all rows of each chooser."""
    return len(np.unique(np.stack([code, _codes(table, name)]), axis=1).T) == n


def _tells_group(table: pa.Table, name: str, group: IntArray | None) -> bool:
    """Say whether a column is the same for everybody of a group: then it tells nobody apart."""
    if group is None:
        return False
    codes: Array = _codes(table, name)
    return len(np.unique(np.stack([group, codes]), axis=1).T) == len(np.unique(group))


def _some(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:12])
    return (shown or "none") + (f" … ({len(names)} in all)" if len(names) > 12 else "")
