"""Features of a table: a frozen configuration learns how typed columns become a matrix."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from promise.data.columns import Array, Columns, FloatArray
from promise.data.schema import Schema
from promise.errors import ConfigError, DataError, near
from promise.features.interactions import choose_interactions
from promise.job import Job
from promise.kernels.encoding import (
    encode,
    encode_train,
    fit_encoding,
    load_encoding,
    save_encoding,
)
from promise.models.base import Examples

ViewName = Literal["plain", "encoded", "rich", "linear", "reference"]
VIEWS: tuple[str, ...] = ("plain", "encoded", "rich", "linear", "reference")
"""The ready-made configurations that `view` returns."""

WIDE_COLUMNS = 100
FEW_ROWS = 200


@dataclass(frozen=True)
class TableFeatures:
    """How a table becomes a matrix; fields are JSON values, so a plan can be stored and compared.

    Parameters
    ----------
    schema
        The fields as JSON (`Schema.to_json()`); those with the role input or protected are used,
        and those that `calendar` names.
    categories
        `ordinal`: codes by frequency. `onehot`: a column per category up to `onehot_limit`, beyond
        it like `target`: out-of-fold target means and frequencies. `mixed`: codes, beyond
        `onehot_limit` with target means besides. `simple`: one-hot, beyond the limit codes
        scaled to 0 … 1.
    numbers
        `raw` keeps missing values; `standard` fills medians and scales; `quantile` maps to a
        normal distribution; `both` gives a column of each; `mean` fills means and scales.
    missing_indicators
        Whether columns with gaps get another that says where.
    dates
        Whether dates become calendar parts; otherwise they are left out.
    text, text_size
        `svd` gives each text this many topic columns; `none` leaves texts out.
    arithmetic
        At most so many ratios, products, sums and differences, where they help.
    crosses
        At most so many pairs of categories, where they help.
    calendar
        Dates that order the rows: of these only the parts are used that came round at least twice
        (hour, weekday, day, month, day of year), never what has a trend.
    """

    schema: list[dict[str, Any]] = field(default_factory=list)
    categories: Literal["ordinal", "onehot", "target", "mixed", "simple"] = "ordinal"
    onehot_limit: int = 8
    numbers: Literal["raw", "standard", "quantile", "both", "mean"] = "raw"
    missing_indicators: bool = False
    dates: bool = True
    text: Literal["none", "svd"] = "svd"
    text_size: int = 16
    arithmetic: int = 0
    crosses: int = 0
    calendar: list[str] = field(default_factory=list)

    kind: ClassVar[str] = "table_features"

    def plan(
        self, arithmetic: list[list[str]] | None = None, crosses: list[list[str]] | None = None
    ) -> dict[str, Any]:
        """Return the kernel's plan: this configuration without its schema, choices made."""
        return {**self.choices(), "arithmetic": arithmetic or [], "crosses": crosses or []}

    def choices(self) -> dict[str, Any]:
        """Return this configuration without its schema, as JSON values.

        Without a calendar there is no word of it, as in the exports of most tables.
        """
        left_out = {"schema"} if self.calendar else {"schema", "calendar"}
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in left_out}

    def fit(self, train: Examples, valid: Examples | None, job: Job) -> FittedTableFeatures:
        """Learn vocabularies, scales and target means from the training rows alone."""
        del valid  # features never look at validation rows
        inputs = input_fields(Schema.from_json(self.schema), self.calendar)
        arrays = {f["name"]: train.columns[f["name"]] for f in inputs}
        if train.n_rows == 0:
            raise DataError("there are no training rows; features need at least one.")
        rows = row_numbers(train)
        plan = self.plan()
        wide = len(inputs) > WIDE_COLUMNS or train.n_rows < FEW_ROWS
        if (self.arithmetic or self.crosses) and not wide:
            arithmetic, crosses = choose_interactions(
                arrays, inputs, train.y, train.n_classes, rows, plan,
                n_arithmetic=self.arithmetic, n_crosses=self.crosses, seed=job.seed,
            )  # fmt: skip
            plan = self.plan(arithmetic, crosses)
        state = fit_encoding(arrays, inputs, train.y, train.n_classes, rows, plan, job.seed)
        return FittedTableFeatures(state)

    def with_schema(self, schema: Schema) -> TableFeatures:
        """Return this configuration for another table."""
        return replace(self, schema=input_fields(schema, self.calendar))


