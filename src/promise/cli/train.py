"""`promise train`, `evaluate` and `predict`: a version from everything, judged and used."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from promise.cli.config import column_roles, read_config, seconds, set_values
from promise.cli.show import Json, console, errors, number, print_json
from promise.data.rows import OnBadRows
from promise.errors import ConfigError

BadRows = Annotated[
    OnBadRows,
    typer.Option("--on-bad-rows", help="Ragged rows: `fail` names them, `skip` counts them."),
]

_SETTINGS: dict[str, Callable[[str], tuple[str, Any]]] = {
    "budget": lambda text: ("budget_s", seconds(text)),
    "trials": lambda text: ("trials", int(text)),
    "threads": lambda text: ("threads", int(text)),
    "seed": lambda text: ("seed", int(text)),
    "gap": lambda text: ("gap_s", seconds(text)),
    "on_bad_rows": lambda text: ("on_bad_rows", text),
}
"""What `--set` knows: key to the field of the order and how its text is read."""


def train(
    workload: Annotated[str, typer.Argument(help="Which question: tabular, fraud, domains, …")],
    data: Annotated[
        str | None, typer.Argument(help="File, folder, glob, SQL URL::table or s3:// path.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The model's name; by default that of --from.")
    ] = None,
    preset: Annotated[str, typer.Option("--preset", help="default or reference.")] = "default",
    column: Annotated[
        list[str] | None, typer.Option("--column", help="ROLE=NAME, e.g. label=income; repeatable.")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="temporal:COL or grouped:COL; else by evidence.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Train on every row, streaming.")] = False,
    people: Annotated[
        str | None,
        typer.Option(
            "--people", help="Profiles, where the data are people's events; a log has its own."
        ),
    ] = None,
    events: Annotated[
        str | None,
        typer.Option(
            "--events", help="People's events, in the place of DATA; log: those kept for NAME."
        ),
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="NAME@V to train again.")] = None,
    memory: Annotated[str | None, typer.Option("--memory", help="Bound, e.g. 4GB.")] = None,
    engine: Annotated[str, typer.Option("--engine", help="local.")] = "local",
    config: Annotated[Path | None, typer.Option("--config", help="A promise.toml.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE: budget, trials, threads, seed, …; repeatable."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a version and register it under a name."""
    from promise.discovery.options import megabytes
    from promise.training.train import train_version

    if engine != "local":
        raise ConfigError(f"--engine {engine}: this version trains on one machine; say local.")
    if config is not None:
        read_config(config)
    name = name or (None if start is None else start.partition("@")[0])
    if name is None:
        raise ConfigError("say what the model is called: --name NAME.")
    with _spinner("training") as tell:
        trained = train_version(
            workload,
            _one_of(data, events),
            name=name,
            start=start,
            tell=tell,
            columns=column_roles(column or []) | _split_roles(split),
            preset=preset,
            full=full,
            memory_mb=None if memory is None else megabytes(memory),
            resume=resume,
            split=split,
            people=people,
            **_settings(workload, settings or []),
        )
    if as_json:
        print_json(trained.to_json())
        return
    console().print(trained.sentence(), markup=False)


def evaluate(
    reference: Annotated[str, typer.Argument(metavar="NAME[@V]")],
    data: Annotated[str, typer.Argument(help="Labelled data.")],
    on_bad_rows: BadRows = "fail",
    as_json: Json = False,
) -> None:
    """Judge a version on labelled data; on its own training data only the holdout counts."""
    from promise.data.lineage import open_beside
    from promise.training.evaluate import evaluate as run
    from promise.training.model import load

    model = load(reference)
    with _spinner("evaluating"):
        source = open_beside(data, model.version.lineage, on_bad_rows=on_bad_rows)
        judged = run(model.pipeline, model.version, source)
    if as_json:
        print_json({**judged.to_json(), "version": str(model.version)})
        return
    low, high = judged.interval
    console().print(
        f"{model.version}: {judged.metric} {number(judged.score)} "
        f"(95 % interval {number(low)} to {number(high)}) on {judged.rows:,} rows: {judged.split}",
        markup=False,
    )
    for key, value in judged.metrics.items():
        console().print(f"  {key:<22} {number(value)}", markup=False)


