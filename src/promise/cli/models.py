"""`promise models …` and `promise compare`: what is registered, and which is better."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from promise.cli.show import Json, console, number, print_json
from promise.registry.registry import Registry
from promise.registry.versions import Version

models = typer.Typer(help="List and show registered versions.", no_args_is_help=True)


def _summary(version: Version) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.number,
        "created": version.created.isoformat(),
        "workload": version.workload,
        "metrics": version.metrics,
        "labels": version.labels,
    }


@models.command("list")
def list_models(as_json: Json = False) -> None:
    """List every registered version, oldest first."""
    versions = Registry.open().versions()
    if as_json:
        print_json({"models": [_summary(v) for v in versions]})
        return
    if not versions:
        console().print("nothing is registered yet: run `promise demo`")
        return
    table = Table(
        "version", "workload", "created", "metric", "score", box=None, padding=(0, 2, 0, 0)
    )
    for version in versions:
        created = version.created.strftime("%Y-%m-%d %H:%M")
        score = version.metrics.get("score")
        metric = str(version.metrics.get("metric", ""))
        table.add_row(str(version), version.workload, created, metric, number(score))
    console().print(table)


@models.command("show")
def show_model(
    reference: Annotated[str, typer.Argument(metavar="NAME[@V]")], as_json: Json = False
) -> None:
    """Show one version: metrics, lineage, files and model card."""
    version = Registry.open().find(reference)
    if as_json:
        detail = {"folder": str(version.folder), "digest": version.digest}
        print_json({**_summary(version), **detail, "lineage": version.lineage})
        return
    console().print((version.folder / "card.md").read_text(encoding="utf-8"), markup=False)
    console().print(f"folder: {version.folder}", markup=False)


def compare(
    first: Annotated[str, typer.Argument(metavar="NAME@V")],
    second: Annotated[str, typer.Argument(metavar="NAME@W")],
    data: Annotated[
        str | None, typer.Argument(help="Labelled data neither was trained on.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two versions by paired bootstrap, on rows that neither was trained on."""
    from promise.data.source import open_source
    from promise.training.compare import compare as compare_versions

    registry = Registry.open()
    pair = registry.find(first), registry.find(second)
    found = compare_versions(*pair, None if data is None else open_source(data))
    if as_json:
        print_json({"first": str(pair[0]), "second": str(pair[1]), **found.to_json()})
        return
    console().print(found.sentence(str(pair[0]), str(pair[1])), markup=False)
