"""What one pass learns of a single column."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from promise.data.schema import FieldType

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
TOP = 10


@dataclass(frozen=True)
class ColumnProfile:
    """Counts and summaries of a column.

    Parameters
    ----------
    type, physical
        How the schema reads the column, and what the file holds.
    n_rows, missing
        All rows, and those without a value (null, blank, a null token, or unreadable).
    unparsed
        Missing values that are neither null, blank nor a null token: text that is no number or
        date.
    null_tokens
        How often each of the schema's null tokens came.
    distinct, exact
        Different values; an estimate (about 1 % off) unless `exact`.
    min, max, mean, std
        Of numbers; dates have ISO texts and no mean; categories none of them.
    quantiles
        `p1` … `p99`: exact for columns of few different values, else of the sample.
    top
        The most frequent values with their counts; scaled up from the sample unless
        `top_exact`.
    correlation, correlation_kind
        With the target: `pearson` (-1 … 1), `eta` or `cramers_v` (0 … 1); None without target.
    guesses
        What the column seems to be: `identifier`, `row number`, `date`, `free text`, `constant`,
        `all missing`, `sparse`, `high cardinality`, `survey weight`.
    """

    name: str
    type: FieldType
    physical: str
    n_rows: int
    missing: int
    distinct: int
    exact: bool
    unparsed: int = 0
    null_tokens: tuple[tuple[str, int], ...] = ()
    min: float | str | None = None
    max: float | str | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: tuple[tuple[str, float | str], ...] = ()
    top: tuple[tuple[float | str, int], ...] = ()
    top_exact: bool = True
    correlation: float | None = None
    correlation_kind: str | None = None
    guesses: tuple[str, ...] = ()

    @property
    def present(self) -> int:
        """How many rows have a value."""
        return self.n_rows - self.missing

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            **data,
            "quantiles": dict(self.quantiles),
            "null_tokens": dict(self.null_tokens),
            "top": [list(pair) for pair in self.top],
            "guesses": list(self.guesses),
        }


def iso(value: np.datetime64) -> str:
    """Write a time as ISO text, without a clock where it is midnight.

    Examples
    --------
    >>> iso(np.datetime64("2026-01-02T00:00:00.000000"))
    '2026-01-02'
    """
    day = value.astype("datetime64[D]")
    return str(day) if day == value else str(value.astype("datetime64[s]"))
