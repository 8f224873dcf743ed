"""`promise features …`: what is declared, whether what was served is right, and warm starts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from promise.cli.keyed import KeyedModel, keyed_model
from promise.cli.show import Json, console, errors, print_json
from promise.clock import SystemClock
from promise.data.source import open_source
from promise.errors import ConfigError, DataError
from promise.features.history import History
from promise.features.model_views import ModelViews
from promise.features.seen_log import Seen, read_seen, seen_folder
from promise.features.served import ServedParity, check_served
from promise.features.states import states
from promise.features.store import Entry, Store
from promise.features.stores.opening import open_store, store_kind
from promise.monitoring.collect import Kept
from promise.pipeline.keyed_stage import history_of
from promise.registry.registry import Registry
from promise.settings import Settings
from promise.state.files import write_json

features = typer.Typer(
    help="List feature views, check what was served, fill the event store.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The model's name.")]
_BACKFILL = "backfill.json"
_PATIENCE_S = 60.0


@features.command("list")
def list_features(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One model alone.")] = None,
    columns: Annotated[bool, typer.Option("--columns", help="Name every column.")] = False,
    as_json: Json = False,
) -> None:
    """List the views of every model: their versions, columns, and which versions read them."""
    registry = Registry.open()
    names = sorted({v.name for v in registry.versions()}) if name is None else [name]
    found = [row for each in names for row in _views(registry, each)]
    if as_json:
        print_json({"store": store_kind(Settings.load()), "views": found})
        return
    if not found:
        console().print("no model reads keyed features; `promise train fraud` makes one.")
        return
    table = Table("model", "view", "version", "entity", "columns", "read by", box=None,
                  padding=(0, 2, 0, 0))  # fmt: skip
    for row in found:
        shown = ", ".join(row["columns"]) if columns else str(len(row["columns"]))
        read = ", ".join(f"@{number}" for number in row["versions"])
        entity = " + ".join(row["entity"]) or "the event"
        table.add_row(row["model"], row["view"], str(row["version"]), entity, shown, read)
    console().print(table)


@features.command("check")
def check_features(
    name: Name,
    as_json: Json = False,
) -> None:
    """Replay the logged events and labels offline and compare what was served, bit for bit.

    Exits with code 1 where a feature differs. The log of this machine is read.
    """
    settings = Settings.load()
    registry = Registry.open(settings)
    registry.find(name)
    lines = list(read_seen(settings, name))
    numbers = tuple(sorted({one.version for one in lines if one.version is not None}))
    model = _keyed(registry, name, numbers)
    before = _backfilled(settings, model)
    found = check_served(model.views, lines, before=before)
    if as_json:
        print_json({"model": name, "holds": found.holds, **found.to_json()})
    else:
        _tell_check(name, found, lines)
    if lines and not found.holds and found.rows:
        raise typer.Exit(1)


@features.command("backfill")
def backfill_features(
    name: Name,
    file: Annotated[str, typer.Argument(help="Events with the columns of the training data.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Also entities that have state already.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fill the event store from a file, so that a model starts with its entities' past.

    Entities that have state already are left as they are, unless `--replace` is given.
    """
    settings = Settings.load()
    registry = Registry.open(settings)
    model = _keyed(registry, name)
    source = open_source(file)
    began = time.perf_counter()
    errors.print(f"reading {file}", markup=False, highlight=False)
    history = history_of(model.lead, source)
    views = model.views
    opened = open_store(settings, retention_s=views.retention_s, wait_s=_PATIENCE_S)
    try:
        taken, offered = _filled(opened.store, _entries(views, model, history), replace=replace)
    finally:
        opened.close()
    seconds = time.perf_counter() - began
    path = seen_folder(settings) / name / _BACKFILL
    if taken == offered or not path.is_file():  # else states of an earlier file have stayed
        _note_backfill(path, file, source.fingerprint())
    told = {
        "model": name, "events": len(history), "entities": taken, "seconds": seconds,
        "events_per_s": len(history) / seconds, "store": store_kind(settings),
    }  # fmt: skip
    if as_json:
        print_json(told)
        return
    console().print(
        f"{len(history):,} events: the states of {taken:,} entities are in the {told['store']} "
        f"store, {told['events_per_s']:,.0f} events a second",
        markup=False,
    )


@features.command("export")
def export_features(
    name: Name,
    to: Annotated[Path, typer.Option("--to", help="A file of JSON lines.")],
    as_json: Json = False,
) -> None:
    """Write the states of a model's entities, to start another installation warm."""
    settings = Settings.load()
    model = _keyed(Registry.open(settings), name)
    opened = open_store(settings, retention_s=model.views.retention_s, wait_s=_PATIENCE_S)
    written = 0
    try:
        with to.open("w", encoding="utf-8") as file:
            for entry in opened.store.export():
                if entry.key.startswith(f"{name}/"):
                    file.write(json.dumps(_packed(entry)) + "\n")
                    written += 1
    finally:
        opened.close()
    if as_json:
        print_json({"model": name, "entities": written, "file": str(to)})
        return
    console().print(f"{written:,} entries of {name} in {to}", markup=False)


