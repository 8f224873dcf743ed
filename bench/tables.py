"""Discovery on real tables beside FLAML and AutoGluon, under the same clock on the same two cores.

    python -m bench tables --budget 60 --peers flaml --out results.jsonl
    python -m bench tables --report results.jsonl

Each system runs in a process of its own, in turn on each table; Promise by its command line, the
way a user calls it. All predictions are scored by one function on the same rows. Every finished
run is one line of the results, so a run that was cut off goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.datasets import LEFT_OUT, SEED, Dataset, data_folder, datasets
from bench.environments import SCRIPTS, PeerMissing, peer_python, peer_version
from bench.report import markdown
from bench.watched import Ran, two_cores, watch

Array = npt.NDArray[Any]
Record = dict[str, Any]

_RESAMPLES = 200


@dataclass(frozen=True)
class Round:
    """One table made ready for all systems.

    Parameters
    ----------
    folder
        Holds `train.parquet` and `test.parquet`, the latter without the target.
    """

    dataset: Dataset
    folder: Path
    budget_s: float
    seed: int
    truth: Array
    learned: Array

    @property
    def limit_s(self) -> float:
        """When a system is ended by force: long after it should have ended by itself."""
        return 3 * self.budget_s + 180


def main(arguments: list[str]) -> None:
    """Run what is missing, then print the report as Markdown."""
    options = _options(arguments)
    if options.report is not None:
        print(markdown(read_records(options.report)))
        return
    systems = tuple(name for name in options.systems.split(",") if name)
    systems += tuple(name for name in options.peers.split(",") if name)
    only = tuple(name for name in options.only.split(",") if name)
    run(options.out, systems, only, options.budget, options.seed, again=options.again)
    print(markdown(read_records(options.out)))


def run(
    out: Path,
    systems: tuple[str, ...],
    only: tuple[str, ...],
    budget_s: float,
    seed: int,
    *,
    again: bool = False,
) -> None:
    """Append one line for each table and system that has none under this budget and seed."""
    out = out.resolve()
    two_cores()
    say(f"data: {data_folder()}; left out: " + "; ".join(f"{k}: {v}" for k, v in LEFT_OUT.items()))
    systems = _installed(systems)
    versions = {name: _version(name) for name in systems}
    for dataset in datasets(only):
        known = {
            r["system"]
            for r in read_records(out)
            if (r["table"], r["budget_s"], r["seed"]) == (dataset.name, budget_s, seed)
            and not (again and r.get("error"))
        }
        missing = [name for name in systems if name not in known]
        if not missing:
            continue
        with tempfile.TemporaryDirectory(prefix="promise-bench-") as folder:
            ready = prepare(dataset, Path(folder), budget_s, seed)
            for name in missing:
                record = one(ready, name)
                record["version"] = versions[name]
                append(out, record)
                told = record.get("error") or f"{record['metric']} {record['score']:.4f}"
                say(f"{dataset.name}: {name}: {told} in {record['wall_s']:.1f} s")


def prepare(dataset: Dataset, folder: Path, budget_s: float, seed: int) -> Round:
    """Split a table and write both parts."""
    train, test = dataset.split(dataset.load())
    train.to_parquet(folder / "train.parquet", index=False)
    test.drop(columns=[dataset.target]).to_parquet(folder / "test.parquet", index=False)
    return Round(dataset, folder, budget_s, seed, _values(test, dataset), _values(train, dataset))


def one(ready: Round, system: str) -> Record:
    """Run one system on one table and score what it wrote."""
    dataset, work = ready.dataset, ready.folder / system
    work.mkdir()
    predictions = work / "predictions.csv"
    record: Record = {
        "table": dataset.name,
        "system": system,
        "metric": dataset.metric,
        "budget_s": ready.budget_s,
        "seed": ready.seed,
        "split_seed": SEED,
        "train_rows": len(ready.learned),
        "test_rows": len(ready.truth),
        "baseline": score(dataset.metric, ready.truth, _trivial(ready)),
        "load_before": os.getloadavg()[0],
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "moment": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    ran, told = (
        run_promise(ready, work, predictions)
        if system == "promise"
        else run_peer(ready, system, work, predictions)
    )
    record |= {"wall_s": ran.seconds, "peak_mb": ran.peak_mb, **told}
    if ran.code or not predictions.exists():
        return {**record, "score": None, "error": told.get("error") or ran.complaint}
    try:
        found = _read(predictions, dataset)
        record["score"] = score(dataset.metric, ready.truth, found)
        record["ci"] = interval(dataset.metric, ready.truth, found)
    except (ValueError, KeyError) as error:
        return {**record, "score": None, "error": f"its predictions cannot be scored: {error}"}
    return record


def run_promise(ready: Round, work: Path, predictions: Path) -> tuple[Ran, Record]:
    """Discover and predict by the command line; wall time and memory are the discovery's."""
    promise = Path(sys.executable).with_name("promise")
    env = {"PROMISE_HOME": str(work / "home")}
    command: list[str | Path] = [
        *(promise, "discover", ready.folder / "train.parquet", "--name", "bench"),
        *("--target", ready.dataset.target, "--metric", ready.dataset.metric),
        *("--budget", f"{ready.budget_s:g}s", "--seed", str(ready.seed)),
        *("--out", work / "out", "--json"),
    ]
    ran = watch(command, work, env=env, limit_s=ready.limit_s)
    if ran.code:
        return ran, {}
    story = json.loads(ran.out)
    told = {
        "seconds": story["seconds"],
        "best": story["leaderboard"]["best"],
        "estimate_mb": story["preflight"]["peak_mb"],
        "rows_used": story["sample"]["rows_used"],
        "trials": story["race"]["trials"],
        "export": (story.get("export") or {}).get("parity"),
    }
    command = [promise, "predict", "bench", ready.folder / "test.parquet", "--out", predictions]
    answered = watch(command, work, env=env, limit_s=ready.limit_s)
    told["predict_seconds"] = answered.seconds
    if answered.code:
        told["error"] = answered.complaint
    return ran, told


