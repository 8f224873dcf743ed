"""`promise models import` and `promise models publish`: models from MLflow, and versions to it."""

from __future__ import annotations

from typing import Annotated

import typer

from promise.cli.show import Json, console, print_json
from promise.registry.registry import Registry

Tracking = Annotated[
    str, typer.Option(help="The MLflow server, e.g. http://127.0.0.1:5000, or sqlite:///mlflow.db.")
]


def import_model(
    uri: Annotated[str, typer.Argument(metavar="URI", help="e.g. models:/churn/3")],
    name: Annotated[str, typer.Option(help="The model's name here.")],
    tracking_uri: Tracking,
    classes: Annotated[
        str | None, typer.Option(help="Class names a,b,c in the order of the model's codes.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="The column that holds the truth in labelled data.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Register a model of MLflow as the next version of a name; nothing of it is run."""
    from promise.registry.mlflow.bring import import_model as bring

    version = bring(
        uri,
        registry=Registry.open(),
        name=name,
        tracking_uri=tracking_uri,
        classes=None if classes is None else tuple(classes.split(",")),
        label=label,
    )
    if as_json:
        print_json({"version": str(version), "from": uri, "folder": str(version.folder)})
        return
    console().print(f"registered {version} from {uri}", markup=False, soft_wrap=True)


def publish_model(
    reference: Annotated[str, typer.Argument(metavar="NAME[@V]")],
    tracking_uri: Tracking,
    experiment: Annotated[
        str | None, typer.Option(help="Where the run belongs; by default the model's name.")
    ] = None,
    title: Annotated[
        str | None, typer.Option("--as", help="The registered model in MLflow; by default NAME.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Log a version in MLflow, register it with its signature, and mirror what is live."""
    from promise.registry.mlflow.publish import mirror_aliases, register

    registry = Registry.open()
    version = registry.find(reference)
    made = register(version, tracking_uri=tracking_uri, experiment=experiment, name=title)
    aliases = mirror_aliases(
        version.name, registry=registry, tracking_uri=tracking_uri, title=made.name
    )
    if as_json:
        print_json(
            {
                "version": str(version),
                "mlflow": f"models:/{made.name}/{made.number}",
                "run": made.run_id,
                "aliases": aliases,
            }
        )
        return
    shown = ", ".join(f"{alias} is {number}" for alias, number in aliases.items())
    console().print(
        f"{version} is models:/{made.name}/{made.number}" + (f"; {shown}" if shown else ""),
        markup=False,
        soft_wrap=True,
    )


def attach(models: typer.Typer) -> None:
    """Add both commands to `promise models`."""
    models.command("import")(import_model)
    models.command("publish")(publish_model)
