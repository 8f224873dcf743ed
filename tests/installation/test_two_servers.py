"""A whole installation: two servers share Postgres, Redis and S3, and agree on everything.

Each server is its own machine, with a home of its own; they are told apart by their host's name.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from bench import served_model

from promise.clock import SystemClock
from promise.records.evidence import EvidenceStore
from promise.records.labels import Labels
from promise.settings import Settings
from promise.state.database import Database

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("database_url", ["postgres"], indirect=True),
]

NAME = "shared"
PREDICT = f"/v1/models/{NAME}/predict"
_PATIENCE_S = 60.0


@dataclass
class Machine:
    """One of the machines: its environment, and the server that runs on it."""

    environ: Mapping[str, str]
    folder: Path
    url: str = ""
    server: subprocess.Popen[str] | None = None

    def promise(self, *arguments: str) -> Any:
        """Run a command on this machine; return the JSON that it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "promise.cli.main", *arguments, "--json"],
            env={**os.environ, **self.environ},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def serve(self) -> None:
        """Start the server, with the watch that moves rollouts beside it; returns at once."""
        self.server = subprocess.Popen(
            [sys.executable, "-m", "promise.cli.main", "serve", "--port", "0", "--json"],
            env={**os.environ, **self.environ},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> None:
        """Wait until the server says where it listens."""
        assert self.server is not None
        assert self.server.stdout is not None
        self.url = str(json.loads(self.server.stdout.readline())["url"])

    def stop(self) -> int:
        """End the server as an operator would; return its exit code."""
        if self.server is None:
            return 0
        self.server.send_signal(signal.SIGTERM)
        try:
            return self.server.wait(30)
        except subprocess.TimeoutExpired:
            self.server.kill()
            return self.server.wait()

    def predict(self, body: str) -> dict[str, Any]:
        """Ask for one prediction; an answer that is none has no `predictions`."""
        return dict(httpx.post(self.url + PREDICT, content=body, timeout=30).json())

    def version(self) -> Any:
        """Return the version that answers here now."""
        return self.predict(served_model.bodies(1)[0]).get("version")


@pytest.fixture
def machines(
    database_url: str, redis_server: str, s3_bucket: str, tmp_path: Path
) -> Iterator[tuple[Machine, Machine]]:
    """Yield two machines that share everything but their homes."""
    # loaded by every Python process at its start: two host names on one host
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os, socket\nsocket.gethostname = lambda: os.environ['STANDS_FOR_HOST']\n"
    )
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        environ = {
            "PROMISE_HOME": str(folder / "home"),
            "PROMISE_DATABASE": database_url,
            "PROMISE_ARTIFACTS": f"s3://{s3_bucket}/versions",
            "PROMISE_REDIS": f"{redis_server}/9",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH")))),
            "STANDS_FOR_HOST": name,
            "OMP_NUM_THREADS": "1",
        }
        made.append(Machine(environ, folder))
    try:
        yield made[0], made[1]
    finally:
        for machine in made:
            machine.stop()


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for something that other processes do."""
    deadline, pause = time.monotonic() + _PATIENCE_S, threading.Event()
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if true():
                return
        pause.wait(0.1)
    pytest.fail(f"{what} has not come true within {_PATIENCE_S:.0f} s")


def told(machine: Machine) -> dict[str, Any]:
    """Return what `promise status` says on a machine, but what goes on there while it is asked."""
    found = machine.promise("status", NAME)
    assert found["verified"]
    passing = ("at", "requests", "evidence_until", "verdicts", "usage")
    return {key: value for key, value in found.items() if key not in passing}


@pytest.mark.slow
def test_two_servers_are_one_installation(
    machines: tuple[Machine, Machine], database_url: str
) -> None:
    one, two = machines
    settings = Settings.load(dict(one.environ))
    for seed in (7, 8):
        served_model.register(settings, NAME, seed=seed)
    for machine in machines:
        machine.serve()
    for machine in machines:
        machine.ready()

    # one deploys; both fetch the version from S3 and answer
    assert one.promise("deploy", f"{NAME}@1")["gate"]["blocking"] == []
    for machine in machines:
        until(lambda m=machine: m.version() == 1, "the deployed version answers")
    body = served_model.bodies(1)[0]
    first, second = one.predict(body), two.predict(body)
    ids = [answer["predictions"][0].pop("id") for answer in (first, second)]
    assert first == second
    assert ids[0].partition(".")[0] != ids[1].partition(".")[0]

    # labels are taken where nobody knows the prediction, and joined where it was made
    for machine, id in ((two, ids[0]), (one, ids[1])):
        sent = {"prediction_id": id, "label": "yes"}
        kept = httpx.post(f"{machine.url}/v1/labels", json=sent, timeout=30)
        assert kept.status_code == 200, kept.text
        assert kept.json()["accepted"] == 1
    database, clock = Database(database_url), SystemClock()
    evidence, labels = EvidenceStore(database, clock), Labels(database, clock)
    until(
        lambda: sum(len(o.payload["y"]) for o in evidence.observed(NAME, 1, "outcome")) == 2,
        "both labels are evidence",
    )
    assert {label.model for id in ids for label in labels.of(id)} == {NAME}
    database.close()

    # the other deploys; both follow, and tell the same
    two.promise("deploy", f"{NAME}@2", "--now", "--reason", "a drill")
    for machine in machines:
        until(lambda m=machine: m.version() == 2, "the version of the other machine answers")
    found = told(one)
    assert (found["live"], found["standby"]) == (2, 1)
    assert "a drill" in found["transition"]["reason"]

    # and back
    one.promise("rollback", NAME)
    for machine in machines:
        until(lambda m=machine: m.version() == 1, "the rollback is seen")
    found = told(two)
    assert found == told(one)
    assert (found["live"], found["transition"]["kind"]) == (1, "rollback")
    assert [machine.stop() for machine in machines] == [0, 0]
