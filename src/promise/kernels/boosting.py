"""What both boosting libraries share: labels as they want them, the loop, classes spread back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

CLASS_LIMIT = 1000


def boosting_target(y: Array, n_classes: int) -> tuple[Array, dict[str, Any]]:
    """Return labels for learning and what turns answers back.

    Numbers are centred and scaled, because both libraries keep labels as float32, where a large
    offset would drown the differences. Classes are renumbered to those present.
    """
    if n_classes == 0:
        shift, spread = float(np.mean(y)), float(np.std(y))
        scale = spread if np.isfinite(spread) and spread > 0 else 1.0
        return scaled_target(y, shift, scale), _meta(0, [], shift, scale)
    refuse_classes(n_classes)
    present = [int(code) for code in np.unique(y)]
    return renumbered(y, present), _meta(n_classes, present, 0.0, 1.0)


def survey_target(found: dict[str, Any], n_classes: int) -> dict[str, Any]:
    """Return what `boosting_target` says beside the labels, from a survey of all chunks."""
    refuse_classes(n_classes)
    if n_classes:
        present = [code for code, count in enumerate(found["counts"]) if count]
        return _meta(n_classes, present, 0.0, 1.0)
    scale = found["std"] if np.isfinite(found["std"]) and found["std"] > 0 else 1.0
    return _meta(0, [], found["mean"], scale)


def refuse_classes(n_classes: int) -> None:
    """Raise where the trees would be too many to grow or keep."""
    if n_classes > CLASS_LIMIT:
        raise ValueError(
            f"boosting grows one tree per class and round, and {n_classes:,} classes are more "
            f"than its {CLASS_LIMIT:,}: merge rare classes, or choose linear or random_forest."
        )


def _meta(n_classes: int, present: list[int], shift: float, scale: float) -> dict[str, Any]:
    return {"n_classes": n_classes, "present": present, "shift": shift, "scale": scale}


def scaled_target(y: Array, shift: float, scale: float) -> Array:
    """Return numbers on the scale of learning, float32."""
    return ((np.asarray(y, dtype=np.float64) - shift) / scale).astype(np.float32)


def renumbered(y: Array, present: list[int]) -> Array:
    """Return class codes as positions in `present`, float32; -1 for a class that is absent."""
    position = np.full(max(int(np.max(y, initial=0)), *present) + 1, -1.0, dtype=np.float32)
    position[present] = np.arange(len(present))
    numbers: Array = position[np.asarray(y, dtype=np.int64)]
    return numbers


def boosting_labels(y: Array, meta: dict[str, Any]) -> Array:
    """Return other rows' labels on the scale of learning; -1 for a class that is absent."""
    if meta["n_classes"] == 0:
        return scaled_target(y, meta["shift"], meta["scale"])
    present: list[int] = meta["present"]
    return renumbered(y, present)


def boost(
    update: Callable[[int], bool],
    evaluate: Callable[[], float] | None,
    params: dict[str, Any],
    *,
    deadline_s: float | None = None,
    history: list[float] | None = None,
    done: int = 0,
    save: Callable[[int, list[float]], None] | None = None,
) -> int:
    """Run rounds until they are used up, stop helping, or time is out; return how many to keep.

    `update(i)` learns round i and says whether nothing is left to learn; `evaluate()` is the loss
    on the validation rows. `history` and `done` continue an interrupted run; `save` is called
    after every round.
    """
    losses = list(history or [])
    patience = int(params.get("early_stopping", 0))
    for i in range(done, int(params["rounds"])):
        began = time.monotonic()
        finished = update(i)
        if evaluate is not None:
            losses.append(evaluate())
        if save is not None:
            save(i + 1, losses)
        done = i + 1
        waited = done - 1 - int(np.argmin(losses)) if losses else 0
        now = time.monotonic()
        # The next round would take about as long as this one did.
        late = deadline_s is not None and now + (now - began) > deadline_s
        if finished or late or (patience > 0 and waited >= patience):
            break
    return int(np.argmin(losses)) + 1 if losses else done


def boosting_answer(raw: Array, meta: dict[str, Any]) -> Array:
    """Return a library's output as float64 numbers (n,) or probabilities (n, n_classes)."""
    raw = np.asarray(raw, dtype=np.float64)
    if meta["n_classes"] == 0:
        numbers: Array = raw * meta["scale"] + meta["shift"]
        return numbers
    present = meta["present"]
    if raw.ndim == 1:
        raw = np.stack([1.0 - raw, raw], axis=1)
    else:
        # Float32 probabilities add up to one within 1e-7 only.
        raw = raw / np.add.reduce(raw, axis=1, keepdims=True)
    if len(present) == meta["n_classes"]:
        return raw
    spread = np.zeros((len(raw), meta["n_classes"]))
    spread[:, present] = raw
    return spread


def constant_answer(n_rows: int, meta: dict[str, Any]) -> Array:
    """Return the answer of a model that saw one class only."""
    answer = np.zeros((n_rows, meta["n_classes"]))
    answer[:, meta["present"]] = 1.0
    return answer


def boosting_contributions(raw: Array, meta: dict[str, Any]) -> Array:
    """Return contributions (n, d + 1), or (n, n_classes, d + 1), on the margin scale.

    `raw` is (n, d + 1) or (n, classes present, d + 1).
    """
    raw = np.asarray(raw, dtype=np.float64)
    if meta["n_classes"] == 0:
        raw = raw * meta["scale"]
        raw[:, -1] += meta["shift"]
        return raw
    if meta["n_classes"] == 2:
        return raw
    present = meta["present"]
    spread = np.zeros((len(raw), meta["n_classes"], raw.shape[-1]))
    if raw.ndim == 2:
        spread[:, present[1]] = raw
    else:
        spread[:, present] = raw
    return spread
