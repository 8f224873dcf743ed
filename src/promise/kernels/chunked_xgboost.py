"""XGBoost on more rows than memory holds: quantile bins shared by all chunks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.boosting import boost, boosting_labels, survey_target
from promise.kernels.boosting_xgboost import (
    xgboost_model,
    xgboost_params,
    xgboost_types,
    xgboost_valid,
)
from promise.kernels.chunked import Chunks, in_batches, survey
from promise.kernels.chunked_checkpoint import read_checkpoint, write_checkpoint

Array = npt.NDArray[Any]

BATCH_VALUES = 2**22
PAGE_VALUES = 2**23


def fit_xgboost_chunked(
    chunks: Chunks,
    n_classes: int,
    params: dict[str, Any],
    *,
    valid: tuple[Array, Array] | None = None,
    categorical: tuple[int, ...] = (),
    seed: int = 7,
    threads: int = 1,
    checkpoint: Path | None = None,
    checkpoint_every: int = 50,
    external: Path | None = None,
    deadline_s: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Learn from all chunks through shared quantile bins: one byte per value in memory.

    With `external`, a folder, the bins are kept on disk and fetched page by page. `checkpoint`,
    a folder, lets an interrupted run go on to the very trees it would have grown.
    """

    found = survey(chunks, n_classes)
    meta = survey_target(found, n_classes)
    if len(meta["present"]) == 1:
        return {**meta, "rounds": 0, "booster": None}
    native = xgboost_params(params, meta, seed, threads)
    types = xgboost_types(found["columns"], categorical, params)
    train = shared_bins(chunks, found["columns"], meta, types, native, external)
    held = xgboost_valid(valid, meta, train, threads)
    terms = {"params": params, "seed": seed, "survey": found, "every": checkpoint_every}
    booster, kept = grow_in_stretches(
        train, held, native, terms, checkpoint=checkpoint, deadline_s=deadline_s, progress=progress
    )
    return xgboost_model(booster, meta, kept)


def grow_in_stretches(
    train: Any,
    held: Any,
    native: dict[str, Any],
    terms: dict[str, Any],
    *,
    checkpoint: Path | None,
    deadline_s: float | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[Any, int]:
    """Run the rounds with a checkpoint after each stretch; returns the booster, rounds to keep.

    The state of the samplers cannot be saved. Starting them anew after every stretch, whether or
    not the run was interrupted, makes a resumed run equal to one that never stopped.
    """
    import xgboost

    params = terms["params"]
    state = read_checkpoint(checkpoint, terms) or {"done": 0, "losses": [], "path": None}

    def begin(start: Path | bytearray | None, done: int) -> Any:
        booster = xgboost.Booster(native, [train], model_file=start)
        booster.set_param({**native, "seed": native["seed"] + done})
        return booster

    booster = begin(state["path"], state["done"])

    def update(i: int) -> bool:
        booster.update(train, i)
        return False

    def evaluate() -> float:
        return float(booster.eval_set([(held, "valid")]).rsplit(":", 1)[1])

    def save(done: int, losses: list[float]) -> None:
        nonlocal booster
        if done % terms["every"] == 0:
            raw = booster.save_raw("ubj")
            if checkpoint is not None:
                name, now = f"round-{done:06d}.ubj", {"done": done, "losses": losses}
                write_checkpoint(checkpoint, terms, name, lambda path: path.write_bytes(raw), now)
            booster = begin(raw, done)
        if progress is not None:
            progress(done, int(params["rounds"]))

    kept = boost(
        update,
        None if held is None else evaluate,
        params,
        deadline_s=deadline_s,
        history=state["losses"],
        done=state["done"],
        save=save,
    )
    return booster, kept


def shared_bins(
    chunks: Chunks,
    width: int,
    meta: dict[str, Any],
    types: list[str] | None,
    native: dict[str, Any],
    external: Path | None,
) -> Any:
    """Cut all chunks into the same quantile bins, in memory or in a folder."""
    import xgboost

    rows = max(1024, (BATCH_VALUES if external is None else PAGE_VALUES) // width)

    class Batches(xgboost.DataIter):  # type: ignore[misc]
        """Feeds XGBoost batch by batch, as often as it asks."""

        def __init__(self) -> None:
            super().__init__(cache_prefix=None if external is None else str(external / "bins"))
            self.left = in_batches(chunks, rows)

        def next(self, input_data: Callable[..., None]) -> bool:
            """Hand over the next batch; false after the last."""
            batch = next(self.left, None)
            if batch is None:
                return False
            data = np.ascontiguousarray(batch[0], dtype=np.float32)
            input_data(data=data, label=boosting_labels(batch[1], meta), feature_types=types)
            return True

        def reset(self) -> None:
            """Start a new pass."""
            self.left = in_batches(chunks, rows)

    make = xgboost.QuantileDMatrix if external is None else xgboost.ExtMemQuantileDMatrix
    return make(
        Batches(), max_bin=native["max_bin"], nthread=native["nthread"], enable_categorical=True
    )
