"""Linear models on more rows than memory holds: sums over all chunks, whatever their order.

Gradients and products are sums over rows, so a pass over the chunks gives those of all the data.
Stepping chunk by chunk instead (`partial_fit`) would follow the order of the file: sorted by its
label, it would end on the last class.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from promise.kernels.chunked import Chunks, hash_sample, survey
from promise.kernels.chunked_checkpoint import read_checkpoint, write_checkpoint
from promise.kernels.linear import expanded_blocks, expanded_size, fit_linear, log_loss_gradient

Array = npt.NDArray[Any]

START_VALUES = 2**22


def fit_linear_chunked(
    chunks: Chunks,
    n_classes: int,
    params: dict[str, Any],
    *,
    seed: int = 7,
    threads: int = 1,
    checkpoint: Path | None = None,
    passes: int = 12,
    deadline_s: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Fit on a hashed sample, which fixes scales and penalty, then on the sums of all rows.

    A number takes one more pass and is exact. Classes take up to `passes`, from the sample's
    solution on; a `checkpoint` folder keeps the solution after each.
    """
    found = survey(chunks, n_classes)
    rows = min(found["rows"], START_VALUES // max(1, found["columns"]))
    x, y, *_ = hash_sample(chunks, rows, seed)
    model = fit_linear(x, y, n_classes, params, seed=seed, threads=threads, deadline_s=deadline_s)
    if rows == found["rows"] or (deadline_s is not None and time.monotonic() > deadline_s):
        return model
    with threadpool_limits(limits=threads):
        if n_classes == 0:
            return ridge_of_chunks(model, chunks, found)
        terms = {"params": params, "seed": seed, "survey": found}
        return logistic_of_chunks(model, chunks, terms, checkpoint, passes, deadline_s, progress)


def ridge_of_chunks(model: dict[str, Any], chunks: Chunks, found: dict[str, Any]) -> dict[str, Any]:
    """Solve ridge regression from the products of all rows, summed in one pass."""
    size, n = expanded_size(model), found["rows"]
    gram, moment, total = np.zeros((size, size)), np.zeros(size), np.zeros(size)
    for x, y, *_ in chunks():
        for start, z in expanded_blocks(model, x):
            gram += z.T @ z
            moment += z.T @ (y[start : start + len(z)] - found["mean"])
            total += z.sum(axis=0)
    # The columns are standardised by the sample, so that centring the sums loses no digits.
    gram -= np.outer(total, total) / n
    gram[np.diag_indices(size)] += model["alpha"]
    coef = cho_solve(cho_factor(gram, overwrite_a=True), moment)
    intercept = np.array([found["mean"] - float(total @ coef) / n])
    return {**model, "coef": coef[None, :], "intercept": intercept}


def logistic_of_chunks(
    model: dict[str, Any],
    chunks: Chunks,
    terms: dict[str, Any],
    checkpoint: Path | None,
    passes: int,
    deadline_s: float | None,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Descend by L-BFGS on the gradient of all rows; every evaluation is one pass."""
    start = np.hstack([model["coef"], model["intercept"][:, None]])
    shape, total = start.shape, terms["survey"]["rows"]
    state = read_checkpoint(checkpoint, terms) or {"done": 0, "path": None}
    done = state["done"]
    if state["path"] is not None:
        start = np.load(state["path"], allow_pickle=False)

    def loss(flat: Array) -> tuple[float, Array]:
        theta = flat.reshape(shape)
        value, gradient = 0.0, np.zeros(shape)
        for x, y, *_ in chunks():
            codes = np.asarray(y, dtype=np.int64)
            for first, z in expanded_blocks(model, x, shape[0]):
                part = codes[first : first + len(z)]
                margins = z @ theta[:, :-1].T + theta[:, -1]
                more, residual = log_loss_gradient(margins, part, np.ones(len(part)))
                value += more
                gradient[:, :-1] += residual.T @ z
                gradient[:, -1] += residual.sum(axis=0)
        gradient[:, :-1] += theta[:, :-1] / model["c"]
        value += 0.5 * float((theta[:, :-1] ** 2).sum()) / model["c"]
        return value / total, gradient.ravel() / total

    def after(flat: Array) -> None:
        nonlocal done
        done += 1
        if checkpoint is not None:
            name, solution = f"round-{done:06d}.npy", flat.reshape(shape)
            write_checkpoint(
                checkpoint, terms, name, lambda path: np.save(path, solution), {"done": done}
            )
        if progress is not None:
            progress(done, passes)
        if deadline_s is not None and time.monotonic() > deadline_s:
            raise StopIteration

    if done < passes:
        options = {"maxiter": passes - done, "maxfun": 2 * (passes - done), "gtol": 1e-6}
        found = minimize(
            loss, start.ravel(), jac=True, method="L-BFGS-B", callback=after, options=options
        )
        start = found.x.reshape(shape)
    return {**model, "coef": start[:, :-1].copy(), "intercept": start[:, -1].copy()}
