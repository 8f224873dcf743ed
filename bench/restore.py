"""A timed restore drill: the metadata of many versions, and the files of the live ones."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from promise.cli.rooms import ROOMS
from promise.records.labels import Labels
from promise.registry.backup import backup
from promise.registry.registry import Registry
from promise.registry.restore import restore
from promise.registry.route import Route
from promise.registry.tables import to_row
from promise.settings import Settings
from promise.state.files import digests, write_json

NAMES = 20
LABELS = 100_000


def settings_of(home: Path, database: str | None) -> Settings:
    """Return the settings of an installation of its own."""
    given = {"PROMISE_HOME": str(home)}
    return Settings.load(given if database is None else given | {"PROMISE_DATABASE": database})


def write(folder: Path, megabytes: float, seed: int) -> None:
    """Write a version folder of about so many megabytes, which no compression shrinks."""
    (folder / "weights").mkdir()
    rng = np.random.default_rng(seed)
    for part in range(8):
        (folder / "weights" / f"{part}.bin").write_bytes(rng.bytes(int(megabytes * 2**20 / 8)))
    manifest = {
        "format": 1, "task": {"workload": "tabular"}, "metrics": {"score": 0.5}, "lineage": {},
        "digests": digests(folder),
    }  # fmt: skip
    write_json(folder / "manifest.json", manifest)


def fill(settings: Settings, versions: int, megabytes: float) -> None:
    """Make an installation: so many versions of a few names, each name with two loaded ones."""
    registry = Registry.open(settings)
    metrics = {"metric": "accuracy", "score": 0.9, "ci": [0.89, 0.91], "all": {"ece": 0.02}}
    for number in range(NAMES):
        name = f"model-{number}"
        made = [
            registry.register(name, lambda folder, s=2 * number + i: write(folder, megabytes, s))
            for i in (0, 1)
        ]
        rows = [
            to_row(
                replace(
                    made[0], number=n, metrics=metrics, lineage={"note": "x" * 500},
                    location=f"{made[0].location[:-1]}{n}",
                )
            )
            for n in range(3, versions // NAMES + 1)
        ]  # fmt: skip
        names, values = ", ".join(rows[0]), ", ".join(f":{key}" for key in rows[0])
        insert = sa.text(f"INSERT INTO versions ({names}) VALUES ({values})")
        registry.database.run(lambda c, i=insert, r=rows: c.execute(i, r))
        life = registry.lifecycle
        last = life.commit(None, "promote", Route(name, "steady", live=1), reason="first")
        for _ in range(20):
            last = life.commit(last, "hold", replace(last.route, held="wait"), reason="hold")
        life.commit(last, "promote", Route(name, "steady", live=2, standby=1), reason="better")
    labels = Labels(registry.database, registry.clock)
    for first in range(0, LABELS, 10_000):
        given = [{"prediction_id": f"p{first + i}", "label": i % 2} for i in range(10_000)]
        labels.add(given)
    registry.database.close()


def main(arguments: list[str]) -> None:
    """Fill an installation, back it up, bring it back, and print how long each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", type=int, default=10_000)
    parser.add_argument("--megabytes", type=float, default=4.0, help="size of a loaded version")
    parser.add_argument("--database", help="restore into this database; it is emptied first")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="promise-restore-"))
    try:
        source = settings_of(folder / "source", None)
        fill(source, asked.versions, asked.megabytes)
        kept = backup(str(folder / "backup"), rooms=ROOMS, settings=source, live_only=True)
        again = backup(str(folder / "backup"), rooms=ROOMS, settings=source, live_only=True)
        target = settings_of(folder / "target", asked.database)
        began = time.perf_counter()
        done = restore(
            str(folder / "backup"), rooms=ROOMS, settings=target, force=asked.database is not None
        )
        seconds = time.perf_counter() - began
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found = {
        "versions": done.rows["versions"],
        "labels": done.rows["labels"],
        "live_versions": done.versions,
        "live_mb": asked.megabytes * done.versions,
        "verified_chains": done.chains,
        "backup_s": kept.seconds,
        "backup_again_s": again.seconds,
        "backup_again_copied": again.copied,
        "restore_s": seconds,
    }
    if asked.json:
        print(json.dumps(found, indent=2))
        return
    print(
        f"{found['versions']:,} versions, {found['labels']:,} labels, "
        f"{found['live_versions']} live versions of {asked.megabytes:g} MB\n\n"
        "| step | seconds |\n| --- | --- |\n"
        f"| first backup | {kept.seconds:.1f} |\n"
        f"| the same backup again ({again.copied} files copied) | {again.seconds:.1f} |\n"
        f"| restore, digests and {done.chains} chains verified | {seconds:.1f} |"
    )


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
