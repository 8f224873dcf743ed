"""People, what they did, and how it is cut: what every preset learns from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from promise.data.columns import Array, IntArray
from promise.data.infer import infer_field
from promise.data.source import Source, open_source
from promise.errors import ConfigError, DataError, near
from promise.features.people import EVERYBODY, People
from promise.features.people_reading import read_people
from promise.kernels.parsing import parse_date
from promise.pipeline.finding import FORGET
from promise.pipeline.order import Order
from promise.records.history import LOG, History
from promise.workloads.matching.kinds import is_decision, is_positive
from promise.workloads.matching.pairs import pair_table
from promise.workloads.matching.profiles import told_profiles
from promise.workloads.matching.roles import Roles, check_roles, event_roles, people_roles
from promise.workloads.matching.split import Cut, cut_by_group, cut_by_time
from promise.workloads.matching.tables import (
    Deeds,
    Left,
    deeds_of_pairs,
    joined_deeds,
    people_of,
    read_events,
    summed,
    texts,
    whole_table,
    yes_of,
)
from promise.workloads.matching.together import only_new, people_together, with_shown


@dataclass(frozen=True)
class Ground:
    """Everything that training reads.

    Parameters
    ----------
    told
        Sentences that a reader should check: roles that were guessed, rows that were left out.
    columns
        Role to column, as it was found.
    """

    people: People
    deeds: Deeds
    cut: Cut
    left: Left
    told: tuple[str, ...]
    columns: dict[str, str]

    @property
    def n_decisions(self) -> int:
        """How many yeses and noes there are."""
        return int(is_decision(self.deeds.kind).sum())

    @property
    def n_yes(self) -> int:
        """How many yeses there are."""
        return int(is_positive(self.deeds.kind).sum())


def lay_ground(source: Source, order: Order) -> Ground:
    """Read a table of decided pairs, or people and their events, and cut it.

    Raises
    ------
    ConfigError, DataError
        Where a column, a time or a group is missing; names the way out.
    """
    named = {name: "at" if role == "time" else role for name, role in order.columns.items()}
    check_roles(named)
    everywhere = set(source.columns)
    people, told = _profiles(source, order, named)
    known = everywhere | (set() if people is None else set(people.columns))
    strange = next((column for column in named if column not in known), None)
    if strange is not None and order.log is None:  # with a log, the columns are as they were
        raise DataError(f"there is no column {strange!r}; {near(strange, known)}")
    if people is None and is_of_pairs(source, named):
        if order.log is not None:
            raise DataError(
                f"{source.name} is a table of decided pairs, and the log tells events of people "
                "whom it does not know: train on a longer table (promise train matching TABLE "
                f"--name {order.name}), or on the log alone (promise train matching --name "
                f"{order.name} --events {LOG})."
            )
        return _of_pairs(source, named, order)
    ground = _of_events(source, people, named, order)
    if not isinstance(source, History):
        return ground
    read = f"{source.n_events:,} events were read from {source.name}, up to number {source.head:,}"
    return replace(ground, told=(read, *told, *ground.told))


def _profiles(
    source: Source, order: Order, named: dict[str, str]
) -> tuple[Source | None, tuple[str, ...]]:
    """Return where profiles are told, None for nowhere: a file, the log, or both; and remarks."""
    if order.people is not None:
        file = open_source(order.people)
        if order.log is None:
            return file, ()
        return open_source(people_together(file, named, order.log)), ()
    log = source if isinstance(source, History) else order.log
    if log is None:
        return None, ()
    table, told = told_profiles(log)
    return None if table is None else open_source(table), told


def is_of_pairs(source: Source, named: dict[str, str]) -> bool:
    """Say whether rows are decided pairs: they have a decision, or no type of event."""
    if "decision" in named.values():
        return True
    roles = {"type", "event", "kind", "action", "event_type"}
    return "type" not in named.values() and not roles & {c.lower() for c in source.columns}


def _of_events(
    source: Source, people: Source | None, named: dict[str, str], order: Order
) -> Ground:
    told: tuple[str, ...] = ()
    sources = [(source, named)] + ([] if order.log is None else [(order.log, {})])
    if people is None:
        ids = sorted({id for one, names in sources for id in _everyone(one, names)})
        everyone = read_people({"id": pa.array(ids, pa.string())})
        columns: dict[str, str] = {}
        told = ("there are no profiles (--people): everybody is known by their events alone",)
    else:
        roles = people_roles(people.columns, named, people.name)
        everyone = people_of(_first_of_each(whole_table(people), roles), roles)
        columns, told = dict(roles.columns), roles.told
    gone = np.concatenate([_gone(one, names) for one, names in sources])
    if order.forgotten is not None:
        gone = np.array([*gone.tolist(), *order.forgotten(everyone.ids.tolist())], dtype=np.str_)
    everyone = everyone.take(~np.isin(everyone.ids, gone)) if len(gone) else everyone
    deeds, left, found = read_events(source, named, everyone.ids)
    log = source if isinstance(source, History) else order.log
    if order.log is not None and order.log.n_events:
        more, out, _ = read_events(order.log, {}, everyone.ids)
        fresh = only_new(more, deeds)
        told = (*told, f"{fresh.n:,} further events were read from {order.log.name}")
        left = summed(left, replace(out, repeated=out.repeated + more.n - fresh.n, profiles=0))
        deeds = joined_deeds([deeds, fresh])
    if log is not None:
        deeds = with_shown(deeds, log, everyone.ids)
    if isinstance(source, History) and order.people is None:
        left = replace(left, profiles=0)  # they were read
    if order.split is not None and order.split.startswith("grouped"):
        raise ConfigError(
            "events are cut by their time; --split grouped:COLUMN is for tables of decided pairs."
        )
    cut = cut_by_time(deeds, found["at"])
    return Ground(
        people=everyone,
        deeds=deeds,
        cut=cut,
        left=left,
        told=(*told, *found.told, *left.sentences()),
        columns={**columns, **found.columns},
    )


@dataclass(frozen=True)
class Meetings:
    """A table of decided pairs, read and not yet cut."""

    people: People
    deeds: Deeds
    left: Left
    roles: Roles
    told: tuple[str, ...]

    @property
    def by_time(self) -> bool:
        """Whether times set the decisions apart."""
        return len(np.unique(self.deeds.at_us)) > 2


def read_meetings(source: Source, named: dict[str, str], order: Order) -> Meetings:
    """Read a table of decided pairs, each row with its chooser's profile."""
    table = whole_table(source)
    pairs = pair_table(table, named, source.name)
    roles = pairs.roles
    everyone = people_of(pairs.profiles, pairs.profile_roles)
    if order.forgotten is not None:
        gone = list(order.forgotten(everyone.ids.tolist()))
        everyone = everyone.take(~np.isin(everyone.ids, np.array(gone, dtype=np.str_)))
    yes = yes_of(table.column(roles["decision"]), roles["decision"])
    group, at_us = np.full(table.num_rows, -1, np.int32), np.zeros(table.num_rows, np.int64)
    if "group" in roles:
        values = np.array(texts(table.column(roles["group"])).to_pylist(), dtype=object)
        group = np.unique(values.astype(str), return_inverse=True)[1].astype(np.int32)
    if "at" in roles and (order.split is None or order.split.startswith("temporal")):
        field = replace(infer_field(roles["at"], table.column(roles["at"])), type="date")
        at = parse_date(table.column(roles["at"]).combine_chunks(), vars(field))
        at_us = np.where(np.isnat(at), 0, at.astype(np.int64))
    who, whom = texts(table.column(roles["entity"])), texts(table.column(roles["other"]))
    deeds, left = deeds_of_pairs(who, whom, yes, group, at_us, everyone.ids)
    everyone, seeking = _seeking(everyone, deeds)
    told = (*roles.told, *pairs.told, *seeking, *left.sentences())
    return Meetings(everyone, deeds, left, roles, told)


