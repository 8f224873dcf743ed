"""`promise models rules`: what Prometheus is to watch of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from promise.cli.show import Json, print_json


def rules(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    config: Annotated[
        Path | None, typer.Option(help="A promise.toml; by default what is declared of NAME.")
    ] = None,
    installation: Annotated[
        bool, typer.Option("--installation", help="Add the rules that every installation needs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print a model's promises as Prometheus rules, in YAML."""
    from promise.clock import SystemClock
    from promise.monitoring.rules import as_yaml, installation_rules, rules_for
    from promise.promises.read import read_model_file
    from promise.registry.registry import Registry
    from promise.registry.revisions import Revisions
    from promise.registry.versions import check_name

    check_name(name)
    if config is not None:
        declared = read_model_file(config)
    else:
        registry = Registry.open()
        registry.find(name)  # an unknown name is refused with its near matches
        declared = Revisions(registry.database, SystemClock()).current(name).declared
        registry.database.close()
    found = rules_for(name, declared)
    if installation:
        found = {"groups": [*installation_rules()["groups"], *found["groups"]]}
    if as_json:
        print_json(found)
        return
    typer.echo(as_yaml(found), nl=False)


def attach(models: typer.Typer) -> None:
    """Add the command to `promise models`."""
    models.command("rules")(rules)
