"""The rows that a race sees: sampled, typed, labelled and split, with every choice on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from promise.data.answer import Answer, Class
from promise.data.columns import Array, Columns, IntArray
from promise.data.infer import read_columns
from promise.data.sample import Strategy, sample_rows
from promise.data.schema import Schema
from promise.data.source import Source
from promise.data.split import Split, choose_split
from promise.errors import ConfigError, DataError, near
from promise.features.table import calendar_of
from promise.kernels.encoding_calendar import ROUNDS, calendar_parts
from promise.models.base import Examples
from promise.pipeline.holdout import group_codes
from promise.pipeline.request import row_order
from promise.workloads.tabular.label import Label, read_label

__all__ = ["Label", "Sampling", "Table", "load_table", "read_label", "table_roles"]

HOLDOUT, TRAIN = 1, 0
_STRATA = 10  # quantile bins of a number to stratify by


ROLES = ("label", "time", "group", "entity", "input", "protected", "ignore", "id")
"""The parts that a column of a table can play."""

_ONCE = ROLES[:4]


def table_roles(schema: Schema, roles: Mapping[str, str], target: str) -> Schema:
    """Give the columns of a table the roles that the user named; contradictions are refused.

    Examples
    --------
    >>> from promise.data.schema import Field
    >>> schema = Schema((Field("shop", "category"), Field("sold", "number")))
    >>> table_roles(schema, {"shop": "entity"}, "sold").named("entity").name
    'shop'
    """
    for role in roles.values():
        if role not in ROLES:
            raise ConfigError(f"a table has no column of role {role!r}; {near(role, ROLES)}")
    for role in _ONCE:
        names = [name for name, played in roles.items() if played == role]
        names += [target] if role == "label" and target not in names else []
        if len(names) > 1:
            listed = " and ".join(repr(name) for name in names)
            raise ConfigError(f"{listed} are named as the {role}; name one column.")
    if roles.get(target, "label") != "label":
        raise ConfigError(f"{target!r} is the target, it cannot be the {roles[target]} as well.")
    return schema.with_roles(roles)


@dataclass(frozen=True)
class Table:
    """Sampled rows, with the sealed holdout marked.

    Parameters
    ----------
    schema
        All columns, with their roles.
    columns
        Typed columns of the sampled rows.
    rows
        Their row numbers in the source.
    part
        Per row: 0 train, 1 holdout, -1 left out in the gap of a temporal split.
    """

    source: Source
    schema: Schema
    target: str
    answer: Answer
    columns: Columns
    rows: IntArray
    y: Array
    split: Split
    part: IntArray
    n_source_rows: int
    unlabelled: int

    @property
    def train(self) -> IntArray:
        """Positions of the rows to learn from."""
        return np.flatnonzero(self.part == TRAIN)

    @property
    def holdout(self) -> IntArray:
        """Positions of the sealed rows."""
        return np.flatnonzero(self.part == HOLDOUT)

    def role_values(self, role: str) -> Array | None:
        """Return the values of the column that plays a role, or None."""
        field = self.schema.find(role)  # type: ignore[arg-type]
        return None if field is None else self.columns[field.name]

    def examples(self, positions: IntArray) -> Examples:
        """Return the rows at these positions as examples of the columns that feed the model."""
        return Examples(
            columns=self.columns.only(self.fed).take(positions),
            y=self.y[positions],
            answer=self.answer,
            rows=self.rows[positions],
            order=self._order(positions),
        )

    def groups(self, positions: IntArray) -> IntArray | None:
        """Return the group of each row where whole groups were sealed, else None."""
        if self.split.kind != "grouped" or self.split.column is None:
            return None
        return group_codes(self.columns[self.split.column][positions])

    @property
    def fed(self) -> tuple[str, ...]:
        """Names of the columns that feed the model: the inputs, and a time for its calendar."""
        calendar = calendar_of(self.schema) if self.calendar else []
        return (*(field.name for field in self.schema.inputs), *calendar)

    @cached_property
    def calendar(self) -> tuple[str, ...]:
        """Parts of the time column that the training rows saw come round twice: features."""
        found = calendar_of(self.schema)
        return tuple(calendar_parts(self.columns[found[0]][self.train])) if found else ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the split keeps from the models, in sentences."""
        if self.split.kind != "temporal":
            return ()
        lost = [part for part in ROUNDS if part not in self.calendar]
        if not lost:
            return ()
        orders, unseen = f"`{self.split.column}` orders the rows", _listed(lost)
        why = "which the training rows do not cover twice"
        if self.calendar:
            verb = "is" if len(self.calendar) == 1 else "are"
            read = f"{_listed(self.calendar)} {verb} read"
            return (f"{orders}; of it {read}, but not {unseen}, {why}.",)
        return (f"{orders} and is no input: nothing is learned from its {unseen}, {why}.",)

    @property
    def ordered(self) -> bool:
        """Whether the rows have an order that a sequence model can use."""
        return self.schema.find("time") is not None

    def _order(self, positions: IntArray) -> IntArray | None:
        time = self.role_values("time")
        if time is None:
            return None
        return row_order(time[positions], _at(self.role_values("entity"), positions))

    def with_schema(self, schema: Schema) -> Table:
        """Return the same rows under other roles."""
        return replace(self, schema=schema)


