"""LightGBM on more rows than memory holds as floats: all chunks binned to a byte per value.

Never one model continued from chunk to chunk: its later trees would see the last chunk only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from promise.kernels.boosting import boost, boosting_labels, survey_target
from promise.kernels.boosting_lightgbm import (
    lightgbm_booster,
    lightgbm_categories,
    lightgbm_model,
    lightgbm_params,
    lightgbm_valid,
)
from promise.kernels.chunked import Chunks, hash_sample, in_batches, survey
from promise.kernels.chunked_checkpoint import read_checkpoint, write_checkpoint

Array = npt.NDArray[Any]

EDGE_VALUES = 2**22
PUSH_VALUES = 2**22


def fit_lightgbm_chunked(
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
    deadline_s: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Learn from all chunks, binned by edges from a hashed sample.

    An interrupted run goes on from its `checkpoint` folder on the same full data, with the former
    trees' sums as its start. Where rows or columns are sampled per round, the later draws differ
    from those of an uninterrupted run. Linear leaves need the raw values and are left out here.
    """
    import lightgbm

    found = survey(chunks, n_classes)
    meta = survey_target(found, n_classes)
    if len(meta["present"]) == 1:
        return {**meta, "rounds": 0, "booster": None}
    native = {**lightgbm_params(params, meta, seed, threads), "linear_tree": False}
    terms = {"params": params, "seed": seed, "survey": found}
    state = read_checkpoint(checkpoint, terms) or {"done": 0, "losses": [], "path": None}
    text = state["path"].read_text(encoding="utf-8") if state["path"] else None
    before = None if text is None else lightgbm_booster(text)
    edges = sampled_edges(chunks, found, lightgbm_categories(categorical, params), native)
    train = pushed(chunks, found["rows"], meta, edges, native, before)
    booster = lightgbm.Booster({**native, "seed": seed + state["done"]}, train)
    held = lightgbm_valid(valid, meta, train, native)
    if held is not None and valid is not None:
        if before is not None:
            held.set_init_score(before_score(before, held_rows(valid, meta)))
        booster.add_valid(held, "valid")

    def update(_: int) -> bool:
        return bool(booster.update())

    def evaluate() -> float:
        return float(booster.eval_valid()[0][2])

    def save(done: int, losses: list[float]) -> None:
        if checkpoint is not None and done % checkpoint_every == 0:
            trees = joined_trees(text, booster.model_to_string(num_iteration=-1))
            name, now = f"round-{done:06d}.txt", {"done": done, "losses": losses}
            write_checkpoint(
                checkpoint, terms, name, lambda path: path.write_text(trees, encoding="utf-8"), now
            )
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
    whole = lightgbm_booster(joined_trees(text, booster.model_to_string(num_iteration=-1)))
    return lightgbm_model(whole, meta, kept)


def sampled_edges(
    chunks: Chunks, found: dict[str, Any], categories: list[int] | str, native: dict[str, Any]
) -> Any:
    """Find bin edges on a hashed sample; LightGBM copies it as float64, which bounds its size."""
    import lightgbm

    rows = min(found["rows"], max(20_000, EDGE_VALUES // max(1, found["columns"])))
    x = np.ascontiguousarray(hash_sample(chunks, rows, native["seed"])[0], dtype=np.float32)
    labels = np.zeros(rows, dtype=np.float32)
    edges = lightgbm.Dataset(x, labels, categorical_feature=categories, params=native)
    return edges.construct()


def pushed(
    chunks: Chunks,
    rows: int,
    meta: dict[str, Any],
    edges: Any,
    native: dict[str, Any],
    before: Any,
) -> Any:
    """Push all chunks into one binned data set with the sample's edges.

    `before` is the model of an interrupted run, whose sums new trees start from.
    """
    import lightgbm

    labels = np.empty(rows, dtype=np.float32)
    starts: list[Array] = []
    size = max(1024, PUSH_VALUES // edges.num_feature())

    class Rows(lightgbm.Sequence):  # type: ignore[misc]
        """Reads forward only: LightGBM asks for slices of `batch_size`, in order."""

        batch_size = size

        def __init__(self) -> None:
            self.left = in_batches(chunks, size)

        def __len__(self) -> int:
            return rows

        def __getitem__(self, at: slice) -> Array:
            batch = next(self.left)
            x = np.ascontiguousarray(batch[0], dtype=np.float32)
            labels[at] = boosting_labels(batch[1], meta)
            if before is not None:
                starts.append(before_score(before, x))
            return x

    # The labels are filled while the rows are pushed, and read only after that.
    data = lightgbm.Dataset([Rows()], labels, reference=edges, params=native).construct()
    if starts:
        data.set_init_score(np.concatenate(starts))
    return data


def before_score(before: Any, x: Array) -> Array:
    """Return what the former trees add up to, per row (and class)."""
    return np.asarray(before.predict(x, raw_score=True), dtype=np.float64)


def held_rows(valid: tuple[Array, Array], meta: dict[str, Any]) -> Array:
    """Return the validation rows whose class was trained on."""
    if meta["n_classes"] == 0:
        return np.asarray(valid[0])
    return np.asarray(valid[0])[boosting_labels(valid[1], meta) >= 0]


def joined_trees(first: str | None, second: str) -> str:
    """Return one model, as text, whose sums are those of both; `first` may be None."""
    if first is None:
        return second
    head, _, rest = first.partition("\nTree=0\n")
    # Without sizes LightGBM reads the trees one after another.
    head = "\n".join(line for line in head.split("\n") if not line.startswith("tree_sizes="))
    mine, mark, tail = ("Tree=0\n" + rest).partition("end of trees")
    more = second.partition("end of trees")[0].partition("\nTree=0\n")
    if not more[2]:
        return first
    trees = (mine + "Tree=0\n" + more[2]).split("Tree=")[1:]
    numbered = [f"Tree={i}\n{tree.partition(chr(10))[2]}" for i, tree in enumerate(trees)]
    whole = lightgbm_booster(head + "\n" + "".join(numbered) + mark + tail)
    return str(whole.model_to_string(num_iteration=-1))
