"""`promise profile`: what a table holds and what is wrong with it, in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from promise.cli.config import READING, set_values
from promise.cli.show import Json, console, errors, print_json

if TYPE_CHECKING:
    from promise.data.schema import Schema
    from promise.profiling.column import ColumnProfile
    from promise.profiling.findings import Finding
    from promise.profiling.profile import Profile

_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}
_SHOWN_COLUMNS = 200


def profile(
    data: Annotated[str, typer.Argument(help="File, folder, glob, SQL URL::table or s3:// path.")],
    target: Annotated[str | None, typer.Option("--target", help="Column to be predicted.")] = None,
    time: Annotated[str | None, typer.Option("--time", help="Column that orders rows.")] = None,
    threads: Annotated[int, typer.Option("--threads", help="Columns counted at once.")] = 2,
    seed: Annotated[int, typer.Option("--seed", help="Source of all chance.")] = 7,
    on_bad_rows: Annotated[str, typer.Option("--on-bad-rows", help="fail or skip.")] = "fail",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE: encoding, delimiter, decimal, compression."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Profile every column in one pass, and name what would make a model's score a lie."""
    from promise.data.infer import infer_schema
    from promise.data.source import open_source
    from promise.errors import ConfigError, DataError, near
    from promise.profiling.checks import check_profile
    from promise.profiling.profile import profile_source

    if on_bad_rows not in ("fail", "skip"):
        raise ConfigError(f"--on-bad-rows is {on_bad_rows!r}; expected fail or skip.")
    reading = set_values(settings or [], READING).get("reading", {})
    source = open_source(data, on_bad_rows="skip" if on_bad_rows == "skip" else "fail", **reading)
    schema = infer_schema(source)
    for name in (target, time):
        if name is not None and name not in schema:
            raise DataError(f"there is no column {name!r}; {near(name, schema.names)}")
    for caution in source.cautions():
        errors.print(f"warning: {caution}", markup=False, highlight=False)
    with _Progress(source.size().rows) as (bar, task):
        found = profile_source(
            source,
            schema,
            target=target,
            threads=threads,
            seed=seed,
            progress=lambda rows: bar.update(task, completed=rows),
        )
        bar.update(task, description="checking")
        findings = check_profile(found, schema, target=target, time=time, seed=seed)
    if as_json:
        print_json(
            {
                "source": source.name,
                **found.to_json(),
                "schema": schema.to_json(),
                "findings": [finding.to_json() for finding in findings],
            }
        )
    else:
        _show(source.name, found, schema, findings)


class _Progress:
    """Shows rows read on standard error, and goes away when done."""

    def __init__(self, rows: int) -> None:
        self._bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f} rows"), TimeElapsedColumn(),
            console=errors, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("profiling", total=rows)

    def __enter__(self) -> tuple[Progress, Any]:
        self._bar.start()
        return self._bar, self._task

    def __exit__(self, *error: object) -> None:
        self._bar.stop()


def _show(name: str, found: Profile, schema: Schema, findings: list[Finding]) -> None:
    screen = console()
    about = f"{name}: {found.n_rows:,} rows × {found.n_columns:,} columns"
    if found.bad_rows:
        about += f", {found.bad_rows:,} bad rows left out"
    screen.print(f"{about}, {found.seconds:.1f} s", markup=False, highlight=False)
    screen.print(_columns_table(found, schema, narrow=screen.width < 120))
    if len(found.columns) > _SHOWN_COLUMNS:
        screen.print(f"… and {len(found.columns) - _SHOWN_COLUMNS:,} more columns; see --json.")
    if not findings:
        screen.print("No findings.")
    for finding in findings:
        style = _STYLES[finding.severity]
        screen.print(finding.severity, style=style, end=" ")
        screen.print(f"{finding.check}: {finding.evidence}", markup=False, highlight=False)
        screen.print(f"    fix: {finding.fix}", markup=False, highlight=False, style="dim")


def _columns_table(found: Profile, schema: Schema, *, narrow: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    target = "" if found.target is None else f"with {found.target}"
    titles = (
        "column", "type", "missing", "distinct", "min", "median", "max", "most frequent", target,
        "seems to be",
    )  # fmt: skip
    # a narrow terminal keeps what matters most
    shown = [t for t in titles if t and not (narrow and t in ("min", "max", "most frequent"))]
    for title in shown:
        right = title not in ("column", "type", "most frequent", "seems to be")
        least = {"column": 12, "type": 8, "seems to be": 10}.get(title)
        side: Literal["left", "right"] = "right" if right else "left"
        table.add_column(Text(title), justify=side, no_wrap=True, min_width=least, max_width=32)
    for column in found.columns[:_SHOWN_COLUMNS]:
        cells = dict(zip(titles, _cells(column, schema), strict=True))
        table.add_row(*(Text(cells[title]) for title in shown))  # data are no markup
    return table


def _cells(column: ColumnProfile, schema: Schema) -> list[str]:
    top = ", ".join(
        f"{_value(v)} {n / max(1, column.n_rows):.0%}" for v, n in column.top[:2] if n > 1
    )
    kind = {"pearson": "r", "eta": "η", "cramers_v": "V"}.get(column.correlation_kind or "")
    return [
        column.name,
        schema[column.name].type,
        f"{column.missing / column.n_rows:.1%}" if column.missing else "",
        f"{'' if column.exact else '≈ '}{column.distinct:,}",
        _value(column.min),
        _value(dict(column.quantiles).get("p50")),
        _value(column.max),
        top,
        "" if kind is None else f"{kind} {column.correlation:.2f}",
        ", ".join(column.guesses),
    ]


def _value(value: float | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value if len(value) <= 20 else value[:19] + "…"
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:.4g}"
