"""Kill promotions at random failpoints and check what is left: python -m bench failpoints [RUNS]

Each run is a process that registers a version, deploys it, brings it step by step from shadow to
live, rolls back, and keeps adding labels meanwhile. It dies by SIGKILL at a failpoint and a visit
drawn from the run's seed. What the database holds is then checked, another process takes over,
and it is checked again. Only the gate's load test is replaced, by a fixed answer.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from promise.clock import ManualClock
from promise.data.answer import Class
from promise.data.columns import Columns
from promise.data.schema import Field, Schema
from promise.errors import PromiseError
from promise.features.table import TableFeatures
from promise.features.views import Views
from promise.job import Job
from promise.models.base import MATRIX, Examples
from promise.models.blend import Blend, Member
from promise.models.linear import Linear
from promise.pipeline.artifact import Contents, load_pipeline, save_pipeline
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.policy import Threshold
from promise.pipeline.task import Task
from promise.promises.verdict import Verdict
from promise.records.evidence import EvidenceStore
from promise.records.labels import Labels
from promise.registry.lifecycle import Lifecycle
from promise.registry.registry import Registry
from promise.rollout import gate
from promise.rollout.deploy import deploy, rollback
from promise.rollout.load import Load
from promise.rollout.machine import broken_invariants
from promise.rollout.reconciler import Reconciler
from promise.settings import Settings
from promise.state import failpoints
from promise.state.database import Database

NAME = "churn"
START = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = """
[promises]
errors  = { that = "request_errors", at_most = 0.01, on_break = "rollback" }
quality = { that = "accuracy", at_least = 0.7, due = "live", on_break = "retrain" }
[rollout]
shadow = 500
steps = [10, 100]
bake = "60s"
"""


@dataclass
class Site:
    """One installation on its own SQLite file, or on a Postgres schema of its own."""

    settings: Settings
    clock: ManualClock

    @classmethod
    def of(cls, home: Path, *, hours: float = 0.0, database: str | None = None) -> Site:
        """Open the installation, with a clock that begins so many hours after the start."""
        given = {"PROMISE_HOME": str(home)} | ({"PROMISE_DATABASE": database} if database else {})
        return cls(Settings.load(given), ManualClock(START + timedelta(hours=hours)))

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        """Open the database for a block."""
        opened = Database(self.settings.database)
        try:
            yield opened
        finally:
            opened.close()


def main(arguments: list[str]) -> None:
    """Run the bench; exits with 1 where an invariant is broken."""
    parser = argparse.ArgumentParser(prog="python -m bench failpoints")
    parser.add_argument("runs", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    order = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="promise-failpoints-") as folder:
        template = Path(folder) / "template"
        prepare(template)
        visits = dry_run(Path(folder) / "dry", template)
        found = [one_run(Path(folder), template, visits, order.seed, i) for i in range(order.runs)]
    broken = [text for run in found for text in run.broken]
    killed = Counter(run.point for run in found if run.killed)
    if order.json:
        told = {"runs": order.runs, "killed": dict(killed), "broken": broken}
        told |= {"labels": sum(run.labels for run in found)}
        print(json.dumps(told))
    else:
        print("| failpoint | kills |\n|---|---|")
        print("\n".join(f"| {point} | {n} |" for point, n in sorted(killed.items())))
        print("\n".join(broken))
        labels = sum(run.labels for run in found)
        seconds = time.monotonic() - began
        print(f"\n{len(broken)} broken invariants of {order.runs} runs ({killed.total()} killed, "
              f"{labels:,} acknowledged labels, {seconds:.0f} s)")  # fmt: skip
    if broken:
        raise SystemExit(1)


@dataclass(frozen=True)
class Run:
    """What one run did and which invariants it broke."""

    point: str
    killed: bool
    labels: int
    broken: tuple[str, ...]


def prepare(home: Path) -> None:
    """Make an installation whose first version is live."""
    gate.measure = _measured
    site = Site.of(home)
    home.mkdir()
    (home / "promise.toml").write_text(CONFIG, encoding="utf-8")
    write_version(home / "trained")
    register(site)
    given = {"settings": site.settings, "clock": site.clock}
    deploy(NAME, config=home / "promise.toml", **given)
    with site.database() as database:
        Labels(database, site.clock).add([{"prediction_id": "first", "label": 1}])


def _measured(folder: Path, seconds: float, targets: tuple[float, ...]) -> Load:
    del folder
    return Load(requests=5000, seconds=seconds, over=dict.fromkeys(targets, 0), golden=0.0)


def write_version(folder: Path) -> None:
    """Write a small version folder, to be registered again and again."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(200, 2))
    y = (x.sum(axis=1) > 0).astype(np.int64)
    schema, answer = Schema((Field("a", "number"), Field("b", "number"))), Class(("no", "yes"))
    columns, job = Columns({"a": x[:, 0], "b": x[:, 1]}), Job(seed=7, threads=1)
    train = Examples(columns=columns, y=y, answer=answer, rows=np.arange(len(y)))
    features = TableFeatures(schema=schema.to_json()).fit(train, None, job)
    matrix = replace(train, columns=columns.with_columns({MATRIX: features.train_matrix(train)}))
    pipeline = Pipeline(
        task=Task("tabular", schema, answer, "y", "accuracy"),
        featurize=Views({"plain": features}),
        score=Blend((Member("plain", 1.0, Linear().fit(matrix, None, job)),)),
        decide=Threshold(answer),
    )
    folder.mkdir()
    golden = pa.table({"a": x[:8, 0], "b": x[:8, 1]})
    save_pipeline(pipeline, folder, Contents(golden=golden))


