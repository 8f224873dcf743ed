"""`promise train`, `evaluate` and `predict`: a version from everything, judged and used."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from promise.cli.show import Json, console, errors, number, print_json
from promise.data.source import OnBadRows
from promise.errors import ConfigError

BadRows = Annotated[
    OnBadRows,
    typer.Option("--on-bad-rows", help="Ragged rows: `fail` names them, `skip` counts them."),
]


def train(
    workload: Annotated[str, typer.Argument(help="Which question: tabular.")],
    data: Annotated[str, typer.Argument(help="File, folder, glob, SQL URL or s3:// path.")],
    name: Annotated[str, typer.Option("--name", help="The model's name.")],
    target: Annotated[
        str | None, typer.Option("--target", help="Short for --column label=COL.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option("--column", help="ROLE=NAME; repeatable.")
    ] = None,
    preset: Annotated[str, typer.Option("--preset", help="default or reference.")] = "default",
    start: Annotated[str | None, typer.Option("--from", help="NAME@V to train again.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Train on every row, streaming.")] = False,
    budget: Annotated[
        str, typer.Option("--budget", help="Wall-clock time, e.g. 60s, 10m.")
    ] = "10m",
    trials: Annotated[
        int | None, typer.Option("--trials", help="Candidates instead of a clock.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option("--memory", help="Bound on memory, e.g. 4GB.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads")] = 2,
    seed: Annotated[int, typer.Option("--seed")] = 7,
    on_bad_rows: BadRows = "fail",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a version and register it under a name."""
    from promise.discovery.options import megabytes, seconds
    from promise.training.train import train_version

    with _spinner("training") as tell:
        trained = train_version(
            workload,
            data,
            name=name,
            start=start,
            on_bad_rows=on_bad_rows,
            tell=tell,
            target=target,
            columns=_roles(column or []),
            preset=preset,
            full=full,
            budget_s=seconds(budget),
            trials=trials,
            memory_mb=None if memory is None else megabytes(memory),
            threads=threads,
            seed=seed,
            resume=resume,
        )
    if as_json:
        print_json(trained.to_json())
        return
    console().print(trained.sentence(), markup=False)


def evaluate(
    reference: Annotated[str, typer.Argument(metavar="NAME[@V]")],
    data: Annotated[str, typer.Argument(help="Labelled data.")],
    metric: Annotated[str | None, typer.Option("--metric")] = None,
    on_bad_rows: BadRows = "fail",
    as_json: Json = False,
) -> None:
    """Judge a version on labelled data; on its own training data only the holdout counts."""
    from promise.data.source import open_source
    from promise.training.evaluate import evaluate as run
    from promise.training.model import load

    model = load(reference)
    with _spinner("evaluating"):
        source = open_source(data, on_bad_rows=on_bad_rows)
        judged = run(model.pipeline, model.version, source, metric=metric)
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
    out: Annotated[Path, typer.Option("--out", help="A .csv or .parquet file.")],
    on_bad_rows: BadRows = "fail",
    as_json: Json = False,
) -> None:
    """Write one row of predictions for each input row, in input order."""
    from promise.data.source import open_source
    from promise.training.model import load
    from promise.training.predict import predict_file

    model = load(reference)
    with _spinner("predicting") as tell:
        source = open_source(data, on_bad_rows=on_bad_rows)
        done = predict_file(
            model.pipeline, source, out, progress=lambda rows: tell(f"{rows:,} rows predicted")
        )
    summary: dict[str, Any] = {
        "version": str(model.version),
        "rows": done.rows,
        "seconds": done.seconds,
        "bad_rows": done.bad_rows,
        "out": str(done.out),
    }
    if as_json:
        print_json(summary)
        return
    console().print(f"{done.rows:,} predictions by {model.version} in {done.out}", markup=False)


def _roles(pairs: list[str]) -> dict[str, str]:
    roles = {}
    for pair in pairs:
        role, equals, name = pair.partition("=")
        if not equals or not name:
            raise ConfigError(f"--column {pair}: expected ROLE=NAME, for example label=income.")
        roles[name] = role
    return roles


@contextlib.contextmanager
def _spinner(text: str) -> Iterator[Callable[[str], None]]:
    """Show progress on standard error; yields a function that changes its text."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(text)
        yield lambda words: progress.update(task, description=words)
