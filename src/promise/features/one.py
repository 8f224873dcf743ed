"""One row into its matrix without building columns: what a single prediction waits for.

The slow twin is `FittedTableFeatures.predict`: same digits, bit for bit. Every part of a matrix
becomes sources, which take what they need from a row, and writers, which put float32 digits into
one buffer that is used again and again.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, nan
from operator import itemgetter
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt

from promise.data.columns import Array
from promise.data.schema import Field
from promise.features.table import FittedTableFeatures
from promise.features.terms import Places, Row, Source, Term, as_they_came, runs, source_of
from promise.features.topics import topic_writer
from promise.features.values import column_of, reader, times_of
from promise.kernels.encoding_categories import ABSENT, JOINT
from promise.kernels.encoding_numbers import LARGEST, encode_numbers

Write = Callable[[Any], None]
Scale = Callable[[Sequence[float]], list[float]]
DEVIATIONS = 10.0
"""How far a standardised number may be from its centre, as in the kernel."""


class OneRow:
    """A view compiled for single rows; not to be shared between threads, since it has a buffer.

    Parameters
    ----------
    matrix
        Where `encode` writes: float32 of shape (1, d).
    steps
        What is taken from a row, and who writes it where.
    """

    def __init__(
        self, matrix: npt.NDArray[np.float32], steps: Sequence[tuple[Source, Sequence[Write]]]
    ) -> None:
        self.matrix = matrix
        self._steps = [(source, tuple(writers)) for source, writers in steps]

    def encode(self, row: Row) -> npt.NDArray[np.float32]:
        """Write a row's digits into `matrix` and return it."""
        for source, writers in self._steps:
            values = source(row)
            for write in writers:
                write(values)
        return self.matrix


def compile_row(fitted: FittedTableFeatures, fields: Sequence[Field]) -> OneRow | None:
    """Compile a view for rows of these fields; None where a part is of an unknown kind.

    Examples
    --------
    >>> from promise.kernels.encoding import fit_encoding
    >>> plan = {"categories": "ordinal", "onehot_limit": 8, "numbers": "mean", "dates": True,
    ...         "missing_indicators": False, "text": "none", "arithmetic": [], "crosses": []}
    >>> columns = {"a": np.array([1.0, 2.0, 3.0])}
    >>> schema = [{"name": "a", "type": "number", "role": "input"}]
    >>> state = fit_encoding(columns, schema, columns["a"], 0, np.arange(3), plan, seed=7)
    >>> compile_row(FittedTableFeatures(state), [Field("a", "number")]).encode((None,))
    array([[0.]], dtype=float32)
    """
    state = fitted.state
    matrix = np.zeros((1, len(state["names"])), dtype=np.float32)
    layout = Layout(matrix, {f.name: (place, f) for place, f in enumerate(fields)})
    at = 0
    for part in state["parts"]:
        match part["kind"]:
            case "numbers":
                layout.add_numbers(part, at)
            case "category":
                layout.add_category(part, at)
            case "text":
                layout.add_text(part, at)
            case "constant":
                pass  # zeros, as the buffer is
            case _:
                return None
        at += len(part["names"])
    return OneRow(matrix, list(layout.steps.values()))


@dataclass
class Layout:
    """Collects the steps of a view; parts that read the same terms share their source."""

    matrix: npt.NDArray[np.float32]
    places: Places
    steps: dict[Any, tuple[Source, list[Write]]] = dataclasses.field(default_factory=dict)

    @property
    def view(self) -> memoryview:
        """The matrix as bytes."""
        return self.matrix.data.cast("B")

    def add(self, key: Any, source: Source, write: Write) -> None:
        """Let `write` have what the source of this key takes from a row."""
        self.steps.setdefault(key, (source, []))[1].append(write)

    def add_numbers(self, part: dict[str, Any], at: int) -> None:
        """Add numbers; scales that no float can divide by are left to the kernel."""
        if part["way"] not in ("raw", "quantile") and not np.all(part.get("scale", 1.0)):
            self.add_kernel(part, at)
            return
        first = 0
        for run in runs(part["terms"]):
            rows = slice(first, first + len(run))
            if part["way"] == "raw" and len(run[0]) == 1:
                write = raw_writer(self.view, at + first, [self.places[n][1] for (n,) in run])
                self.add(("as they came", run), as_they_came(run, self.places), write)
            else:
                self.add_run(run, at + first, scale_of(part, rows))
            first += len(run)
        for run in runs(part["marked"]):
            self.add_run(run, at + first, marks)
            first += len(run)

    def add_run(self, run: tuple[Term, ...], at: int, scale: Scale) -> None:
        """Add a run of terms, scaled."""
        pack, view, offset = Struct(f"{len(run)}f").pack_into, self.view, 4 * at

        def write(values: Sequence[float]) -> None:
            pack(view, offset, *scale(values))

        self.add(run, source_of(run, self.places), write)

    def add_kernel(self, part: dict[str, Any], at: int) -> None:
        """Add a numbers part that the kernel encodes on columns of one row."""
        names = sorted({name for source in part["sources"] for name in source})
        out = self.matrix[:, at : at + len(part["names"])]

        def write(row: Row) -> None:
            block = {name: one_cell(row[self.places[name][0]], self.places[name][1])
                     for name in names}  # fmt: skip
            encode_numbers(block, part, out)

        self.add(("kernel", at), lambda row: row, write)

    def add_category(self, part: dict[str, Any], at: int) -> None:
        """Add a category: every value's digits are ready as bytes."""
        digits = [row.tobytes() for row in np.asarray(part["table"], dtype=np.float32)]
        known: dict[str | None, bytes] = {v: digits[slot] for v, slot in part["vocabulary"].items()}
        other, known[None] = digits[-2], digits[-1]
        view, low, high = self.view, 4 * at, 4 * (at + len(part["names"]))

        def write(value: str | None) -> None:
            view[low:high] = known.get(value, other)

        names = part["sources_read"]
        places = [self.places[name][0] for name in names]
        source = itemgetter(*places) if len(places) == 1 else joint_source(places)
        self.add(("category", *names), source, write)

    def add_text(self, part: dict[str, Any], at: int) -> None:
        """Add a text."""
        name, out = part["column"], self.matrix[0, at : at + len(part["names"])]
        self.add(("text", name), itemgetter(self.places[name][0]), topic_writer(part, out))


