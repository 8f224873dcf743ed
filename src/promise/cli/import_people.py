"""`promise events` for models that answer with lists: files of people, and of what they did."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC
from hashlib import blake2b
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from promise.cli.entries import BadEntries, Row, payload_told, progress
from promise.clock import Clock
from promise.data.infer import infer_field
from promise.data.rows import OnBadRows
from promise.data.source import Source
from promise.errors import DataError, near
from promise.features.event import micros_of
from promise.features.windows import duration_us
from promise.kernels.parsing import parse_date
from promise.pipeline.finding import PROFILE
from promise.pipeline.order import Workload
from promise.records.bulk import GIVEN, BulkEvents, Kept
from promise.records.event_values import TEXT_LIMIT
from promise.records.events import PAYLOAD_LIMIT
from promise.state.database import Database
from promise.state.moments import to_text
from promise.workloads.matching.roles import NAMES, Roles, event_roles, people_roles
from promise.workloads.matching.tables import texts

CHUNK_ROWS = 100_000
_CONTROL = "[\\x00-\\x1f\\x7f]"


@dataclass(frozen=True)
class Importing:
    """Reads a file of people or of events, and keeps it in the log of a model.

    Parameters
    ----------
    workload
        Whose types of events are known.
    skew
        How far ahead of the clock an event may lie, as `5m`.
    """

    name: str
    workload: Workload
    database: Database
    clock: Clock
    skew: str

    def run(self, source: Source, file: str, on_bad_rows: OnBadRows) -> tuple[Row, BadEntries]:
        """Keep a file; return the counts, and what was left out.

        Raises
        ------
        DataError
            When a row cannot be kept and `on_bad_rows` is `fail`; nothing was kept then.
        """
        reader = self._reader(source, file)
        with progress() as tell:
            if on_bad_rows == "fail":
                bad = BadEntries()
                for number, _ in reader.tables(bad):
                    tell(f"checking: {number:,} rows")
                bad.refuse(file)
            bad, counts = BadEntries(), Kept(0, 0, 0)
            bulk = BulkEvents(self.database, self.clock)
            for number, table in _ahead(reader.tables(bad)):
                kept = bulk.add(self.name, table, timed=reader.timed)
                counts = Kept(*(a + b for a, b in zip(_counts(counts), _counts(kept), strict=True)))
                tell(f"keeping: {number:,} rows")
        told: Row = {"accepted": counts.added, "unchanged": counts.unchanged}
        if counts.forgotten:
            told["forgotten"] = counts.forgotten
        return told, bad

    def _reader(self, source: Source, file: str) -> _People | _Deeds:
        names = {name.lower() for name in source.columns}
        if names.isdisjoint(NAMES["type"]) and names.isdisjoint(NAMES["other"]):
            return _People(
                source, people_roles(source.columns, {}, file), to_text(self.clock.now())
            )
        roles = event_roles(source.columns, {}, file)
        last_us = micros_of(self.clock.now()) + duration_us(self.skew)
        return _Deeds(source, roles, (*self.workload.event_types, PROFILE), last_us)


def _ahead(tables: Iterator[tuple[int, pa.Table]]) -> Iterator[tuple[int, pa.Table]]:
    """Read the next rows while the database keeps those before them."""
    with ThreadPoolExecutor(1, thread_name_prefix="promise-import") as pool:
        following = pool.submit(next, tables, None)
        while (found := following.result()) is not None:
            following = pool.submit(next, tables, None)
            yield found


@dataclass(frozen=True)
class _Deeds:
    """A file of events, a row each; none may have happened after `last_us`."""

    timed: ClassVar[bool] = True
    source: Source
    roles: Roles
    types: tuple[str, ...]
    last_us: int

    def tables(self, bad: BadEntries) -> Iterator[tuple[int, pa.Table]]:
        """Yield (rows read so far, good rows as the log takes them)."""
        column = self.source.sample(10_000).column(self.roles["at"])
        when = vars(replace(infer_field(self.roles["at"], column), type="date"))
        for first, rows in self.source.batches(chunk_rows=CHUNK_ROWS):
            at = parse_date(rows.column(self.roles["at"]).combine_chunks(), when)
            given = {
                name: texts(rows.column(self.roles[name])) for name in ("entity", "other", "type")
            }
            wrong = _Wrong(first, bad, rows.num_rows)
            self._check(given, at, wrong)
            ids = self._ids(rows, given, at)
            wrong.texts("event_id", ids)
            payload = self._payloads(rows, wrong)
            table = pa.table(
                {**given, "event_id": ids, "payload": payload, "at": _moments(at)}
            ).select(GIVEN)
            table = table.set_column(2, "other", pc.fill_null(table.column("other"), ""))
            yield first + rows.num_rows, table.filter(pa.array(wrong.good))

    def _check(self, given: dict[str, Any], at: Any, wrong: _Wrong) -> None:
        wrong.texts("entity", given["entity"])
        wrong.texts("type", given["type"])
        alone = pc.fill_null(pc.equal(given["type"], PROFILE), False)
        wrong.texts("other", given["other"], needed=pc.invert(alone))
        types, known = given["type"], pa.array(self.types)
        wrong.mark(
            pc.and_(pc.is_valid(types), pc.invert(pc.is_in(types, known))),
            lambda row: (
                f"the type is {types[row].as_py()!r:.80}; " + near(types[row].as_py(), self.types)
            ),
        )
        selves = pc.and_(pc.fill_null(pc.equal(given["entity"], given["other"]), False),
                         pc.invert(alone))  # fmt: skip
        wrong.mark(selves, lambda _: "somebody did this to themselves; entity and other are two.")
        wrong.mark(pa.array(np.isnat(at)), lambda _: "the time is missing or cannot be read")
        wrong.mark(
            pa.array(at > np.datetime64(self.last_us, "us")),
            lambda row: f"the time, {at[row]}, lies in the future; correct the sender's clock",
        )

    def _ids(self, rows: pa.Table, given: dict[str, Any], at: Any) -> Any:
        """Return the ids of events; where the file has none, what happened and when."""
        if "event_id" in self.roles:
            return texts(rows.column(self.roles["event_id"]))
        parts = [pc.fill_null(given[name], "") for name in ("entity", "type", "other")]
        joined = pc.binary_join_element_wise(
            *parts, pa.array(at.astype(np.int64)).cast("string"), "|"
        )
        if not pc.any(pc.greater(pc.utf8_length(joined), TEXT_LIMIT)).as_py():
            return joined
        return pa.array([id if len(id) <= TEXT_LIMIT else _digest(id) for id in joined.to_pylist()])

    def _payloads(self, rows: pa.Table, wrong: _Wrong) -> Any:
        own = {self.roles[name] for name in ("event_id", "entity", "other", "type", "at")
               if name in self.roles}  # fmt: skip
        rest = [name for name in rows.column_names if name not in own]
        if not rest:
            return pa.repeat("{}", rows.num_rows)
        shown = {
            self.roles[name]: name for name in ("position", "propensity") if name in self.roles
        }
        rows = rows.select(rest).rename_columns([shown.get(name, name) for name in rest])
        found = []
        for place, row in enumerate(rows.to_pylist()):
            try:
                found.append(_payload(row))
            except DataError as error:
                wrong.one(place, str(error))
                found.append("{}")
        return pa.array(found)


@dataclass(frozen=True)
class _People:
    """A file of profiles, a person each: what each tells of themselves now."""

    timed: ClassVar[bool] = False
    source: Source
    roles: Roles
    at: str

    def tables(self, bad: BadEntries) -> Iterator[tuple[int, pa.Table]]:
        """Yield (rows read so far, good rows as the log takes them)."""
        renamed = {column: role for role, column in self.roles.columns.items()}
        for first, rows in self.source.batches(chunk_rows=CHUNK_ROWS):
            wrong = _Wrong(first, bad, rows.num_rows)
            ids = texts(rows.column(self.roles["id"]))
            wrong.texts("id", ids)
            rest = rows.drop_columns([self.roles["id"], *self.roles.ignored])
            rest = rest.rename_columns([renamed.get(name, name) for name in rest.column_names])
            payloads = []
            for place, row in enumerate(rest.to_pylist()):
                try:
                    payloads.append(_payload(row))
                except DataError as error:
                    wrong.one(place, str(error))
                    payloads.append("{}")
            told = zip(ids.to_pylist(), payloads, strict=True)
            n = rows.num_rows
            table = pa.table(
                {
                    "event_id": pa.array([_profile_id(id or "", text) for id, text in told]),
                    "entity": ids,
                    "other": pa.repeat("", n),
                    "type": pa.repeat(PROFILE, n),
                    "at": pa.repeat(self.at, n),
                    "payload": pa.array(payloads),
                }
            )
            yield first + n, table.filter(pa.array(wrong.good))


class _Wrong:
    """Which rows of a chunk are good; the others are told of by number, each once."""

    def __init__(self, first: int, bad: BadEntries, n: int) -> None:
        self._first, self._bad = first, bad
        self.good = np.ones(n, dtype=bool)

    def mark(self, where: Any, why: Any) -> None:
        """Leave out rows of a mask; `why` says what is wrong with one."""
        mask = where.combine_chunks() if isinstance(where, pa.ChunkedArray) else where
        for row in np.flatnonzero(mask.to_numpy(zero_copy_only=False) & self.good).tolist():
            self.one(row, why(row))

    def one(self, row: int, why: str) -> None:
        """Leave out one row."""
        if self.good[row]:
            self.good[row] = False
            self._bad.add(self._first + row + 1, why)

    def texts(self, name: str, values: Any, *, needed: Any = None) -> None:
        """Leave out rows whose value is missing, too long or not printable."""
        missing = pc.is_null(values)
        self.mark(missing if needed is None else pc.and_(missing, needed),
                  lambda _: f"{name} is missing")  # fmt: skip
        odd = pc.or_(pc.greater(pc.utf8_length(values), TEXT_LIMIT),
                     pc.match_substring_regex(values, _CONTROL))  # fmt: skip
        self.mark(
            pc.fill_null(odd, False),
            lambda _: f"{name} must have 1 to {TEXT_LIMIT} printable characters",
        )


def _payload(row: Row) -> str:
    """Return what a row tells beside its own columns, as JSON; empty cells tell nothing."""
    told = payload_told(row.pop("payload", None))
    filled = {key: _listed(value) for key, value in row.items() if not _empty(value)}
    text = json.dumps({**filled, **told}, sort_keys=True, default=_plain)
    if len(text) > PAYLOAD_LIMIT:
        raise DataError(f"the payload is longer than {PAYLOAD_LIMIT:,} characters of JSON")
    return text


def _listed(value: Any) -> Any:
    """Return a cell that holds a list as JSON, as tables of text do, as that list."""
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _plain(value: Any) -> Any:
    """Return a cell as JSON can hold it: times with their zone, anything else as text."""
    if hasattr(value, "isoformat"):
        aware = value.replace(tzinfo=UTC) if getattr(value, "tzinfo", 1) is None else value
        return aware.isoformat()
    return str(value)


def _profile_id(id: str, payload: str) -> str:
    return f"{PROFILE}-{_digest(f'{id}|{payload}')}"


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _moments(at: Any) -> Any:
    """Return times in UTC as the log keeps them."""
    stamps = pa.array(at.astype("datetime64[us]"), pa.timestamp("us"))
    return pc.strftime(stamps, format="%Y-%m-%dT%H:%M:%S+00:00")


def _counts(kept: Kept) -> tuple[int, int, int]:
    return kept.added, kept.unchanged, kept.forgotten
