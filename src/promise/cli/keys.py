"""`promise keys …`: who may ask for predictions, send labels or change things."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from promise.cli.show import Json, console, print_json
from promise.registry.keys import Keys, check_scopes
from promise.settings import Settings
from promise.state.database import Database

keys = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)


def _open() -> Keys:
    return Keys(Database(Settings.load().database))


@keys.command("create")
def create_key(
    label: Annotated[str, typer.Option("--label", help="Whose key it is, in words.")],
    scope: Annotated[
        str, typer.Option("--scope", help="predict, label or admin; several with commas.")
    ] = "predict",
    as_json: Json = False,
) -> None:
    """Make a key; its secret is shown this once and kept nowhere."""
    scopes = check_scopes([part.strip() for part in scope.split(",") if part.strip()])
    key, secret = _open().create(label, scopes)
    if as_json:
        print_json({**key.to_json(), "secret": secret})
        return
    console().print(secret, markup=False, soft_wrap=True)
    console().print(
        f"key {key.id} for {key.label}: {', '.join(key.scopes)}. Keep the line above: it is not "
        "shown again. Send it as `Authorization: Bearer …` or `X-API-Key`.",
        markup=False,
    )


@keys.command("list")
def list_keys(as_json: Json = False) -> None:
    """List every key, revoked ones too; secrets are not kept."""
    found = _open().all()
    if as_json:
        print_json({"keys": [key.to_json() for key in found]})
        return
    if not found:
        console().print("there is no key yet: run `promise keys create --label TEXT`", markup=False)
        return
    table = Table("id", "label", "scopes", "created", "revoked", box=None, padding=(0, 2, 0, 0))
    for key in found:
        revoked = "" if key.revoked is None else f"{key.revoked:%Y-%m-%d %H:%M}"
        created = f"{key.created:%Y-%m-%d %H:%M}"
        table.add_row(key.id, key.label, ", ".join(key.scopes), created, revoked)
    console().print(table)


@keys.command("revoke")
def revoke_key(
    id: Annotated[str, typer.Argument(metavar="ID", help="As `promise keys list` shows it.")],
    as_json: Json = False,
) -> None:
    """Revoke a key; running servers refuse it within a second."""
    key = _open().revoke(id)
    if as_json:
        print_json(key.to_json())
        return
    console().print(f"key {key.id} ({key.label}) is revoked.", markup=False)
