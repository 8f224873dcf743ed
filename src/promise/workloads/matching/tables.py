"""Tables of people, of events and of decided pairs, as arrays over one numbering of people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from promise.data.columns import Array, FloatArray, IntArray
from promise.data.infer import infer_field
from promise.data.schema import Field
from promise.data.source import Source
from promise.errors import DataError
from promise.features.people import People
from promise.features.people_profile import FIELDS
from promise.features.people_reading import read_people
from promise.kernels.parsing import (
    is_text,
    parse_boolean,
    parse_date,
    parse_number,
    parse_text,
)
from promise.kernels.plain_tables import join_tables
from promise.pipeline.finding import FORGET, PROFILE
from promise.profiling.names import names_identifier
from promise.workloads.matching.kinds import LIKE, PASS, kind_codes
from promise.workloads.matching.roles import Roles, event_roles

_CHUNK_ROWS = 1 << 20


@dataclass(frozen=True)
class Deeds:
    """What people did to one another, in order of time.

    Parameters
    ----------
    chooser, chosen
        Places in the table of people: int32 (n,).
    kind
        Codes of `KINDS`: int8 (n,).
    at_us
        Microseconds since 1970; 0 where the data have no times: int64 (n,).
    position, propensity
        Where and by which chance somebody was shown; NaN where not told: float32 (n,).
    group
        Whose rows stay together, -1 without groups: int32 (n,).
    row
        Row numbers in the source: int64 (n,).
    """

    chooser: IntArray
    chosen: IntArray
    kind: IntArray
    at_us: IntArray
    position: FloatArray
    propensity: FloatArray
    group: IntArray
    row: IntArray

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.kind)

    def take(self, rows: Array | slice) -> Deeds:
        """Return the deeds at these places, or where a mask is true."""
        return Deeds(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def before(self, at_us: int) -> Deeds:
        """Return what happened before a moment."""
        return self.take(slice(0, int(np.searchsorted(self.at_us, at_us))))

    def between(self, start_us: int, end_us: int | None) -> Deeds:
        """Return what happened from `start_us` on and before `end_us`; None: to the end."""
        last = self.n if end_us is None else int(np.searchsorted(self.at_us, end_us))
        return self.take(slice(int(np.searchsorted(self.at_us, start_us)), last))


@dataclass(frozen=True)
class Left:
    """How many rows of events were left out, and why."""

    selves: int = 0
    unknown: int = 0
    repeated: int = 0
    no_time: int = 0
    profiles: int = 0
    forgotten: tuple[str, ...] = ()

    def sentences(self) -> tuple[str, ...]:
        """Say what was left out."""
        said = (
            (self.selves, "are of people about themselves"),
            (self.unknown, "are of people without a profile"),
            (self.repeated, "came twice"),
            (self.no_time, "have no time"),
            (self.profiles, "are about one person alone"),
        )
        return tuple(f"{n:,} events {what}; they are left out" for n, what in said if n)


def texts(column: Any) -> pa.Array:
    """Return ids as text, whatever they came as: 7, 7.0 and " 7 " are one id.

    Examples
    --------
    >>> texts(pa.chunked_array([[7.0, None]])).to_pylist(), texts(pa.array([" a"])).to_pylist()
    (['7', None], ['a'])
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        return pa.array(parse_text(column, {"name": "id"}), pa.string())
    if not is_text(column):
        return column.cast(pa.string())
    trimmed = pc.utf8_trim_whitespace(column).cast(pa.string())
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def people_of(table: pa.Table, roles: Roles) -> People:
    """Read profiles; numbers that no role takes are read as further ones for the ranker."""
    columns = {
        role: told_column(role, name, table.column(name).combine_chunks())
        for role, name in roles.columns.items()
        if role in FIELDS
    }
    taken = {*roles.columns.values(), *roles.ignored}
    extras = {}
    for name in table.column_names:
        if name in taken:
            continue
        field = infer_field(name, table.column(name))
        number = field.type in ("number", "boolean") and not names_identifier(name)
        if number or name in roles.extras:
            extras[name] = parse_number(table.column(name).combine_chunks(), vars(field))
    return read_people(columns, extras=extras)


