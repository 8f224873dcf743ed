"""LightGBM continued from batch to batch: what a stream of batches costs beside a single fit.

Each batch's trees see that batch alone, and a class that a batch lacks is pushed down by it. It is
here to be compared with; `chunked_lightgbm` learns from every row of a stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.boosting import refuse_classes, renumbered
from promise.kernels.boosting_lightgbm import lightgbm_model, lightgbm_params

Array = npt.NDArray[Any]


def fit_lightgbm_continued(
    batches: Iterable[tuple[Array, Array]],
    *,
    n_batches: int,
    present: Sequence[int],
    n_classes: int,
    params: dict[str, Any],
    seed: int = 7,
    threads: int = 1,
) -> dict[str, Any]:
    """Learn `rounds` rounds in all, dealt out evenly over the batches in their order.

    Parameters
    ----------
    batches
        Rows float32 (n, d) and class codes.
    present
        The codes that come in any batch, ascending: each gets a tree in every round.
    params
        Promise's names; with fewer rounds than batches, some batches teach nothing.
    """
    import lightgbm

    refuse_classes(n_classes)
    meta: dict[str, Any] = {
        "n_classes": n_classes,
        "present": list(present),
        "shift": 0.0,
        "scale": 1.0,
    }
    if len(meta["present"]) == 1:
        return {**meta, "rounds": 0, "booster": None}
    ends = np.arange(n_batches + 1) * int(params["rounds"]) // n_batches
    booster = None
    for number, (x, y) in enumerate(batches):
        rounds = int(ends[number + 1] - ends[number])
        if rounds == 0:
            continue
        native = lightgbm_params(params, meta, seed + number, threads)
        rows = lightgbm.Dataset(np.asarray(x), renumbered(y, meta["present"]), params=native)
        booster = lightgbm.train(native, rows, num_boost_round=rounds, init_model=booster)
    return lightgbm_model(booster, meta, int(ends[-1]))