@features.command("import")
def import_features(
    name: Name,
    file: Annotated[Path, typer.Argument(help="What `promise features export` wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Also entities that have state already.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take over the states of another installation's entities."""
    settings = Settings.load()
    model = _keyed(Registry.open(settings), name)
    opened = open_store(settings, retention_s=model.views.retention_s, wait_s=_PATIENCE_S)
    try:
        taken = opened.store.import_(_read_entries(file, name), replace=replace)
    finally:
        opened.close()
    if as_json:
        print_json({"model": name, "entities": taken})
        return
    console().print(f"{taken:,} entries of {name} were taken over", markup=False)


def _keyed(registry: Registry, name: str, more: tuple[int, ...] = ()) -> KeyedModel:
    found = keyed_model(registry, name, more)
    if found is None:
        raise ConfigError(
            f"{name} reads no keyed features; `promise features list` shows which models do."
        )
    return found


def _views(registry: Registry, name: str) -> list[dict[str, Any]]:
    """Return the views of a name, each with the versions that read it."""
    found: dict[str, dict[str, Any]] = {}
    for version in registry.versions(name):
        model = keyed_model(registry, name, (version.number,))
        stage = None if model is None else model.stages.get(version.number)
        for view in () if stage is None else stage.keyed.features.views:
            row = {
                "model": name, "view": view.name, "version": view.version,
                "entity": list(view.entity), "columns": list(view.columns), "versions": [],
            }  # fmt: skip
            found.setdefault(view.to_json(), row)["versions"].append(version.number)
    return list(found.values())


def _entries(views: ModelViews, model: KeyedModel, history: History) -> Iterator[Entry]:
    """Yield every entity's state once, over the views of all versions."""
    done: set[str] = set()
    for stage in model.stages.values():
        for key, state in states(stage.keyed.features, history):
            name = f"{views.model}/{key}"
            mark = key.partition(":")[0]
            if mark not in done:
                yield Entry(name, state, ())
        done |= {kernel.fingerprint for kernel in stage.keyed.features.kernels}


def _filled(store: Store, entries: Iterator[Entry], *, replace: bool) -> tuple[int, int]:
    """Return how many entities a store took, and how many there were."""
    offered = 0

    def each() -> Iterator[Entry]:
        nonlocal offered
        for entry in entries:
            offered += 1
            yield entry

    return store.import_(each(), replace=replace), offered


def _note_backfill(path: Path, file: str, fingerprint: str) -> None:
    write_json(
        path,
        {
            "file": str(Path(file).absolute()) if Path(file).exists() else file,
            "fingerprint": fingerprint,
            "at": SystemClock().now().isoformat(),
        },
    )


def _backfilled(settings: Settings, model: KeyedModel) -> History | None:
    """Return the events that a model's state was filled from; None where it was not.

    None as well where the log no longer goes back to that time: what came between is gone, so
    that those states count as come from elsewhere.
    """
    path = seen_folder(settings) / model.name / _BACKFILL
    if not path.is_file():
        return None
    note = json.loads(path.read_text(encoding="utf-8"))
    age = SystemClock().now() - datetime.fromisoformat(note["at"])
    if age > timedelta(days=Kept().log_days):
        return None
    source = open_source(note["file"])
    if source.fingerprint() != note["fingerprint"]:
        raise DataError(
            f"{note['file']} has changed since the store was filled from it; features that reach "
            "back into it cannot be checked. Put the file back as it was."
        )
    return history_of(model.lead, source)


def _tell_check(name: str, found: ServedParity, lines: Sequence[Seen]) -> None:
    if not lines:
        console().print(f"{name}: nothing was served yet on this machine", markup=False)
        return
    out = console()
    out.print(f"{name}: {found.events:,} events and {found.labels:,} labels replayed", markup=False)
    for number, parity in sorted(found.versions.items()):
        out.print(f"@{number}: {parity.told()}", markup=False)
    for reason, rows in found.left_out.items():
        out.print(f"not compared, {rows:,} times: {reason}", markup=False)


def _packed(entry: Entry) -> dict[str, Any]:
    snapshot = None if entry.snapshot is None else entry.snapshot.hex()
    return {"key": entry.key, "snapshot": snapshot, "tail": [one.hex() for one in entry.tail]}


def _read_entries(file: Path, name: str) -> Iterator[Entry]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                told = json.loads(line)
                snapshot = told["snapshot"]
                entry = Entry(
                    told["key"],
                    None if snapshot is None else bytes.fromhex(snapshot),
                    tuple(bytes.fromhex(one) for one in told["tail"]),
                )
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"{file}, line {number}: no entity's state ({error}); give what `promise "
                    "features export` wrote."
                ) from error
            if not entry.key.startswith(f"{name}/"):
                raise DataError(f"{file}, line {number}: a state of another model than {name}.")
            yield entry
