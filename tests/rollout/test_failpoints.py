"""Promotions that are killed at failpoints leave nothing half-done: a short run of the bench."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from bench import failpoints

from promise.rollout import gate


@pytest.mark.slow
def test_a_dozen_killed_promotions_break_nothing() -> None:
    root = Path(failpoints.__file__).parents[1]
    command = [sys.executable, "-m", "bench.failpoints", "12", "--seed", "3", "--json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["broken"] == []
    assert sum(told["killed"].values()) >= 10
    assert len(told["killed"]) >= 3


def test_what_is_lost_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "measure", gate.measure)
    home, acknowledged = tmp_path / "home", tmp_path / "acknowledged"
    failpoints.prepare(home)
    site = failpoints.Site.of(home)
    acknowledged.write_text("label first 1\nlabel gone 1\nlink 9 abc\nversion 7\nlabel torn")
    found = failpoints.check(site, acknowledged)
    assert found == [
        "transition 9 was acknowledged and is lost",
        "label gone was acknowledged and is lost",
        "version 7 was acknowledged and is lost",
    ]
    with site.database() as database, database.transaction() as connection:
        connection.execute(sa.text("UPDATE labels SET value = '2'"))
    assert "label first was acknowledged and is lost" in failpoints.check(site, acknowledged)
