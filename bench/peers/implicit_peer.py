"""The peer `implicit`: python implicit_peer.py FOLDER FACTORS ALPHA REGULARIZATION SWEEPS THREADS.

Reads `starts.npy`, `others.npy` and `n_chosen.npy` in the folder, writes `choosers.npy` and
`chosen.npy` and prints the seconds of the fit and of its processor as JSON. Models whose products
rank are judged alike afterwards, by the code that judges all.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix


def main(folder: Path, factors: int, alpha: float, decay: float, sweeps: int, threads: int) -> None:
    """Learn and write the vectors."""
    starts, others = np.load(folder / "starts.npy"), np.load(folder / "others.npy")
    shape = (len(starts) - 1, int(np.load(folder / "n_chosen.npy")))
    pairs = csr_matrix((np.ones(len(others), np.float32), others, starts), shape=shape)
    model = AlternatingLeastSquares(
        factors=factors, alpha=alpha, regularization=decay, iterations=sweeps,
        num_threads=threads, random_state=7,
    )  # fmt: skip
    began, worked = time.monotonic(), time.process_time()
    model.fit(pairs, show_progress=False)
    told = {"seconds": time.monotonic() - began, "cpu": time.process_time() - worked}
    np.save(folder / "choosers.npy", np.asarray(model.user_factors))
    np.save(folder / "chosen.npy", np.asarray(model.item_factors))
    print(json.dumps(told))


if __name__ == "__main__":
    main(
        Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]),
        int(sys.argv[5]), int(sys.argv[6]),
    )  # fmt: skip
