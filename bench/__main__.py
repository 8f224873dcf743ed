"""Run the benches: python -m bench [NAME [OPTIONS]]; without a name all of them, in turn."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

BENCHES: dict[str, tuple[str, tuple[str, ...]]] = {
    "install": ("core install size and import time", ()),
    "engine": ("start of work and the memory model's constants", ()),
    "profile": ("profile and checks of 100 million rows", ("--rows", "100000000")),
    "csv": ("a CSV of over 100 MB within --memory 1GB", ("--memory", "1GB")),
    "rollouts": ("false rollbacks and time to notice, 10,000 simulated rollouts", ()),
    "restore": ("restore of 10,000 versions' metadata and the live artifacts", ()),
    "failpoints": ("kill -9 at every failpoint of a promotion, 1,000 seeded runs", ()),
    "serving": ("CPU and latency of one HTTP prediction beside LitServe and MLflow", ()),
    "hot_swaps": ("a thousand deployments under load: failed requests", ()),
    "features": ("feature views: replay events/s, online µs, differing values", ()),
    "fraud": (
        "fraud: prequential average precision, calibration; --part arms, presets, memory",
        (),
    ),
    "stores": ("one exchange of event state in each store: µs, p99", ()),
    "domains": ("domain names beside peers: three splits, unknown, updates, scale, speed", ()),
    "articles_quality": (
        "articles: the ladder beside TF-IDF, sentence vectors and the first design",
        (),
    ),
    "articles_throughput": (
        "articles: encoder batches, caches, rungs a second, 100,000 at once with a kill",
        (),
    ),
    "fraud_serving": ("a transaction over HTTP: p50, p99 by store and number of features", ()),
    "matching_finder": ("one request for people without a server, beside looking at everybody", ()),
    "matching_serving": ("lists of people over HTTP at a million: p50, p99, likes, import", ()),
    "matching_quality": ("speed dating, whole waves held out: one side's yes or both", ()),
    "collaborative": ("Gowalla beside implicit, full ranking; the vector index at a size", ()),
    "tables": ("discovery beside FLAML on real tables", ("--budget", "60")),
    "budget": ("overshoot and memory estimates of discovery alone", ("--budget", "60")),
}
"""Name to what it measures, and its arguments when none are given."""

IN_ALL = (
    "install",
    "engine",
    "profile",
    "csv",
    "rollouts",
    "restore",
    "failpoints",
    "serving",
    "hot_swaps",
    "features",
    "fraud",
    "stores",
    "domains",
    "collaborative",
    "tables",
)
_SCRIPTS = {"engine": "engine.py", "profile": "profile_large.py"}
_MODULES = {"csv": "csv_memory", "budget": "budget_memory"}  # the others keep their names


def run(name: str, arguments: list[str]) -> None:
    """Run one bench; its defaults apply where no argument is given."""
    chosen = arguments or list(BENCHES[name][1])
    if name in _SCRIPTS:
        script = Path(__file__).with_name(_SCRIPTS[name])
        subprocess.run([sys.executable, str(script), *chosen], check=True)
    else:
        import_module(f"bench.{_MODULES.get(name, name)}").main(chosen)


def main(arguments: list[str]) -> None:
    """Run the bench that is named, or all."""
    if not arguments:
        for name in IN_ALL:
            print(f"\n## {name}: {BENCHES[name][0]}\n", flush=True)
            run(name, [])
        return
    name, *rest = arguments
    if name not in BENCHES:
        lines = [f"  {key:<15}{what}" for key, (what, _) in BENCHES.items()]
        asked = name in ("-h", "--help", "list")
        print("\n".join([__doc__ or "", *lines]), file=sys.stdout if asked else sys.stderr)
        raise SystemExit(0 if asked else f"there is no bench {name!r}")
    run(name, rest)


if __name__ == "__main__":
    main(sys.argv[1:])
