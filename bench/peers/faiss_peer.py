"""The peer FAISS: python faiss_peer.py FOLDER HALF THREADS.

Reads `rows.npy` and `queries.npy` in the folder; the first HALF of the queries choose how many
lists are opened, for the others `found.npy` is written. Prints what it took as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import faiss
import numpy as np

WANTED, K, SPARE, SAMPLE = 0.96, 100, 2, 200


def main(folder: Path, half: int, threads: int) -> None:
    """Build, search, and tell."""
    rows, queries = np.load(folder / "rows.npy"), np.load(folder / "queries.npy")
    faiss.omp_set_num_threads(threads)
    began, worked = time.monotonic(), time.process_time()
    lists = int(2 ** np.round(np.log2(4 * np.sqrt(len(rows)))))
    file = faiss.index_factory(rows.shape[1], f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    file.cp.seed, file.cp.niter = 7, 8
    file.cp.min_points_per_centroid, file.cp.max_points_per_centroid = 1, 64
    rng = np.random.default_rng(7)
    file.train(rows[np.sort(rng.permutation(len(rows))[: 64 * lists])])
    file.add(rows)
    asked = queries[:half][np.sort(rng.permutation(half)[:SAMPLE])]
    truth = faiss.knn(asked, rows, K, metric=faiss.METRIC_INNER_PRODUCT)[1]
    file.nprobe = 1
    while recall(file, rows, asked, truth) < WANTED and file.nprobe < lists:
        file.nprobe = min(lists, max(file.nprobe + 1, file.nprobe * 5 // 4))
    seconds, cpu = time.monotonic() - began, time.process_time() - worked
    faiss.omp_set_num_threads(1)
    asked = queries[half:]
    searched(file, rows, asked[0])
    waits, burnt, found = [], time.process_time(), []
    for query in asked:
        start = time.perf_counter()
        found.append(searched(file, rows, query))
        waits.append(1000 * (time.perf_counter() - start))
    burnt = time.process_time() - burnt
    np.save(folder / "found.npy", np.array(found))
    faiss.write_index(file, str(folder / "file"))
    size = (folder / "file").stat().st_size / 2**20
    told = {
        "rows": len(rows), "build_seconds": seconds, "build_cpu_seconds": cpu,
        "lists": lists, "opened": file.nprobe,
        "p50_ms": float(np.quantile(waits, 0.5)), "p99_ms": float(np.quantile(waits, 0.99)),
        "cpu_ms": 1000 * burnt / len(asked), "saved_mb": size,
        "reader_mb": size,  # not measured: it is read, not mapped, so that each has its own
    }  # fmt: skip
    print(json.dumps(told))


def searched(file: faiss.Index, rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return the best by the rows themselves."""
    near = file.search(query[None], SPARE * K)[1][0]
    near = near[near >= 0]
    scores = rows[near] @ query
    best = np.full(K, -1)
    order = np.lexsort((near, -scores))[:K]
    best[: len(order)] = near[order]
    return best


def recall(file: faiss.Index, rows: np.ndarray, asked: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of the true best that is found."""
    shares = [np.isin(best, searched(file, rows, q)) for q, best in zip(asked, truth, strict=True)]
    return float(np.mean(shares))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
