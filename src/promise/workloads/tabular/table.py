"""The rows that a race sees: sampled, typed, labelled and split, with every choice on record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from promise.data.answer import Answer, Class, Number
from promise.data.columns import Array, Columns, IntArray
from promise.data.infer import read_columns
from promise.data.sample import Strategy, sample_rows
from promise.data.schema import Schema
from promise.data.source import Source
from promise.data.split import Split, choose_split
from promise.data.target import check_target, infinite, label_answer, labelled
from promise.errors import ConfigError, DataError, near
from promise.kernels.parsing import label_codes, parse_columns
from promise.kernels.rows import row_hash
from promise.metrics.pointwise import metrics_for
from promise.models.base import Examples
from promise.pipeline.holdout import group_codes
from promise.pipeline.request import row_order

HOLDOUT, TRAIN = 1, 0
_STRATA = 10  # quantile bins of a number to stratify by


ROLES = ("label", "time", "group", "entity", "input", "protected", "ignore", "id")
"""The parts that a column of a table can play."""

_ONCE = ROLES[:4]

_LABELS = 2_000_000
"""Labels of more rows than this are kept for a hashed part of them only."""


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
class Label:
    """The label of every row of the source, or of a hashed part of a very large one.

    Parameters
    ----------
    values
        Typed values of the labelled rows that are kept, in order.
    rows
        Their row numbers in the source.
    n_source_rows
        How many rows the source has, labelled or not.
    unlabelled
        How many rows have no label and are left out.
    """

    values: Array
    rows: IntArray
    answer: Answer
    n_source_rows: int
    unlabelled: int

    @property
    def n_labelled(self) -> int:
        """How many rows have a label."""
        return self.n_source_rows - self.unlabelled

    @property
    def y(self) -> Array:
        """Class codes or float64 quantities."""
        if isinstance(self.answer, Class):
            return label_codes(self.values, list(self.answer.classes))
        return self.values.astype(np.float64)


def read_label(
    source: Source,
    schema: Schema,
    target: str,
    *,
    seed: int,
    least: int = 0,
    metric: str | None = None,
) -> Label:
    """Read and judge the target; every way in which it cannot be learned is told in words.

    Parameters
    ----------
    least
        How many rows are wanted in any case; twice as many labels are kept.
    metric
        A metric of numbers makes a target of few whole numbers a number, not a class.
    """
    if target not in schema:
        raise DataError(f"{source.name} has no column {target!r}; {near(target, schema.names)}")
    field, fields = schema[target], schema.only((target,)).to_json()
    share = max(_LABELS, 2 * least) / max(1, source.size().rows)
    limit = np.uint64(min(1.0, share) * (2**64 - 1025))
    parts, kept, n_rows, unlabelled = [], [], 0, 0
    for first, table in source.batches([target]):
        rows = np.arange(first, first + table.num_rows)
        if field.type == "number":
            _refuse_infinite(table[target], rows, target)
        values = parse_columns(table, fields)[target]
        known = labelled(values)
        n_rows, unlabelled = n_rows + len(rows), unlabelled + int((~known).sum())
        keep = row_hash(rows, seed) <= limit if share < 1 else np.ones(len(rows), dtype=np.bool_)
        parts.append(values[keep])
        kept.append(rows[keep])
    values = np.concatenate(parts) if parts else np.zeros(0)
    check_target(values, field)
    known = labelled(values)
    answer = label_answer(values[known], field)
    if field.type == "number" and metric in {m.name for m in metrics_for(Number())}:
        answer = Number()
    return Label(
        values[known],
        np.concatenate(kept)[known],
        answer,
        n_rows,
        unlabelled,
    )


def _refuse_infinite(column: Any, rows: IntArray, target: str) -> None:
    mask = infinite(column)
    if mask.any():
        raise DataError(
            f"{target!r} is infinite in row {rows[mask][0]} (rows count from 0), {int(mask.sum())} "
            f"times in rows {rows[0]} to {rows[-1]}: nothing can be learned from that; leave these "
            "rows out, or put a number in their place."
        )


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
        """Return the rows at these positions as examples of the input columns."""
        inputs = tuple(field.name for field in self.schema.inputs)
        return Examples(
            columns=self.columns.only(inputs).take(positions),
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
    def warnings(self) -> tuple[str, ...]:
        """What the split keeps from the models, in sentences."""
        if self.split.kind != "temporal":
            return ()
        return (
            f"`{self.split.column}` orders the rows and is no input: what depends on its hour, "
            "weekday or month is learned only where other columns hold these.",
        )

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
    _check_roles(source, schema)
    part = split.holdout(
        rows,
        y=y,
        time=columns[split.column] if split.kind == "temporal" and split.column else None,
        group=columns[split.column] if split.kind == "grouped" and split.column else None,
    )
    return Table(
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


def _check_roles(source: Source, schema: Schema) -> None:
    """Refuse roles that leave nothing to learn from, or an entity without a time."""
    entity = schema.find("entity")
    if entity is not None and schema.find("time") is None:
        raise ConfigError(
            f"{entity.name!r} is the entity whose rows follow one another in time, but no column "
            "is the time: say --column time=COLUMN."
        )
    if not schema.inputs:
        played = ", ".join(f"{field.name!r} is the {field.role}" for field in schema)
        reason = (
            ""
            if schema.find("time") is None
            else (
                "; a time only orders the rows, so keep its hour or weekday in a column of its own"
            )
        )
        raise DataError(f"no column of {source.name} is left to learn from: {played}{reason}.")
