"""Rows of any number laid out on disk in parts by the hash of their name, in bounded memory.

Whatever order the rows come in, and however many processes share the parts, the parts are the
same: rows that are ordered by label are thereby shuffled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from promise.data.columns import Array, IntArray
from promise.data.source import Source
from promise.errors import DataError
from promise.features.names import KINDS, Names, normalise_many, pinned_suffixes
from promise.kernels.parsing import parse_columns
from promise.kernels.rows import mix, seed_word
from promise.workloads.domains.task import Sheet

PART_ROWS = 50_000
"""About how many rows a part has."""

MOST_PARTS = 512
MOST_CLASSES = 10_000
LEAST_NAMES = 50
_ORDERED = 0.2
"""Labels that change less often than so, beside what chance would do, are ordered."""

_SCHEMA = [("row", pa.int64()), ("label", pa.int32()), ("name", pa.large_binary())]


@dataclass
class Tally:
    """What is learned of the rows while they are laid out.

    Parameters
    ----------
    labels
        Label to its code, in order of first sight; one such table for each level above.
    left_out
        Rows that are no name, by kind, with the number of the first.
    changes
        How often a row's label differs from that of the row before.
    known
        How many labels had codes before the first row, as an update's do.
    """

    labels: dict[str, int] = field(default_factory=dict)
    levels: list[dict[str, int]] = field(default_factory=list)
    counts: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    rows: int = 0
    unlabelled: int = 0
    left_out: dict[str, tuple[int, int]] = field(default_factory=dict)
    changes: int = 0
    last: int = -1
    known: int = 0

    @property
    def ordered(self) -> bool:
        """Whether rows of one label stand together."""
        shares = self.counts / max(1, self.rows)
        expected = self.rows * (1.0 - float((shares**2).sum()))
        return self.rows >= LEAST_NAMES and self.changes < _ORDERED * expected


@dataclass(frozen=True)
class Spool:
    """Where the parts lie."""

    folder: Path
    n_parts: int
    tally: Tally

    def part(self, number: int) -> Path:
        """Return the file of one part."""
        return self.folder / f"{number:04d}.arrow"


def spool_rows(
    source: Source,
    sheet: Sheet,
    folder: Path,
    seed: int,
    tell: Callable[[str], None],
    known: tuple[str, ...] = (),
) -> Spool:
    """Read every row once, normalise its name and append it to its part.

    Parameters
    ----------
    known
        Labels that have codes already, in their order.

    Raises
    ------
    DataError
        When there are too few names, or a label column that holds no classes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = source.size().rows or 0
    wanted = max(1, -(-size // PART_ROWS))
    n_parts = min(MOST_PARTS, 1 << (wanted - 1).bit_length())
    spool = Spool(folder, n_parts, Tally({name: i for i, name in enumerate(known)},
                                          known=len(known)))  # fmt: skip
    spool.tally.levels = [{} for _ in sheet.levels]
    schema = pa.schema([*_SCHEMA, *((f"level_{i}", pa.int32()) for i in range(len(sheet.levels)))])
    with ExitStack() as stack:
        writers = [
            stack.enter_context(pa.ipc.new_stream(str(spool.part(i)), schema))
            for i in range(n_parts)
        ]
        for batch in _batches(source, sheet, spool.tally):
            hashes = mix(batch.hashes ^ seed_word(seed))
            place = (hashes >> np.uint64(32)) % np.uint64(n_parts)
            order = np.argsort(place, kind="stable")
            cuts = np.searchsorted(place[order], np.arange(n_parts + 1, dtype=np.uint64))
            table = batch.table.take(pa.array(order))
            for number, writer in enumerate(writers):
                if cuts[number + 1] > cuts[number]:
                    length = int(cuts[number + 1] - cuts[number])
                    writer.write_table(table.slice(int(cuts[number]), length))
            tell(f"reading: {spool.tally.rows:,} names")
    _check(spool.tally, source, sheet)
    return spool


@dataclass(frozen=True)
class _Laid:
    hashes: Array
    table: pa.Table


def _batches(source: Source, sheet: Sheet, tally: Tally) -> Iterator[_Laid]:
    fields = sheet.fields.to_json()
    for first, table in source.batches(list(sheet.columns)):
        columns = parse_columns(table, fields)
        labels = columns[sheet.label]
        names = normalise_many(columns[sheet.domain], pinned_suffixes())
        labelled = np.array([label is not None for label in labels], dtype=bool)
        tally.unlabelled += int((~labelled).sum())
        _note_left_out(tally, names, labelled, first)
        kept = np.flatnonzero(labelled & names.known)
        codes = _codes(labels[kept], tally, sheet)
        _note_labels(tally, codes)
        whole = pa.LargeBinaryArray.from_buffers(
            pa.large_binary(),
            len(names),
            [None, pa.py_buffer(names.offsets.astype(np.int64)), pa.py_buffer(names.data)],
        )
        arrays = {
            "row": pa.array(first + kept),
            "label": pa.array(codes),
            "name": whole.take(pa.array(kept)),
        }
        for i, level in enumerate(sheet.levels):
            arrays[f"level_{i}"] = pa.array(_level_codes(columns[level][kept], tally.levels[i]))
        yield _Laid(names.hashes[kept], pa.table(arrays))


def _codes(labels: Array, tally: Tally, sheet: Sheet) -> Array:
    codes = np.empty(len(labels), np.int32)
    known = tally.labels
    for i, label in enumerate(labels.tolist()):
        code = known.get(label)
        if code is None:
            code = known[label] = len(known)
            if code >= MOST_CLASSES:
                raise DataError(
                    f"column {sheet.label!r} has more than {MOST_CLASSES:,} distinct labels in its "
                    f"first {tally.rows + i + 1:,} rows, so it names rows rather than classes; "
                    "name the column of classes: --column label=NAME."
                )
        codes[i] = code
    return codes


def _level_codes(values: Array, known: dict[str, int]) -> Array:
    return np.array(
        [-1 if v is None else known.setdefault(v, len(known)) for v in values.tolist()], np.int32
    )


def _note_labels(tally: Tally, codes: Array) -> None:
    counts = np.bincount(codes, minlength=len(tally.labels))
    counts[: len(tally.counts)] += tally.counts
    tally.counts = counts
    if len(codes):
        tally.changes += int((np.diff(codes) != 0).sum()) + int(codes[0] != tally.last)
        tally.last = int(codes[-1])
    tally.rows += len(codes)


def _note_left_out(tally: Tally, names: Names, labelled: Array, first: int) -> None:
    for code, kind in enumerate(KINDS[1:], 1):
        rows = np.flatnonzero((names.kinds == code) & labelled)
        if len(rows):
            count, before = tally.left_out.get(kind, (0, first + int(rows[0])))
            tally.left_out[kind] = (count + len(rows), before)


def _check(tally: Tally, source: Source, sheet: Sheet) -> None:
    if tally.rows < LEAST_NAMES:
        out = sum(count for count, _ in tally.left_out.values())
        where = "".join(f"; row {row} is {kind}" for kind, (_, row) in tally.left_out.items())
        raise DataError(
            f"{source.name} has {tally.rows:,} labelled names in {sheet.domain!r} "
            f"({out:,} rows are no names, {tally.unlabelled:,} have no label{where}); "
            f"at least {LEAST_NAMES} are needed. Is {sheet.domain!r} the column of names?"
        )
    present = int((tally.counts > 0).sum())
    if 2 * present > tally.rows:
        raise DataError(
            f"column {sheet.label!r} has {present:,} distinct labels on {tally.rows:,} names, so "
            "that most labels have one name alone; name the column of classes: --column label=NAME."
        )


def read_part(path: Path) -> pa.Table:
    """Return the rows of one part as they were laid out."""
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_stream(file).read_all()
