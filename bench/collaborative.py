"""Who chooses whom: collaborative sources on Gowalla beside a peer, and the vector index.

    python -m bench collaborative --only gowalla

`gowalla` learns from the official split's training part and ranks everything not seen in it for
every test user: no sampling. All models are judged by the same code. `planted` measures the index
over generated vectors with planted neighbourhoods, `trained` over vectors learned from Gowalla.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench import collaborative_index
from bench.collaborative_data import Split, gowalla, judged, ranked
from bench.environments import SCRIPTS, PeerMissing, peer_python, peer_version
from bench.watched import two_cores
from promise.job import Job
from promise.models.collaborative import Recommender
from promise.models.factorization import Factorization
from promise.models.graph_filter import FittedGraphFilter, GraphFilter
from promise.models.implicit import ImplicitFactors

Record = dict[str, Any]
Scores = Callable[[np.ndarray], np.ndarray]
THREADS = 2

SOURCES: dict[str, Recommender] = {
    "factorisation, 64-d, 100 epochs (reference)": Factorization(),
    "implicit factors, 128-d": ImplicitFactors(),
    "implicit factors, 256-d": ImplicitFactors(size=256),
    "graph filter, 256-d": GraphFilter(),
}
"""Each by its defaults, but for what the name says."""

PEERS = ((64, 100.0, 10.0), (256, 100.0, 10.0))
"""Factors, alpha and regularisation of the peer: the best of five pairs on held-out likes of the
training part, (1, 0.01), (40, 1), (100, 10), (300, 1) and (300, 10), with 64 factors."""

HEADER = (
    "| source | Recall@20 | NDCG@20 | fit s (CPU s) | fit and ranking s (CPU s) |\n"
    "|---|---:|---:|---:|---:|"
)


def sources(split: Split, chosen: str) -> Iterator[Record]:
    """Yield what each source reaches, popularity first and the peer last."""
    if chosen in "popularity":
        popular = split.train.transposed().counts.astype(np.float32)
        yield reached("popularity", split, lambda rows: np.tile(popular, (len(rows), 1)), 0, 0)
    for name, source in SOURCES.items():
        if chosen not in name:
            continue
        began, worked = time.monotonic(), time.process_time()
        fitted = source.fit(split.train, Job(threads=THREADS))
        seconds, cpu = time.monotonic() - began, time.process_time() - worked

        def scores(rows: np.ndarray, fitted: Any = fitted) -> np.ndarray:
            more = (THREADS,) if isinstance(fitted, FittedGraphFilter) else ()
            found: np.ndarray = fitted.scores(rows, *more)
            return found

        yield reached(name, split, scores, seconds, cpu)
    if chosen in "implicit als":
        yield from (peer(split, *terms) for terms in PEERS)


def reached(name: str, split: Split, scores: Scores, seconds: float, cpu: float) -> Record:
    """Rank for every test user and judge."""
    began, worked = time.monotonic(), time.process_time()
    told = judged(ranked(scores, split), split)
    return {
        "source": name,
        **told,
        "fit_seconds": seconds,
        "fit_cpu": cpu,
        "seconds": seconds + time.monotonic() - began,
        "cpu": cpu + time.process_time() - worked,
    }


def peer(split: Split, factors: int, alpha: float, decay: float) -> Record:
    """Let `implicit` learn in its own environment, and judge its vectors here."""
    name = f"implicit {peer_version('implicit')} ALS, {factors}-d"
    with tempfile.TemporaryDirectory(prefix="promise-collaborative-") as place:
        folder = Path(place)
        split.train.save(folder)
        command = [
            *(peer_python("implicit"), SCRIPTS / "implicit_peer.py", folder),
            *(str(factors), str(alpha), str(decay), "15", str(THREADS)),
        ]
        env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
        told = json.loads(done.stdout.strip().splitlines()[-1])
        choosers, chosen = (np.load(folder / f"{name}.npy") for name in ("choosers", "chosen"))
    return reached(
        name, split, lambda rows: choosers[rows] @ chosen.T, told["seconds"], told["cpu"]
    )


def row_of(record: Record) -> str:
    """Return one row of the table."""
    return (
        f"| {record['source']} | {record['recall_at_20']:.4f} ± {record['recall_ci']:.4f} "
        f"| {record['ndcg_at_20']:.4f} ± {record['ndcg_ci']:.4f} "
        f"| {record['fit_seconds']:.0f} ({record['fit_cpu']:.0f}) "
        f"| {record['seconds']:.0f} ({record['cpu']:.0f}) |"
    )


def over_gowalla(options: argparse.Namespace) -> list[Record]:
    """Print one table of sources."""
    split, records = gowalla(), []
    print(f"{split.train.nnz:,} likes to learn from, {len(split.users):,} users judged\n")
    print(HEADER, flush=True)
    try:
        for record in sources(split, options.source):
            records.append(record)
            print(row_of(record), flush=True)
    except PeerMissing as error:
        print(f"left out: {error}")
    return records


def over_planted(options: argparse.Namespace) -> list[Record]:
    """Print one table of indexes over generated vectors."""
    records = []
    print(collaborative_index.HEADER, flush=True)
    for n in (int(float(text)) for text in options.rows.split(",")):
        world = collaborative_index.planted(n, 64)
        records += beside("planted", world.rows, world.queries, options.peers)
        del world
    return records


def over_trained(options: argparse.Namespace) -> list[Record]:
    """Print one table of indexes over vectors learned from Gowalla; choosers ask for the chosen."""
    records, split = [], gowalla()
    print(collaborative_index.HEADER, flush=True)
    for name in ("factorisation", "implicit factors, 128", "graph filter"):
        if options.source not in name:
            continue
        source = next(source for key, source in SOURCES.items() if key.startswith(name))
        fitted = source.fit(split.train, Job(threads=THREADS))
        some = np.random.default_rng(7).permutation(len(fitted.choosers))[:2000]
        asked = fitted.choosers[some]
        records += beside(name.split(",")[0], fitted.chosen, asked, options.peers)
    return records


def beside(what: str, rows: np.ndarray, queries: np.ndarray, peers: str) -> list[Record]:
    """Measure our index, and FAISS where it is among the peers, and print a row of each."""
    records = [collaborative_index.measured(what, rows, queries, THREADS)]
    print(collaborative_index.row_of(records[0]), flush=True)
    try:
        if "faiss" in peers.split(","):
            records.append(collaborative_index.peer(what, rows, queries, THREADS))
            print(collaborative_index.row_of(records[-1]), flush=True)
    except PeerMissing as error:
        print(f"left out: {error}")
    return records


SECTIONS = {"gowalla": over_gowalla, "planted": over_planted, "trained": over_trained}


def main(arguments: list[str]) -> None:
    """Run the sections that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench collaborative", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", default=",".join(SECTIONS), help="comma-separated sections")
    parser.add_argument("--source", default="", help="only sources whose name has this in it")
    parser.add_argument("--rows", default="1e6", help="sizes of the planted index, by comma")
    parser.add_argument("--peers", default="faiss", help="beside the index; empty for none")
    parser.add_argument("--out", type=Path, default=None, help="JSON lines are appended to it")
    options = parser.parse_args(arguments)
    strange = [name for name in options.only.split(",") if name not in SECTIONS]
    if strange:
        raise SystemExit(f"there is no {strange[0]!r}; sections: {', '.join(SECTIONS)}")
    two_cores()
    for name in options.only.split(","):
        print(f"\n### {name}\n", flush=True)
        records = SECTIONS[name](options)
        if options.out is not None:
            lines = [json.dumps({"section": name, **record}) for record in records]
            with options.out.open("a", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