def run_peer(ready: Round, system: str, work: Path, predictions: Path) -> tuple[Ran, Record]:
    """Run a peer's script in its own environment; its budget counts its search alone."""
    kind = ready.dataset.kind
    command = [
        *(peer_python(system), SCRIPTS / f"{system}_peer.py"),
        *(ready.folder / "train.parquet", ready.folder / "test.parquet", ready.dataset.target),
        *(kind, f"{ready.budget_s:g}", str(ready.seed), predictions),
    ]
    ran = watch(command, work, limit_s=ready.limit_s)
    return ran, ({} if ran.code else json.loads(ran.out.strip().splitlines()[-1]))


def score(metric: str, truth: Array, found: Array) -> float:
    """Return accuracy, or R² against the mean of the rows scored.

    Raises
    ------
    ValueError
        When there is not one usable answer for each row.
    """
    if len(found) != len(truth):
        raise ValueError(f"{len(found)} answers for {len(truth)} rows")
    if metric == "accuracy":
        return float(np.mean(found == truth))
    if not np.isfinite(found).all():
        raise ValueError("some answers are not finite numbers")
    spread = float(np.sum((truth - truth.mean()) ** 2))
    return 1.0 - float(np.sum((truth - found) ** 2)) / spread


def interval(metric: str, truth: Array, found: Array) -> tuple[float, float]:
    """Return a 95 % interval of the score, by bootstrap over the rows scored."""
    rng = np.random.default_rng(SEED)
    drawn = (rng.integers(0, len(truth), len(truth)) for _ in range(_RESAMPLES))
    scores = [score(metric, truth[rows], found[rows]) for rows in drawn]
    low, high = np.quantile(scores, (0.025, 0.975))
    return float(low), float(high)


def read_records(path: Path) -> list[Record]:
    """Return what was measured; a later line of the same table, system and budget replaces."""
    if not path.exists():
        return []
    latest: dict[tuple[Any, ...], Record] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:  # the line that was being written when the run was cut off
            continue
        latest[record["table"], record["system"], record["budget_s"], record["seed"]] = record
    return list(latest.values())


def append(path: Path, record: Record) -> None:
    """Add one line and make it last; a line cut short by a crash is closed first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if torn else "") + json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def say(line: str) -> None:
    """Tell the person who waits; standard output is for the report."""
    print(line, file=sys.stderr, flush=True)


def _values(table: pd.DataFrame, dataset: Dataset) -> Array:
    values = table[dataset.target]
    return _names(values) if dataset.kind == "class" else values.to_numpy(dtype=np.float64)


def _read(path: Path, dataset: Dataset) -> Array:
    """Read the `prediction` column as the target's values are read."""
    found = pd.read_csv(path, keep_default_na=False)["prediction"]
    return _names(found) if dataset.kind == "class" else found.to_numpy(dtype=np.float64)


def _names(values: pd.Series[Any]) -> Array:
    """Write classes one way, whatever way a system wrote them: 1.0 and 1 are the same class."""
    texts = values.astype(str).to_numpy(dtype=object)
    return np.array([text.removesuffix(".0") for text in texts], dtype=object)


def _trivial(ready: Round) -> Array:
    """Answer every row with the commonest class or the mean of the training rows."""
    if ready.dataset.kind == "number":
        return np.full(len(ready.truth), ready.learned.mean())
    names, counts = np.unique(ready.learned, return_counts=True)
    return np.full(len(ready.truth), names[np.argmax(counts)], dtype=object)


def _installed(systems: tuple[str, ...]) -> tuple[str, ...]:
    """Return the systems that can run here; say why the others cannot."""
    usable = []
    for name in systems:
        try:
            if name != "promise":
                peer_python(name)
            usable.append(name)
        except PeerMissing as error:
            say(str(error))
    return tuple(usable)


def _version(system: str) -> str:
    if system != "promise":
        return peer_version(system)
    from importlib.metadata import version

    return version("promise-ml")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench tables", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for each system")
    parser.add_argument("--only", default="", help="names of tables, by comma")
    parser.add_argument("--peers", default="flaml", help="flaml, autogluon or both, by comma")
    parser.add_argument("--systems", default="promise", help="promise, or empty for peers alone")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("results.jsonl"))
    parser.add_argument("--again", action="store_true", help="repeat what failed before")
    parser.add_argument("--report", type=Path, help="only print the report of these results")
    return parser.parse_args(arguments)
