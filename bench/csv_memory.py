"""A CSV of more than 100 MB, discovered within a bound on memory.

    python -m bench csv --memory 1GB --budget 120

Writes `fraud/handbook_transactions` of the data folder as CSV into a temporary folder, runs
`promise discover` on it by the command line, and samples what all its processes hold together.
Beside it: what pandas holds once it has only read the same file.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet

from bench.datasets import data_folder
from bench.watched import Ran, two_cores, watch

_PANDAS = "import sys, time, pandas; t = pandas.read_csv(sys.argv[1]); time.sleep(0.3)"


def main(arguments: list[str]) -> None:
    """Write, discover and print."""
    parser = argparse.ArgumentParser(prog="python -m bench csv", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--memory", default="1GB")
    parser.add_argument("--budget", type=float, default=120.0)
    options = parser.parse_args(arguments)
    two_cores()
    with tempfile.TemporaryDirectory(prefix="promise-csv-") as name:
        folder = Path(name)
        path = folder / "transactions.csv"
        source = data_folder() / "fraud" / "handbook_transactions.parquet"
        table = pyarrow.parquet.read_table(source)
        drop = [column for column in table.column_names if column == "TX_FRAUD_SCENARIO"]
        pyarrow.csv.write_csv(table.drop_columns(drop), path)  # the scenario tells the label
        rows, size_mb = table.num_rows, path.stat().st_size / 1e6
        del table
        print(f"{rows:,} rows, {size_mb:.0f} MB of CSV; --memory {options.memory}\n")
        peer = watch([sys.executable, "-c", _PANDAS, path], folder)
        ran = discover(path, folder, options.memory, options.budget)
        print("| | seconds | peak PSS |\n| --- | --- | --- |")
        print(f"| promise discover | {ran.seconds:.1f} | {ran.peak_mb:,.0f} MiB |")
        print(f"| pandas, reading it only | {peer.seconds:.1f} | {peer.peak_mb:,.0f} MiB |\n")
        if ran.code:
            raise SystemExit(f"the discovery failed: {ran.complaint}")
        story = json.loads(ran.out)
        board = story["leaderboard"]
        best = next(row for row in board["models"] if row["name"] == board["best"])
        print(f"best: {board['best']}, {board['metric']} {best['score']:.4f} on {board['split']}")
        print(f"estimated peak: {story['preflight']['peak_mb']:,.0f} MiB")


def discover(path: Path, folder: Path, memory: str, budget_s: float) -> Ran:
    """Run the discovery as a user would."""
    command: list[str | Path] = [
        *(Path(sys.executable).with_name("promise"), "discover", path, "--target", "TX_FRAUD"),
        *("--memory", memory, "--budget", f"{budget_s:g}s", "--out", folder / "out", "--json"),
    ]
    env = {"PROMISE_HOME": str(folder / "home")}
    return watch(command, folder, env=env, limit_s=3 * budget_s + 180)