def joint_source(places: list[int]) -> Source:
    """Return the source of a crossed category's joint value."""

    def source(row: Row) -> str:
        return JOINT.join([ABSENT if row[p] is None else row[p] for p in places])

    return source


def one_cell(value: Any, field: Field) -> Array:
    """Return a value of a row as a column of one."""
    return times_of([value]) if field.type == "date" else column_of([value], field)


def raw_writer(view: memoryview, at: int, fields: Sequence[Field]) -> Write:
    """Return what writes numbers as they came, at once where all are plain."""
    pack, offset = Struct(f"{len(fields)}f").pack_into, 4 * at
    reads = [reader(f) for f in fields]

    def write(values: Sequence[Any]) -> None:
        if not are_plain(values):
            values = [nan if v is None else v for v in values]
            if not are_plain(values):
                values = bounded([read(v) for read, v in zip(reads, values, strict=True)])
        pack(view, offset, *values)

    return write


def are_plain(values: Sequence[Any]) -> bool:
    """Say whether all are numbers that float32 holds, or NaN."""
    try:
        # 0.0 goes first: a NaN wins no comparison, so it hides nothing behind it
        return bool(max(0.0, *values) <= LARGEST and min(0.0, *values) >= -LARGEST)
    except TypeError:  # None or text among them
        return False


def scale_of(part: dict[str, Any], rows: slice) -> Scale:
    """Return how a numbers part scales the terms in these places."""
    if part["way"] == "raw":
        return bounded
    if part["way"] == "quantile":
        return ranks(part["grid"][rows].tolist(), part["scores"][rows].tolist())
    learned = [part[key][rows].tolist() for key in ("fill", "center", "scale")]
    return standard(*learned, bound=DEVIATIONS if part["way"] == "standard" else LARGEST)


def bounded(values: Sequence[float]) -> list[float]:
    """Keep numbers finite as float32."""
    return [-LARGEST if v < -LARGEST else LARGEST if v > LARGEST else v for v in values]


def marks(values: Sequence[float]) -> list[float]:
    """Say which numbers are missing."""
    return [1.0 if v != v else 0.0 for v in values]  # noqa: PLR0124 — only NaN differs from itself


def standard(fill: list[float], center: list[float], scale: list[float], *, bound: float) -> Scale:
    """Return what fills gaps and centres and scales numbers, within bounds."""
    learned = list(zip(fill, center, scale, strict=True))

    def write(values: Sequence[float]) -> list[float]:
        out = []
        for v, (gap, middle, unit) in zip(values, learned, strict=True):
            x = ((gap if v != v else v) - middle) / unit  # noqa: PLR0124 — NaN
            out.append(-bound if x < -bound else bound if x > bound else x)
        return out

    return write


def ranks(grids: list[list[float]], scores: list[list[float]]) -> Scale:
    """Return what maps numbers to their normal scores; what is missing is in the middle."""
    learned = list(zip(grids, scores, strict=True))
    return lambda values: [
        0.0 if v != v else interpolated(v, grid, score)  # noqa: PLR0124 — NaN
        for v, (grid, score) in zip(values, learned, strict=True)
    ]


def interpolated(x: float, grid: list[float], scores: list[float]) -> float:
    """Return `numpy.interp` of one number, in its order of operations.

    Examples
    --------
    >>> interpolated(1.5, [1.0, 2.0], [0.0, 10.0]), interpolated(9.0, [1.0, 2.0], [0.0, 10.0])
    (5.0, 10.0)
    """
    j = bisect_right(grid, x) - 1
    if j < 0:
        return scores[0]
    if j >= len(grid) - 1:
        return scores[-1]
    if grid[j] == x:
        return scores[j]
    slope = (scores[j + 1] - scores[j]) / (grid[j + 1] - grid[j])
    value = slope * (x - grid[j]) + scores[j]
    if -inf < value < inf:
        return value
    value = slope * (x - grid[j + 1]) + scores[j + 1]  # the other way, as NumPy does
    return scores[j] if value != value and scores[j] == scores[j + 1] else value  # noqa: PLR0124