def predict(
    reference: Annotated[str, typer.Argument(metavar="NAME[@V]")],
    data: Annotated[str, typer.Argument(help="Rows to answer.")],
    out: Annotated[
        str, typer.Option("--out", help="A .csv or .parquet file, or a database's URL::TABLE.")
    ],
    on_bad_rows: BadRows = "fail",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a killed run ended.")
    ] = False,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Processes that answer side by side.")
    ] = 1,
    as_json: Json = False,
) -> None:
    """Write one row of predictions for each input row, in input order.

    A table has the column `row` beside, the number of the input row.
    """
    from promise.data.lineage import open_beside
    from promise.pipeline.order import workload_named
    from promise.settings import Settings
    from promise.training.model import load
    from promise.training.outputs import output_of
    from promise.training.predict import predict_file

    to = output_of(out, Settings.load().home)
    model = load(reference)
    source = open_beside(data, model.version.lineage, on_bad_rows=on_bad_rows)
    for caution in source.cautions():
        errors.print(f"warning: {caution}", markup=False, highlight=False)
    if not getattr(source, "ordered", True):
        errors.print(
            f"warning: {source.name} states no order, so nothing tells which answer is whose; put "
            "ORDER BY with a key at its end.",
            markup=False, highlight=False,
        )  # fmt: skip
    with _bar("predicting", source.size().rows) as advance:
        done = predict_file(
            model.pipeline,
            source,
            to,
            chunk_rows=workload_named(model.pipeline.task.workload).bulk_rows,
            progress=advance,
            version=model.version,
            resume=resume,
            workers=workers,
        )
    summary: dict[str, Any] = {
        "version": str(model.version),
        "rows": done.rows,
        "seconds": done.seconds,
        "bad_rows": done.bad_rows,
        "out": done.out,
    }
    if as_json:
        print_json(summary)
        return
    console().print(f"{done.rows:,} predictions by {model.version} in {done.out}", markup=False)


def _one_of(data: str | None, events: str | None) -> str:
    """Return where the data lie: given plainly, or as events."""
    if data is not None and events is not None:
        raise ConfigError("DATA and --events name the data twice; give one of them.")
    found = data if events is None else events
    if found is None:
        raise ConfigError(
            "say what to learn from: DATA, or --events EVENTS (with --people PEOPLE)."
        )
    return found


def _split_roles(rule: str | None) -> dict[str, str]:
    """Return the role of the column that a rule names; other rules are the workload's to read."""
    kind, _, name = (rule or "").partition(":")
    roles = {"temporal": "time", "grouped": "group"}
    if kind not in roles:
        return {}
    if not name:
        raise ConfigError(f"--split {rule}: name the column, {kind}:COLUMN.")
    return {name: roles[kind]}


def _settings(workload: str, pairs: list[str]) -> dict[str, Any]:
    """Read `--set` pairs: those that every workload knows, and those of this one as `options`."""
    from promise.pipeline.order import workload_named

    own = {key: _plain(key) for key in workload_named(workload).options}
    return set_values(pairs, {**own, **_SETTINGS})


def _plain(key: str) -> Callable[[str], tuple[str, Any]]:
    return lambda text: (f"options.{key}", text)


@contextlib.contextmanager
def _bar(text: str, rows: int) -> Iterator[Callable[[int], None]]:
    """Show progress over rows on standard error; yields a function that takes how many are done."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,} of about {task.total:,} rows"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
    ) as progress:
        task = progress.add_task(text, total=rows)
        yield lambda done: progress.update(task, completed=done, total=max(rows, done))


@contextlib.contextmanager
def _spinner(text: str) -> Iterator[Callable[[str], None]]:
    """Show progress on standard error; yields a function that changes its text."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(text)
        yield lambda words: progress.update(task, description=words)