@dataclass(frozen=True)
class FittedTableFeatures:
    """What a table's features learned: encodes any rows, the same digits alone and in a batch."""

    state: dict[str, Any]

    kind: ClassVar[str] = "table_features"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the matrix's columns."""
        return tuple(self.state["names"])

    @property
    def categorical(self) -> tuple[int, ...]:
        """Matrix columns that hold category codes; NaN for missing or unseen."""
        return tuple(self.state["categorical"])

    @property
    def sources(self) -> tuple[tuple[str, ...], ...]:
        """For every matrix column, the table's columns it is made of."""
        return tuple(tuple(source) for source in self.state["sources"])

    def predict(self, columns: Columns) -> npt.NDArray[np.float32]:
        """Return the matrix of any rows, float32 of shape (n, d)."""
        return encode(self._arrays(columns), self.state)

    def train_matrix(self, examples: Examples) -> FloatArray:
        """Return the matrix of the rows that were learned from, target means out of fold."""
        arrays = self._arrays(examples.columns)
        return encode_train(arrays, examples.y, row_numbers(examples), self.state)

    def save(self, folder: Path) -> None:
        """Write `state.json` and `arrays.npz` into an existing folder."""
        save_encoding(self.state, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote; matrices are identical to the last bit."""
        return cls(load_encoding(folder))

    def _arrays(self, columns: Columns) -> dict[str, Array]:
        names = self.state["inputs"] or list(columns)[:1]
        return {name: columns[name] for name in names}


def row_numbers(examples: Examples) -> npt.NDArray[np.int64]:
    """Return the examples' row numbers in the source, or their positions."""
    rows = np.arange(examples.n_rows) if examples.rows is None else examples.rows
    return np.asarray(rows, dtype=np.int64)


def input_fields(schema: Schema, calendar: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return the input fields of a schema as JSON, and those of a calendar."""
    read = {field.name for field in schema.inputs}
    return Schema(tuple(f for f in schema if f.name in read or f.name in calendar)).to_json()


def calendar_of(schema: Schema) -> list[str]:
    """Return the date that orders the rows, whose cyclic parts are features; nothing without one.

    Examples
    --------
    >>> from promise.data.schema import Field
    >>> calendar_of(Schema((Field("when", "date", role="time"), Field("age", "number"))))
    ['when']
    """
    time = schema.find("time")
    return [time.name] if time is not None and time.type == "date" else []


def view(name: str, schema: Schema) -> TableFeatures:
    """Return a ready-made configuration for a table.

    `plain` for trees, `encoded` with target means for larger categories, `rich` with arithmetic
    and crosses besides, `linear` scaled for linear models and networks, `reference` the simple
    way of the first design.

    Examples
    --------
    >>> from promise.data.schema import Field
    >>> view("linear", Schema((Field("age", "number"),))).numbers
    'both'
    """
    calendar = [] if name == "reference" else calendar_of(schema)
    base = TableFeatures(schema=input_fields(schema, calendar), calendar=calendar)
    match name:
        case "plain":
            return base
        case "encoded":
            return replace(base, categories="onehot", onehot_limit=4)
        case "rich":
            return replace(base, categories="onehot", onehot_limit=4, arithmetic=8, crosses=4)
        case "linear":
            return replace(
                base, categories="onehot", onehot_limit=30, numbers="both",
                missing_indicators=True, text_size=32, arithmetic=8,
            )  # fmt: skip
        case "reference":
            return replace(base, categories="simple", onehot_limit=50, numbers="mean", text="none")
    raise ConfigError(f"there is no view {name!r}; {near(name, VIEWS)}")