def _listed(parts: Sequence[str]) -> str:
    """Return parts of a date in words, joined."""
    words = ["day of the month" if part == "day" else part for part in parts]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _at(values: Array | None, positions: IntArray) -> Array | None:
    return None if values is None else values[positions]


@dataclass(frozen=True)
class Sampling:
    """How many rows to learn from and how they are drawn."""

    size: int
    strategy: Strategy = "random"
    seed: int = 7

    def draw(self, label: Label, time: Array | None) -> IntArray:
        """Return the positions, among the labelled rows, of the sample."""
        if self.size >= len(label.rows):
            return np.arange(len(label.rows))
        if self.strategy == "time" and time is None:
            raise ConfigError("--strategy time needs a time column: say --time COLUMN.")
        return sample_rows(
            len(label.rows),
            self.size,
            strategy=self.strategy,
            seed=self.seed,
            strata=_strata(label) if self.strategy == "stratified" else None,
            time=time if self.strategy == "time" else None,
        )


def _strata(label: Label) -> Array:
    if isinstance(label.answer, Class):
        return label.y
    edges = np.quantile(label.y, np.linspace(0, 1, _STRATA + 1)[1:-1])
    return np.searchsorted(edges, label.y)


def load_table(
    source: Source,
    schema: Schema,
    target: str,
    label: Label,
    sampling: Sampling,
    *,
    time: str | None = None,
    group: str | None = None,
    gap_s: float = 0.0,
) -> Table:
    """Read the sampled rows, give columns their roles and seal the holdout.

    Parameters
    ----------
    time, group
        Columns that the user named; without them the split is chosen by evidence.
    gap_s
        Seconds before a temporal cutoff whose rows are dropped: as long as labels take to come.
    """
    for flag, name in (("--time", time), ("--group", group)):
        if name is not None and name not in schema:
            raise DataError(f"{flag} {name}: there is no such column; {near(name, schema.names)}")
        if name == target:
            raise ConfigError(f"{flag} {name}: this is the target; name another column.")
    roles = {target: "label"}
    if group is not None:
        roles[group] = "group"
    times = None
    if time is not None and sampling.strategy == "time":  # other strategies need no pass for it
        times = read_columns(source, schema.only((time,)), label.rows)[0][time]
    positions = sampling.draw(label, times)
    rows = label.rows[positions]
    columns, _ = read_columns(source, schema, rows)
    y = label.y[positions]
    schema = schema.with_roles(roles)
    split = choose_split(
        columns, schema, y, label.answer, rows,
        time=time, group=group, seed=sampling.seed, gap_s=gap_s,
    )  # fmt: skip
    if split.kind == "temporal" and split.column:
        schema = schema.with_roles({split.column: "time"})
    if split.kind == "grouped" and split.column:
        schema = schema.with_roles({split.column: "group"})
    part = split.holdout(
        rows,
        y=y,
        time=columns[split.column] if split.kind == "temporal" and split.column else None,
        group=columns[split.column] if split.kind == "grouped" and split.column else None,
    )
    table = Table(
        source=source,
        schema=schema,
        target=target,
        answer=label.answer,
        columns=columns,
        rows=rows,
        y=y,
        split=split,
        part=part,
        n_source_rows=label.n_source_rows,
        unlabelled=label.unlabelled,
    )
    _check_roles(table)
    return table


def _check_roles(table: Table) -> None:
    """Refuse roles that leave nothing to learn from, or an entity without a time."""
    schema = table.schema
    entity = schema.find("entity")
    if entity is not None and schema.find("time") is None:
        raise ConfigError(
            f"{entity.name!r} is the entity whose rows follow one another in time, but no column "
            "is the time: say --column time=COLUMN."
        )
    if not table.fed:
        played = ", ".join(f"{field.name!r} is the {field.role}" for field in schema)
        reason = (
            ""
            if schema.find("time") is None
            else (
                "; of a time only what comes round again is learned from (hour, weekday, month), "
                "and the training rows cover no day, week, month or year twice: add rows"
            )
        )
        raise DataError(
            f"no column of {table.source.name} is left to learn from: {played}{reason}."
        )