def register(site: Site) -> int:
    """Register the small version once more and return its number."""
    trained = site.settings.home / "trained"
    registry = Registry.open(site.settings)
    try:
        return registry.register(
            NAME, lambda draft: shutil.copytree(trained, draft, dirs_exist_ok=True) and None
        ).number
    finally:
        registry.database.close()


def dry_run(home: Path, template: Path) -> dict[str, int]:
    """Return how often the whole promotion visits each failpoint."""
    shutil.copytree(template, home)
    told = home / "visits.json"

    def work() -> None:
        os.environ["PROMISE_FAILPOINT"] = "counted.only"
        promotion(Site.of(home, hours=1), home / "acknowledged")
        told.write_text(json.dumps(failpoints._visits), encoding="utf-8")

    status = in_child(work)
    if status != 0:
        raise SystemExit("the promotion without a kill did not come to its end")
    visits: dict[str, int] = json.loads(told.read_text(encoding="utf-8"))
    return visits


def one_run(folder: Path, template: Path, visits: dict[str, int], seed: int, number: int) -> Run:
    """Kill one promotion, check, let another process finish, and check again."""
    rng = np.random.default_rng((seed, number))
    point = sorted(visits)[rng.integers(len(visits))]
    visit = int(rng.integers(1, visits[point] + 1))
    home = folder / f"run-{number}"
    shutil.copytree(template, home)
    acknowledged = home / "acknowledged"

    def work() -> None:
        os.environ["PROMISE_FAILPOINT"] = f"{point}:{visit}"
        promotion(Site.of(home, hours=1), acknowledged)

    status = in_child(work)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    broken = [] if killed or status == 0 else [f"the promotion ended with status {status}"]
    broken += check(Site.of(home), acknowledged)
    if in_child(lambda: finish(Site.of(home, hours=5))) != 0:
        broken.append("the process that took over did not finish")
    broken += check(Site.of(home), acknowledged)
    labels = sum(line.startswith("label ") for line in read_lines(acknowledged))
    shutil.rmtree(home)
    where = f"run {number}, killed at {point}:{visit}"
    return Run(point, killed, labels, tuple(f"{where}: {text}" for text in broken))


