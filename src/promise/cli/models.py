"""`promise models …` and `promise compare`: what is registered, and which is better."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from promise.cli.show import Json, console, number, print_json
from promise.errors import ConfigError
from promise.registry.registry import Registry
from promise.registry.versions import Version

models = typer.Typer(help="List, show, label and retire registered versions.", no_args_is_help=True)


Reference = Annotated[str, typer.Argument(metavar="NAME[@V]", help="NAME@3, NAME@live or NAME.")]


def _summary(version: Version) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.number,
        "created": version.created.isoformat(),
        "workload": version.workload,
        "metrics": version.metrics,
        "labels": version.labels,
        "state": version.state,
        "archive_at": None if version.archive_at is None else version.archive_at.isoformat(),
        "retired_because": version.retired_because,
    }


@models.command("list")
def list_models(as_json: Json = False) -> None:
    """List every registered version, oldest first, and what each does."""
    registry = Registry.open()
    versions, routes = registry.versions(), registry.lifecycle.routes()
    roles = {str(v): routes[v.name].role(v.number) for v in versions if v.name in routes}
    if as_json:
        listed = [{**_summary(v), "role": roles.get(str(v))} for v in versions]
        print_json({"models": listed})
        return
    if not versions:
        console().print("nothing is registered yet: run `promise demo`")
        return
    table = Table(
        "version", "workload", "created", "metric", "score", "serves as", "state",
        box=None, padding=(0, 2, 0, 0),
    )  # fmt: skip
    for version in versions:
        created = version.created.strftime("%Y-%m-%d %H:%M")
        score = version.metrics.get("score")
        metric = str(version.metrics.get("metric", ""))
        table.add_row(
            str(version), version.workload, created, metric, number(score),
            roles.get(str(version)) or "", version.state,
        )  # fmt: skip
    console().print(table)


@models.command("show")
def show_model(reference: Reference, as_json: Json = False) -> None:
    """Show one version: model card, metrics, promises, lineage, labels, and where it serves."""
    from promise.registry.cards import card, standing

    registry = Registry.open()
    version = registry.get(reference)
    if version.state != "archived":
        version = registry.fetch(version)
    found = standing(registry, version)
    if as_json:
        detail = {
            "folder": str(version.folder),
            "location": version.location,
            "digest": version.digest,
            "lineage": version.lineage,
            "views": version.views,
        }
        print_json({**_summary(version), **detail, **found.to_json()})
        return
    console().print(card(found), markup=False)
    console().print(f"folder: {version.folder}", markup=False)


@models.command("retire")
def retire_model(
    reference: Annotated[str, typer.Argument(metavar="NAME@V")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the audit trail.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Take a retirement back.")] = False,
    as_json: Json = False,
) -> None:
    """Deprecate a version for 30 days, then archive it; nothing that serves can be retired."""
    registry = Registry.open()
    if "@" not in reference:
        raise ConfigError(f"say which version of {reference}: NAME@V.")
    if undo:
        version = registry.unretire(reference, reason)
        said = f"{version} is active again."
    else:
        version = registry.retire(reference, reason)
        until = "" if version.archive_at is None else f" on {version.archive_at:%Y-%m-%d}"
        said = f"{version} is deprecated and will be archived{until}; --undo takes that back."
    archived = [str(swept) for swept in registry.sweep()]
    if as_json:
        print_json({**_summary(version), "archived": archived})
        return
    console().print(said, markup=False)
    if archived:
        console().print(f"archived, since their 30 days are over: {', '.join(archived)}")


@models.command("label")
def label_model(
    reference: Annotated[str, typer.Argument(metavar="NAME@V")],
    labels: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="KEY= removes it.")],
    as_json: Json = False,
) -> None:
    """Put marks on a version, such as owner=risk."""
    given: dict[str, str | None] = {}
    for text in labels:
        key, mark, value = text.partition("=")
        if not mark:
            raise ConfigError(f"{text!r} is no label; write KEY=VALUE, or KEY= to remove one.")
        given[key] = value
    version = Registry.open().label(reference, given)
    if as_json:
        print_json(_summary(version))
        return
    shown = ", ".join(f"{key}={value}" for key, value in sorted(version.labels.items()))
    console().print(f"{version}: {shown or 'no labels'}", markup=False)


def compare(
    first: Annotated[str, typer.Argument(metavar="NAME@V")],
    second: Annotated[str, typer.Argument(metavar="NAME@W")],
    data: Annotated[
        str | None, typer.Argument(help="Labelled data neither was trained on.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two versions by paired bootstrap, on rows that neither was trained on."""
    from promise.data.lineage import open_beside
    from promise.training.compare import compare as compare_versions

    registry = Registry.open()
    pair = registry.find(first), registry.find(second)
    source = None if data is None else open_beside(data, *(one.lineage for one in pair))
    found = compare_versions(*pair, source)
    if as_json:
        print_json({"first": str(pair[0]), "second": str(pair[1]), **found.to_json()})
        return
    console().print(found.sentence(str(pair[0]), str(pair[1])), markup=False)
