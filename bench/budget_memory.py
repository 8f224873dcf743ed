"""Does a discovery end when it said, and hold what it said?

    python -m bench budget --budget 60

Runs Promise alone on the tables of `bench tables` and prints overshoot and memory estimates. The
report of `bench tables` has the same lines beside its peers'.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.report import budget_lines
from bench.tables import read_records, run


def main(arguments: list[str]) -> None:
    """Run what is missing, then print."""
    parser = argparse.ArgumentParser(prog="python -m bench budget", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of each discovery")
    parser.add_argument("--only", default="", help="names of tables, by comma")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("budget.jsonl"))
    options = parser.parse_args(arguments)
    only = tuple(name for name in options.only.split(",") if name)
    run(options.out, ("promise",), only, options.budget, options.seed)
    chosen = [r for r in read_records(options.out) if r["budget_s"] == options.budget]
    print("\n".join(budget_lines(chosen)))
