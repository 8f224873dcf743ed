"""`promise retrain`: ask for a retraining, run one here, or see what became of them."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from promise.cli.following import follow
from promise.cli.show import Json, console, errors, number, print_json
from promise.errors import ConfigError

if TYPE_CHECKING:
    from promise.retraining.isolated import Bounds
    from promise.retraining.runs import Run


def retrain(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept on record.")] = "",
    here: Annotated[bool, typer.Option("--here", help="Run it in this process, now.")] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="Show past retrainings, of NAME or of all.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option("--threads", help="With --here; half of the machine's.", min=1)
    ] = None,
    memory: Annotated[
        str | None, typer.Option("--memory", help="With --here, e.g. 4GB; half of what is free.")
    ] = None,
    parent: Annotated[
        int, typer.Option("--parent", hidden=True, help="Do what is due; end with this process.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Train the live version again on its data and the labelled answers since.

    A watch (`promise watch`, or beside `promise serve`) takes the wish up; the new version goes
    on its way only when it beats the live one on rows that neither learned from.
    """
    if listed:
        _list(name, as_json)
        return
    if name is None:
        raise ConfigError("say which model to train again: promise retrain NAME.")
    if parent:
        _as_child(name, parent)
        return
    if not here and (threads is not None or memory is not None):
        raise ConfigError(
            "--threads and --memory bound a retraining in this process; say --here too, or leave "
            "them out: a watch takes half of the machine."
        )
    bounds = _bounds(threads, memory)
    _ask(name, reason, said=not here)
    if here:
        _show(name, _run(name, bounds), as_json)
    elif as_json:
        print_json({"name": name, "asked": True})


def _ask(name: str, reason: str, *, said: bool) -> None:
    from promise.retraining.run import ask
    from promise.settings import Settings

    new = ask(name, reason, settings=Settings.load())
    if said:
        what = "asked for" if new else "was asked for already"
        errors.print(
            f"a retraining of {name} {what}; a running watch takes it up within seconds, "
            "`--here` runs it in this process.",
            markup=False,
            highlight=False,
        )


def _run(name: str, bounds: Bounds) -> Run | None:
    from promise.retraining.run import Retraining
    from promise.settings import Settings

    def tell(words: str) -> None:
        errors.print(words, markup=False, highlight=False)

    retraining = Retraining(Settings.load(), bounds=bounds, tell=tell)
    try:
        return retraining.run(name)
    finally:
        retraining.close()


def _as_child(name: str, parent: int) -> None:
    """Do what is due for a watch; end, and give the lease back, when it ends or says so."""
    from promise.retraining.isolated import Bounds

    def end(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the watch's to hear
    gone = threading.Event()
    follow(parent, gone, then=lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        _run(name, Bounds())
    finally:
        gone.set()


def _bounds(threads: int | None, memory: str | None) -> Bounds:
    from promise.discovery.options import megabytes
    from promise.retraining.isolated import Bounds

    return Bounds(threads, None if memory is None else megabytes(memory))


def _show(name: str, run: Run | None, as_json: bool) -> None:
    from promise.retraining.standing import standing

    if as_json:
        print_json({"run": None if run is None else run.to_json()})
    elif run is not None:
        console().print(f"{run}: {run.state}", markup=False)
    else:
        told = f"not now, a running watch takes it up: {standing(name).sentence()}"
        console().print(told, markup=False)


def _list(name: str | None, as_json: bool) -> None:
    from promise.retraining.standing import runs_of, standing

    runs = runs_of(name)
    names = [name] if name is not None else sorted({run.name for run in runs})
    due = {each: standing(each).next_due for each in names}
    if as_json:
        print_json({"retrainings": [run.to_json() for run in runs], "next_due": due})
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("run", "began (UTC)", "seconds", "rows", "version", "state", "because"):
        table.add_column(heading)
    for run in runs:
        rows = "" if run.n_rows is None else f"{run.n_rows:,}"
        version = "" if run.version is None else str(run.version)
        table.add_row(
            f"{run.name} {run.number}", f"{run.started:%Y-%m-%d %H:%M}", number(run.seconds, 1),
            rows, version, run.state, run.reason,
        )  # fmt: skip
    if runs:
        console().print(table)
        console().print(runs[0].sentence, markup=False)
    for each, words in due.items():
        console().print(f"{each}: next due {words}", markup=False)
    if not due:
        console().print("nothing was trained again yet")
