"""The memory model of a discovery: MiB by rows, for each of its steps.

Memory is counted as the sum of PSS over all processes, the way the engine watches it. The model is
additive: what the libraries cost, the typed columns, the matrices, and the fits that run at once.
Its constants were measured on Linux; `bench/engine.py` prints them beside fresh measurements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from promise.data.answer import Answer, Class
from promise.data.rows import Size
from promise.data.schema import Schema
from promise.features.table import calendar_of, input_fields
from promise.selection.board import BASELINE

PARENT_MB = 168.0  # the command itself, once it has given back what reading left behind
SKETCHES_MB = 65.0  # what it holds besides while it reads: Arrow's pool, the profile's sketches
ZYGOTE_MB = 128.0  # the learning libraries, shared with every fit's process
CHILD_MB = 12.0  # what a fit's process holds of its own before it touches data
VERIFY_MB = 155.0  # the fresh interpreter in which an export is verified, with its libraries
DEEP_MB = 245.0  # PyTorch, in each process that reads a sequence model
CHUNK_ROWS = 65_536  # rows read at once
LABEL_BYTES = 40.0  # per row of the source while the label is read; 16 once it is
MAPPED = 1.6  # a matrix read by a fit: its pages, and blocks of it converted

_DEEP = "deep"  # the extra that brings PyTorch
_WIDTH = {"number": 1.3, "boolean": 1.0, "date": 7.0, "category": 2.0, "text": 16.0}


@dataclass(frozen=True)
class Costs:
    """The memory model of one table: MiB as a function of rows.

    Examples
    --------
    >>> from promise.data.answer import Number
    >>> from promise.data.schema import Field
    >>> costs = Costs.of(Size(1_000, True, 8_000), Schema((Field("age", "number"),)), Number())
    >>> costs.table_mb(2**17)
    1.0
    """

    row_bytes: float
    stored_row_bytes: float
    columns: int
    matrix_columns: int
    classes: int
    source_rows: int

    @classmethod
    def of(cls, size: Size, schema: Schema, answer: Answer) -> Costs:
        """Take the measures of a table from its schema and its size as stored."""
        types = [field.type for field in schema.fields]
        stored = size.bytes / max(1, size.rows)
        texts = types.count("text")
        # What a stored row holds beyond short cells is text; each text is an object of its own.
        text_bytes = max(20.0, stored - 8.0 * len(types)) if texts else 0.0
        inputs = [field["type"] for field in input_fields(schema, calendar_of(schema))]
        return cls(
            row_bytes=8.0 * len(types) + texts * 57 + text_bytes,
            stored_row_bytes=stored,
            columns=len(types),
            matrix_columns=round(sum(_WIDTH[kind] for kind in inputs)) or 1,
            classes=answer.n_classes if isinstance(answer, Class) else 0,
            source_rows=size.rows,
        )

    def table_mb(self, rows: int) -> float:
        """Typed columns of so many rows."""
        return rows * self.row_bytes / 2**20

    def matrix_mb(self, rows: int) -> float:
        """Featurized rows as float32."""
        return rows * self.matrix_columns * 4 / 2**20

    def fit_mb(self, family: type[Any], rows: int, share: float = 1.0) -> float:
        """One fit's process: the mapped matrix, a share of the learner, and its output."""
        learner = share * family.memory_mb(rows, self.matrix_columns, self.classes)
        # a quarter of the rows is answered, in float64, and scoring holds as much again
        outputs = 0.5 * rows * 8 * max(1, self.classes) / 2**20
        return float(CHILD_MB + MAPPED * self.matrix_mb(rows) + learner + outputs)

    def view_mb(self, rows: int) -> float:
        """The process that turns typed columns into matrices: it holds both."""
        return CHILD_MB + self.table_mb(rows) + 2.0 * self.matrix_mb(rows)

    def chunk_mb(self, rows: int) -> float:
        """A chunk while it is read: as text, as Arrow and typed."""
        row_bytes = 3.0 * self.stored_row_bytes + self.row_bytes
        return min(rows, CHUNK_ROWS) * row_bytes / 2**20

    def reading_mb(self, rows: int) -> float:
        """The command while it reads: the label of all rows, a chunk, the parts and their sum."""
        label = self.source_rows * LABEL_BYTES / 2**20
        chunk = self.chunk_mb(self.source_rows)
        return PARENT_MB + SKETCHES_MB + label + chunk + 2.0 * self.table_mb(rows)

    def holding_mb(self, rows: int) -> float:
        """The command once it has read: the label, the table and its training part."""
        return PARENT_MB + self.source_rows * 16 / 2**20 + 2.0 * self.table_mb(rows)

    def racing_mb(self, families: Mapping[type[Any], float], rows: int, at_once: int) -> float:
        """Everything while as many fits run at once, those of the neediest different families."""
        fits = sorted(self.fit_mb(family, rows, share) for family, share in families.items())[::-1]
        needs = [fits[i % len(fits)] for i in range(at_once)]
        running = sum(sorted([self.view_mb(rows), *needs])[1:])
        # Fits at once map the same matrix: its pages count once.
        shared = (at_once - 1) * self.matrix_mb(rows)
        return self.holding_mb(rows) + ZYGOTE_MB + running - shared

    def delivering_mb(self, rows: int, deep: int = 0) -> float:
        """Everything while the export is verified by an interpreter of its own; no fit is left.

        Parameters
        ----------
        deep
            How many of the two processes read a sequence model: the command to judge it, the
            interpreter where it is the winner.
        """
        verifying = VERIFY_MB + self.chunk_mb(self.source_rows) + self.matrix_mb(CHUNK_ROWS)
        return self.holding_mb(rows) + verifying + deep * DEEP_MB

    def peak_mb(self, families: Iterable[type[Any]], rows: int, at_once: int) -> float:
        """The worst case, which a bound is held against: of reading, racing and delivering."""
        families = list(families)
        return max(
            self.reading_mb(rows) + ZYGOTE_MB,
            self.racing_mb(dict.fromkeys(families, 1.0), rows, at_once),
            self.delivering_mb(rows, 2 if any(f.extra == _DEEP for f in families) else 0),
        )

    def expected_mb(self, families: Mapping[type[Any], float], rows: int, at_once: int) -> float:
        """What a run is expected to reach: sooner or later the neediest fits meet.

        Parameters
        ----------
        families
            Estimator type to the share of its fit's memory that comes about: a forest that the
            clock ends early has fewer trees.
        """
        deep = [family.extra == _DEEP for family in families if family.kind != BASELINE]
        readers = 2 if deep and all(deep) else int(any(deep))  # all: the winner is one of them
        reached = max(
            self.reading_mb(rows) + ZYGOTE_MB,
            self.racing_mb(families, rows, at_once),
            self.delivering_mb(rows, readers),
        )
        return min(reached, self.peak_mb(families, rows, at_once))