def read_events(source: Source, named: Mapping[str, str], ids: Array) -> tuple[Deeds, Left, Roles]:
    """Read events of known people, in order of their times; what cannot be used is counted.

    Parameters
    ----------
    ids
        Ids of the people in their order, as text.

    Raises
    ------
    DataError
        Where a column is missing or a kind of event is unknown.
    """
    roles = event_roles(source.columns, named, source.name)
    known = pa.array(ids, pa.string())
    wanted = list(dict.fromkeys(roles.columns.values()))
    parts, left, keys = [], Left(), []
    when = infer_field(roles["at"], source.sample(10_000).column(roles["at"]))
    for first, table in source.batches(wanted, _CHUNK_ROWS):
        part, out, key = _part(table, first, roles, when, known, source.name)
        parts.append(part)
        keys.append(key)
        left = summed(left, out)
    if not parts:
        raise DataError(f"{source.name} has no rows.")
    deeds, again = _distinct(_joined(parts), np.concatenate(keys))
    return deeds, replace(left, repeated=again), roles


def deeds_of_pairs(
    chooser: pa.Array, chosen: pa.Array, yes: Array, group: IntArray, at_us: IntArray, ids: Array
) -> tuple[Deeds, Left]:
    """Return decided pairs as deeds: a yes is a like, a no a pass."""
    known = pa.array(ids, pa.string())
    deeds = Deeds(
        chooser=_codes(chooser, known),
        chosen=_codes(chosen, known),
        kind=np.where(yes > 0.5, LIKE, PASS).astype(np.int8),
        at_us=at_us,
        position=np.full(len(yes), np.nan, np.float32),
        propensity=np.full(len(yes), np.nan, np.float32),
        group=group,
        row=np.arange(len(yes), dtype=np.int64),
    )
    known_pair = (deeds.chooser >= 0) & (deeds.chosen >= 0) & np.isfinite(yes)
    selves = known_pair & (deeds.chooser == deeds.chosen)
    left = Left(selves=int(selves.sum()), unknown=int((~known_pair).sum()))
    kept = deeds.take(known_pair & ~selves)
    kept = kept.take(np.argsort(kept.at_us, kind="stable"))
    deeds, again = _distinct(kept, np.array([None] * kept.n, dtype=object))
    return deeds, replace(left, repeated=again)


def told_column(role: str, name: str, column: Any) -> Any:
    """Return a profile's column in the form that people are read from."""
    if role in ("age", "lat", "lon"):
        return parse_number(column, vars(infer_field(name, pa.chunked_array([column]))))
    if role == "joined_at":
        field = infer_field(name, pa.chunked_array([column]))
        return pa.array(parse_date(column, vars(replace(field, type="date"))))
    if role == "interests" and is_text(column):
        found = column.drop_null()
        if len(found) and found[0].as_py().startswith("["):  # lists, as other formats tell them
            return pa.array([_listed(text) for text in column.to_pylist()], pa.list_(pa.string()))
    return texts(column) if role == "id" else column


def _listed(text: str | None) -> list[str]:
    if not text:
        return []
    try:
        return [str(part) for part in json.loads(text)]
    except ValueError:
        return [part.strip() for part in text.strip("[]").split(",") if part.strip()]