def in_child(work: Callable[[], None]) -> int:
    """Do the work in a process of its own and return its wait status."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1]


def promotion(site: Site, acknowledged: Path) -> None:
    """Register, deploy, promote, deploy at once, roll back; add labels all the while."""
    written = os.open(acknowledged, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def tell(text: str) -> None:
        os.write(written, f"{text}\n".encode())

    stopping = threading.Event()
    labelling = threading.Thread(target=add_labels, args=(site, tell, stopping), daemon=True)
    labelling.start()
    given = {"settings": site.settings, "clock": site.clock}
    number = register(site)
    tell(f"version {number}")
    made = deploy(f"{NAME}@{number}", **given).transition
    tell(f"link {made.seq} {made.hash}")
    drive(site, tell)
    for change in (
        lambda: deploy(f"{NAME}@1", now=True, reason="a drill", **given).transition,
        lambda: rollback(NAME, reason="the drill is over", **given),
    ):
        made = change()
        tell(f"link {made.seq} {made.hash}")
    stopping.set()
    labelling.join()


def add_labels(site: Site, tell: Callable[[str], None], stopping: threading.Event) -> None:
    """Add labels one batch after the other, and tell of each once it is acknowledged."""
    with site.database() as database:
        labels, batch = Labels(database, site.clock), 0
        while not stopping.is_set():
            ids = [f"p{batch}-{i}" for i in range(3)]
            labels.add([{"prediction_id": each, "label": batch} for each in ids])
            for each in ids:
                tell(f"label {each} {batch}")
            batch += 1
            stopping.wait(0.002)


def drive(site: Site, tell: Callable[[str], None]) -> None:
    """Give evidence and look until nothing is on its way and nothing is owed."""
    reconciler = Reconciler(site.settings, site.clock, _no_alert, observed_every_s=0.0)
    evidence = EvidenceStore(reconciler.database, site.clock)
    for _ in range(30):
        route = reconciler.lifecycle.route(NAME)
        if route.candidate is None and route.standby is None and not route.owed:
            break
        seen(evidence, site, route.candidate, "shadow" if route.stage == "shadow" else "canary")
        seen(evidence, site, route.live, "live")
        site.clock.advance(61)
        for made in reconciler.tick():
            tell(f"link {made.seq} {made.hash}")
    reconciler.close()


def seen(evidence: EvidenceStore, site: Site, version: int | None, arm: str) -> None:
    """Count good requests and right answers of a version."""
    if version is None:
        return
    start = site.clock.now().replace(second=0, microsecond=0) + timedelta(seconds=60)
    evidence.add_counts("slot", NAME, version, arm, start, 2000, 1, {})
    payload = {
        "y": [1.0] * 200, "output": [[0.2, 0.8]] * 200, "group": {},
        "at": [start.timestamp()] * 200, "arm": [arm] * 200,
    }  # fmt: skip
    evidence.observe(NAME, version, "outcome", "all", payload)


def _no_alert(name: str, version: int, verdict: Verdict, text: str) -> None:
    del name, version, verdict, text


def finish(site: Site) -> None:
    """Take over after a kill: bring what is on its way to its end, then deploy and roll back."""
    drive(site, lambda _: None)
    given = {"settings": site.settings, "clock": site.clock}
    number = register(site)
    deploy(f"{NAME}@{number}", now=True, reason="taken over", **given)
    rollback(NAME, reason="taken over", **given)


def check(site: Site, acknowledged: Path) -> list[str]:
    """Return every invariant that the installation breaks, in words."""
    with site.database() as database:
        return [*_chain(database, site, acknowledged), *_labels(database, site, acknowledged),
                *_versions(site, acknowledged)]  # fmt: skip


def _chain(database: Database, site: Site, acknowledged: Path) -> Iterator[str]:
    lifecycle = Lifecycle(database, site.clock)
    wrong = lifecycle.verify(NAME)
    if wrong is not None:
        yield f"the chain is broken at {wrong}"
    history = lifecycle.history(NAME)
    for link in history:
        yield from (f"transition {link.seq}: {rule}" for rule in broken_invariants(link.route))
    if [link.seq for link in history] != list(range(1, len(history) + 1)):
        yield "the chain has a gap"
    known = {(str(link.seq), link.hash) for link in history}
    for line in read_lines(acknowledged):
        kind, *told = line.split()
        if kind == "link" and tuple(told) not in known:
            yield f"transition {told[0]} was acknowledged and is lost"
    epoch = lifecycle.epoch()
    if epoch < len(history):
        yield f"servers were told of {epoch} changes and there are {len(history)}"


def _labels(database: Database, site: Site, acknowledged: Path) -> Iterator[str]:
    with database.reading() as connection:
        rows = connection.execute(sa.text("SELECT prediction_id, value FROM labels"))
        kept = {str(each.prediction_id): json.loads(each.value) for each in rows}
    for line in read_lines(acknowledged):
        kind, *told = line.split()
        if kind == "label" and kept.get(told[0]) != int(told[1]):
            yield f"label {told[0]} was acknowledged and is lost"
    del site


def _versions(site: Site, acknowledged: Path) -> Iterator[str]:
    registry = Registry.open(site.settings)
    try:
        versions = registry.versions(NAME)
        for version in versions:
            try:
                load_pipeline(registry.find(str(version)).folder)
            except PromiseError as error:
                yield f"{version} cannot be loaded: {error}"
        known = {str(version.number) for version in versions}
        for line in read_lines(acknowledged):
            kind, *told = line.split()
            if kind == "version" and told[0] not in known:
                yield f"version {told[0]} was acknowledged and is lost"
    finally:
        registry.database.close()


def read_lines(path: Path) -> list[str]:
    """Return the whole lines of a file; a torn last one was not acknowledged."""
    if not path.exists():
        return []
    *whole, _ = path.read_text(encoding="utf-8").split("\n")
    return whole


if __name__ == "__main__":
    main(sys.argv[1:])
