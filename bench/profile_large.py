"""Profile and check a generated table that is far larger than the memory allowed for it.

    python bench/profile_large.py --rows 100000000

The table is written as Parquet into a temporary folder (about 50 bytes a row) and deleted in the
end. A child process profiles it; this one samples the child's proportional set size (PSS) every
50 ms. The printed row stands beside DuckDB's `SUMMARIZE` of the same file in the same run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

CHUNK = 1_000_000

PROFILE = """
import json, sys, time
from promise.data.infer import infer_schema
from promise.data.source import open_source
from promise.profiling.checks import check_profile
from promise.profiling.profile import profile_source
source = open_source(sys.argv[1])
schema = infer_schema(source)
found = profile_source(source, schema, target="label", threads=int(sys.argv[2]))
began = time.monotonic()
findings = check_profile(found, schema, target="label", time="moment")
print(json.dumps({"profile_s": found.seconds, "check_s": time.monotonic() - began,
                  "distinct": {c.name: c.distinct for c in found.columns},
                  "findings": [f.check + " " + ",".join(f.columns) for f in findings]}))
"""
SUMMARIZE = """
import sys, duckdb
duckdb.execute("SET threads = " + sys.argv[2])
duckdb.execute("SET memory_limit = '1500MB'")
duckdb.execute(f"SUMMARIZE SELECT * FROM read_parquet('{sys.argv[1]}')").fetchall()
print("{}")
"""


def chunk(first: int, rows: int, rng: np.random.Generator) -> pa.Table:
    """Return rows of ten columns: a key, a time, numbers, categories, codes and a label."""
    number = np.arange(first, first + rows)
    amount = np.round(rng.lognormal(3, 1, rows), 2)
    balance = rng.normal(1000, 250, rows)
    hour = number // 5000 % 24
    shop = rng.zipf(1.3, rows) % 5000
    risk = 1 / (1 + np.exp(-(0.02 * amount - 4 + 0.3 * (shop % 7 == 0))))
    country = np.array(["de", "fr", "es", "it", "pl", "nl", "unknown"])
    customer = pa.array(rng.integers(0, 10_000_000, rows)).cast(pa.string())
    moment = np.datetime64("2025-01-01T00:00:00", "us") + number.astype("timedelta64[s]")
    return pa.table(
        {
            "record_id": number,
            "moment": moment,
            "amount": amount,
            "balance": pa.array(balance, mask=rng.random(rows) < 0.03),
            "hour": hour.astype(np.int16),
            "retries": rng.poisson(0.3, rows).astype(np.int32),
            "country": pa.array(country[rng.integers(0, len(country), rows)]),
            "shop": pc.binary_join_element_wise("s", pa.array(shop).cast(pa.string()), ""),
            "customer": pc.binary_join_element_wise("c", customer, ""),
            "label": (rng.random(rows) < risk).astype(np.int8),
        }
    )


def write(path: Path, rows: int, seed: int) -> None:
    """Write the table in row groups of a million."""
    rng = np.random.default_rng(seed)
    writer = None
    for first in range(0, rows, CHUNK):
        table = chunk(first, min(CHUNK, rows - first), rng)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="snappy")
        writer.write_table(table)
        print(f"\rwriting {first + table.num_rows:,} rows", end="", file=sys.stderr, flush=True)
    if writer is not None:
        writer.close()
    print(file=sys.stderr)


def measure(code: str, path: Path, threads: int) -> tuple[dict[str, Any], float, float]:
    """Run the code in a child; return what it printed, seconds, and peak PSS in MB."""
    from promise.engine.memory import family_pss_mb

    began = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(threads)], stdout=subprocess.PIPE, text=True
    )
    peak = 0.0
    while child.poll() is None:
        peak = max(peak, family_pss_mb(child.pid))
        time.sleep(0.05)
    seconds = time.monotonic() - began
    assert child.stdout is not None
    printed = child.stdout.read()
    if child.returncode:
        raise SystemExit(f"the child ended with {child.returncode}")
    return json.loads(printed.strip().splitlines()[-1]), seconds, peak


def main() -> None:
    """Generate, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=None, help="where the temporary file goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "large.parquet"
        write(path, options.rows, options.seed)
        size = path.stat().st_size / 2**30
        found, seconds, peak = measure(PROFILE, path, options.threads)
        _, peer_seconds, peer_peak = measure(SUMMARIZE, path, options.threads)
    print(f"{options.rows:,} rows x 10 columns, {size:.2f} GiB Parquet, {options.threads} threads")
    print(f"{'':24}{'seconds':>10}{'rows/s':>14}{'peak PSS MB':>14}")
    for name, s, mb in (
        ("promise profile + checks", seconds, peak),
        ("duckdb SUMMARIZE", peer_seconds, peer_peak),
    ):
        print(f"{name:24}{s:>10.1f}{options.rows / s:>14,.0f}{mb:>14.0f}")
    print(f"of which profile {found['profile_s']:.1f} s, checks {found['check_s']:.1f} s")
    print("distinct:", ", ".join(f"{k} {v:,}" for k, v in found["distinct"].items()))
    print("findings:", "; ".join(found["findings"]))


if __name__ == "__main__":
    main()
