"""`promise backup` and `promise restore`: one consistent moment, kept and brought back."""

from __future__ import annotations

from typing import Annotated

import typer

from promise.cli.show import Json, console, errors, print_json


def backup(
    to: Annotated[str, typer.Argument(metavar="TO", help="A folder or s3://bucket/prefix.")],
    live_only: Annotated[
        bool, typer.Option("--live-only", help="Files of loaded versions only; all metadata.")
    ] = False,
    with_records: Annotated[
        bool, typer.Option("--with-records", help="The prediction log, too.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove files that only earlier backups needed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Keep one consistent moment of the installation, while it goes on serving."""
    from promise.cli.rooms import ROOMS
    from promise.registry.backup import backup as run

    with errors.status("backing up"):
        done = run(to, rooms=ROOMS, live_only=live_only, with_records=with_records, prune=prune)
    if as_json:
        print_json(done.to_json())
        return
    for name, why in done.kept.without.items():
        errors.print(f"without the files of {name}: {why}", markup=False, soft_wrap=True)
    if done.not_pruned:
        errors.print(f"nothing was pruned: {done.not_pruned}", markup=False, soft_wrap=True)
    rows = sum(n for _, n, _ in done.kept.tables.values())
    console().print(
        f"kept {rows:,} rows of {len(done.kept.tables)} tables and {len(done.kept.versions):,} "
        f"versions at {done.to}: {done.copied:,} files copied ({done.copied_mb:,.1f} MB) "
        f"in {done.seconds:.1f} s",
        markup=False,
        soft_wrap=True,
    )


def restore(
    source: Annotated[str, typer.Argument(metavar="FROM", help="What `promise backup` filled.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace everything in an installation in use.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring a backup back into this installation: all of it, checked, or nothing."""
    from promise.cli.rooms import ROOMS
    from promise.registry.restore import restore as run

    with errors.status("restoring"):
        done = run(source, rooms=ROOMS, force=force)
    if as_json:
        print_json(done.to_json())
        return
    for name, why in done.without.items():
        errors.print(f"without the files of {name}: {why}", markup=False, soft_wrap=True)
    console().print(
        f"restored {sum(done.rows.values()):,} rows and the files of {done.versions:,} versions, "
        f"as they were on {done.kept.created:%Y-%m-%d %H:%M:%S} UTC; "
        f"{done.chains:,} chains verified, in {done.seconds:.1f} s",
        markup=False,
        soft_wrap=True,
    )