def _part(
    table: pa.Table, first: int, roles: Roles, when: Field, known: pa.Array, source: str
) -> tuple[Deeds, Left, Array]:
    """Return the usable events of some rows, what was left out, and their own ids."""
    who, whom = (texts(table.column(roles[role])) for role in ("entity", "other"))
    kinds = np.array(texts(table.column(roles["type"])).to_pylist(), dtype=object)
    alone = np.isin(kinds.astype(str), (PROFILE, FORGET))
    gone = who.filter(pa.array(kinds.astype(str) == FORGET)).drop_null().to_pylist()
    at = parse_date(table.column(roles["at"]).combine_chunks(), vars(replace(when, type="date")))
    no_time = np.isnat(at) & ~alone
    chooser, chosen = _codes(who, known), _codes(whom, known)
    selves = ~alone & pc.fill_null(pc.equal(who, whom), False).to_numpy(zero_copy_only=False)
    strange = ~alone & ~selves & ((chooser < 0) | (chosen < 0))
    kept = ~(alone | no_time | selves | strange)
    codes = np.zeros(len(kinds), dtype=np.int8)
    codes[~alone] = kind_codes(kinds[~alone], source)
    deeds = Deeds(
        chooser=chooser,
        chosen=chosen,
        kind=codes,
        at_us=at.astype(np.int64),
        position=_numbers(table, roles, "position"),
        propensity=_numbers(table, roles, "propensity"),
        group=np.full(len(kinds), -1, np.int32),
        row=first + np.arange(len(kinds), dtype=np.int64),
    )
    left = Left(
        selves=int(selves.sum()),
        unknown=int((strange & ~no_time).sum()),
        no_time=int((no_time & ~selves).sum()),
        profiles=int(alone.sum()),
        forgotten=tuple(gone),
    )
    key = _event_ids(table, roles)
    return deeds.take(kept), left, key[kept]


def _event_ids(table: pa.Table, roles: Roles) -> Array:
    if "event_id" not in roles:
        return np.full(table.num_rows, None, dtype=object)
    return np.array(texts(table.column(roles["event_id"])).to_pylist(), dtype=object)


def _numbers(table: pa.Table, roles: Roles, role: str) -> FloatArray:
    if role not in roles:
        return np.full(table.num_rows, np.nan, np.float32)
    column = table.column(roles[role]).combine_chunks()
    return parse_number(column, {"name": roles[role]}).astype(np.float32)


def _codes(ids: pa.Array, known: pa.Array) -> IntArray:
    """Return the place of each id among the known ones, -1 for none: int32 (n,)."""
    found = pc.fill_null(pc.index_in(ids, value_set=known, skip_nulls=True), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int32)


def _joined(parts: list[Deeds]) -> Deeds:
    names = Deeds.__dataclass_fields__
    return Deeds(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def joined_deeds(parts: list[Deeds]) -> Deeds:
    """Return deeds of several sources in order of time."""
    found = _joined(parts)
    return found.take(np.argsort(found.at_us, kind="stable"))


def no_deeds() -> Deeds:
    """Return none."""
    kinds = ("int32", "int32", "int8", "int64", "float32", "float32", "int32", "int64")
    return Deeds(*(np.empty(0, kind) for kind in kinds))


def _distinct(deeds: Deeds, event_ids: Array) -> tuple[Deeds, int]:
    """Return deeds in order of time without repetitions: of an event's id, else of all fields."""
    order = np.argsort(deeds.at_us, kind="stable")
    deeds, event_ids = deeds.take(order), event_ids[order]
    named = np.array([i is not None for i in event_ids.tolist()], dtype=bool)
    kept = np.ones(deeds.n, dtype=bool)
    if named.any():
        places = np.flatnonzero(named)
        _, first = np.unique(event_ids[places].astype(str), return_index=True)
        kept[places] = False
        kept[places[first]] = True
    if not named.all():
        places = np.flatnonzero(~named)
        fields = (deeds.at_us, deeds.chooser, deeds.chosen, deeds.kind)
        rows = np.stack([field[places].astype(np.int64) for field in fields], axis=1)
        _, first = np.unique(rows, axis=0, return_index=True)
        kept[places] = False
        kept[places[first]] = True
    return deeds.take(kept), int((~kept).sum())


def summed(a: Left, b: Left) -> Left:
    """Return what was left out of two sources together."""
    return Left(*(getattr(a, name) + getattr(b, name) for name in Left.__dataclass_fields__))


def yes_of(column: Any, name: str) -> FloatArray:
    """Return 1 for yes, 0 for no and NaN for neither."""
    return parse_boolean(column.combine_chunks(), {"name": name})


def whole_table(source: Source, columns: list[str] | None = None) -> pa.Table:
    """Return all rows of a source."""
    parts = [table for _, table in source.batches(columns)]
    if not parts or not sum(part.num_rows for part in parts):
        raise DataError(f"{source.name} has no rows.")
    return join_tables(parts)
