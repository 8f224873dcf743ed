"""Files of entries that are kept row by row: read, checked, and told of when rows are bad."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from promise.cli.show import console, errors, print_json
from promise.data.rows import OnBadRows
from promise.data.source import Source
from promise.errors import DataError, near

CHUNK_ROWS = 10_000
SHOWN_BAD = 5

Row = dict[str, Any]
_Tell = Callable[[str], None]
_Refused = Callable[[list[Row]], Mapping[int, str]]
Name = Annotated[str, typer.Argument(help="The model's name.")]
File = Annotated[str, typer.Argument(help="CSV, Parquet or JSON Lines; also s3:// or SQL URLs.")]
BadRows = Annotated[
    OnBadRows,
    typer.Option("--on-bad-rows", help="`fail` keeps nothing, `skip` keeps the good rows."),
]


@dataclass
class BadEntries:
    """Rows that cannot be kept: how many, and the first few with their reasons."""

    count: int = 0
    examples: list[tuple[int, str]] = field(default_factory=list)

    def add(self, row: int, reason: str) -> None:
        """Count a row; the first few are shown by their number, counted from 1."""
        self.count += 1
        if len(self.examples) < SHOWN_BAD:
            self.examples.append((row, reason))

    def lines(self) -> list[str]:
        """Return one line for each example."""
        return [f"row {row}: {reason}" for row, reason in self.examples]

    def refuse(self, file: str) -> None:
        """Raise where there is any, naming the first ones."""
        if self.count:
            more = f" (and {self.count - SHOWN_BAD} more)" if self.count > SHOWN_BAD else ""
            raise DataError(
                f"{file}: {self.count} rows cannot be kept, so none was: "
                f"{'; '.join(self.lines())}{more}; mend them or say --on-bad-rows skip."
            )

    def to_json(self) -> Row:
        """Return a JSON-ready dictionary."""
        examples = [{"row": row, "reason": reason} for row, reason in self.examples]
        return {"count": self.count, "examples": examples}


def pass_on(
    source: Source,
    file: str,
    on_bad_rows: OnBadRows,
    read: Callable[[Row], Row],
    keep: Callable[[list[Row]], None],
    refused: _Refused | None = None,
) -> BadEntries:
    """Read every row, then keep the good ones; with `fail` nothing is kept where one is bad.

    Parameters
    ----------
    file
        The name by which errors call the source.
    refused
        Which rows of a chunk cannot be kept for a reason that only shows beside what is kept: its
        place in the chunk, and why.
    """
    with progress() as tell:
        if on_bad_rows == "fail":
            bad = BadEntries()
            for _ in _entries(source, read, bad, tell, "checking", refused):
                pass
            bad.refuse(file)
        bad = BadEntries()
        with contextlib.closing(_entries(source, read, bad, tell, "keeping", refused)) as chunks:
            for chunk in chunks:
                keep(chunk)
    return bad


def _entries(
    source: Source,
    read: Callable[[Row], Row],
    bad: BadEntries,
    tell: _Tell,
    what: str,
    refused: _Refused | None,
) -> Generator[list[Row]]:
    for first, table in source.batches(chunk_rows=CHUNK_ROWS):
        good = []
        for place, row in enumerate(table.to_pylist(), start=first + 1):
            try:
                good.append((place, read(row)))
            except DataError as error:
                bad.add(place, str(error).partition(": ")[2] or str(error))
        tell(f"{what}: {first + len(table):,} rows")
        rows = [row for _, row in good]
        reasons = {} if refused is None else refused(rows)
        for at, reason in reasons.items():
            bad.add(good[at][0], reason)
        rows = [row for at, row in enumerate(rows) if at not in reasons]
        if rows:
            yield rows


def named_columns(
    source: Source, file: str, needed: tuple[str, ...], other: dict[str, str]
) -> dict[str, str]:
    """Return the columns that go by another name; refuse a file that lacks one."""
    renamed = {a: b for a, b in other.items() if a in source.columns and b not in source.columns}
    present = {renamed.get(column, column) for column in source.columns}
    for column in needed:
        if column not in present:
            raise DataError(
                f"{file}: there is no column {column!r}; {near(column, source.columns)}"
            )
    return renamed


def plain(value: Any) -> Any:
    """Return a cell without what stands for missing: empty text and NaN."""
    if isinstance(value, str):
        return value.strip() or None
    return None if isinstance(value, float) and math.isnan(value) else value


def payload_told(told: Any) -> Row:
    """Return a row's payload, which text tells as JSON; nothing where there is none.

    Raises
    ------
    DataError
        When it is no JSON object.
    """
    if isinstance(told, str):
        try:
            told = json.loads(told)
        except ValueError:
            raise DataError(f"the payload is no JSON: {told!r:.80}") from None
    if told is not None and not isinstance(told, dict):
        raise DataError(f"the payload is {told!r:.80}, expected an object")
    return told or {}


def report(what: str, name: str, counts: dict[str, int], bad: BadEntries, as_json: bool) -> None:
    """Print what was kept and what was left out."""
    if as_json:
        print_json({"model": name, **counts, "bad_rows": bad.to_json()})
        return
    told = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
    console().print(f"{what} {name}: {told}", markup=False)
    for line in bad.lines():
        errors.print(f"left out: {line}", markup=False, highlight=False)
    if bad.count > SHOWN_BAD:
        errors.print(f"left out: {bad.count - SHOWN_BAD:,} more", markup=False, highlight=False)


@contextlib.contextmanager
def progress() -> Iterator[_Tell]:
    """Show on a terminal how far a file was read."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as shown:
        task = shown.add_task("reading", total=None)
        yield lambda text: shown.update(task, description=text)