def _of_pairs(source: Source, named: dict[str, str], order: Order) -> Ground:
    read = read_meetings(source, named, order)
    roles, deeds, by_time = read.roles, read.deeds, read.by_time
    if not by_time and "group" not in roles:
        raise DataError(
            f"{source.name} tells neither when decisions were taken nor which belong together: "
            "name a column by --column at=NAME or --split grouped:NAME, so that none that is "
            "judged on was learned from."
        )
    column = roles["at"] if by_time else roles["group"]
    return Ground(
        people=read.people,
        deeds=deeds,
        cut=cut_by_time(deeds, column) if by_time else cut_by_group(deeds, column, order.seed),
        left=read.left,
        told=read.told,
        columns=dict(roles.columns),
    )


def _seeking(people: People, deeds: Deeds) -> tuple[People, tuple[str, ...]]:
    """Return people who seek the genders they meet, where they do not say whom they seek."""
    a, b = people.gender[deeds.chooser], people.gender[deeds.chosen]
    told = (a >= 0) & (b >= 0)
    if (people.seeks != EVERYBODY).any() or told.mean() < 0.9 or (a[told] == b[told]).mean() > 0.01:
        return people, ()
    own = np.uint64(1) << np.maximum(people.gender, 0).astype(np.uint64)
    seeks = np.where(people.gender >= 0, EVERYBODY & ~own, EVERYBODY)
    said = "nobody says whom they seek: since people only met other genders, those are offered"
    return replace(people, seeks=seeks), (said,)


def _everyone(source: Source, named: dict[str, str]) -> list[str]:
    """Return the ids of everybody who did or met something, in order."""
    roles = event_roles(source.columns, named, source.name)
    found: set[str] = set()
    for _, table in source.batches([roles["entity"], roles["other"]]):
        for role in ("entity", "other"):
            found.update(pc.unique(texts(table.column(roles[role])).drop_null()).to_pylist())
    return sorted(found)


def _gone(source: Source, named: dict[str, str]) -> Array:
    """Return the ids of those whom an event tells to forget."""
    roles = event_roles(source.columns, named, source.name)
    found: list[str] = []
    for _, table in source.batches([roles["entity"], roles["type"]]):
        mask = pc.fill_null(pc.equal(texts(table.column(roles["type"])), FORGET), False)
        found += texts(table.column(roles["entity"])).filter(mask).drop_null().to_pylist()
    return np.array(found, dtype=np.str_)


def _first_of_each(table: pa.Table, roles: Roles) -> pa.Table:
    """Return the last row of each id: a profile that comes twice is as it was told last."""
    ids = np.array(texts(table.column(roles["id"])).to_pylist(), dtype=object).astype(str)
    _, last = np.unique(ids[::-1], return_index=True)
    kept: IntArray = np.sort(len(ids) - 1 - last)
    return table if len(kept) == len(ids) else table.take(pa.array(kept))
