"""Ridge and logistic regression, plain or on a basis that bends; predicted in NumPy.

A model is a dictionary: `n_classes`, `basis`, `mean` and `scale` (d,), `coef` (k, D) and
`intercept` (k,) over the D columns that `expand` makes of d standardised ones, with k = 1 for a
number or two classes and k = n_classes above; `turn` (components, d) and `phase` (components,)
for the basis `rbf`.
"""
# ruff: noqa: ARG001 — all families share one signature

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from promise.kernels.dense import column_moments, dot_rows, margin_probabilities, standardise
from promise.kernels.model_files import load_state, save_state

ALPHAS = (0.001, 0.01, 0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 1e4, 1e5)
STRENGTHS = (0.003, 0.03, 0.3, 3.0, 30.0)
CACHE_VALUES = 2**25
LOO_ROWS = 2000
PATH_ROWS = 20_000


def fit_linear(
    x: np.ndarray,
    y: np.ndarray,
    n_classes: int,
    params: dict[str, Any],
    *,
    valid: tuple[np.ndarray, np.ndarray] | None = None,
    weight: np.ndarray | None = None,
    categorical: tuple[int, ...] = (),
    seed: int = 7,
    threads: int = 1,
    deadline_s: float | None = None,
) -> dict[str, Any]:
    """Fit a ridge (n_classes 0) or logistic regression.

    `alpha` is the ridge penalty, `c` the inverse logistic penalty; None chooses it, by
    leave-one-out errors or on validation rows. `basis` is `none`, `quadratic` or `rbf`
    (`components`, `gamma_scale`).
    """
    model = start_linear(x, n_classes, params, weight, seed)
    with threadpool_limits(limits=threads):
        if n_classes == 0:
            return fit_ridge(model, x, y, params.get("alpha"), weight, seed)
        return fit_logistic(model, x, y, params.get("c"), valid, weight, seed, deadline_s)


def start_linear(
    x: np.ndarray, n_classes: int, params: dict[str, Any], weight: np.ndarray | None, seed: int
) -> dict[str, Any]:
    """Return a model with its scales and its basis, not yet trained.

    The basis `rbf` is random Fourier features (Rahimi & Recht 2007, algorithm 1).
    """
    d = x.shape[1]
    mean, scale = column_moments(x, weight)
    basis = params.get("basis", "none")
    if basis == "quadratic" and d > 60:
        basis = "none"
    model: dict[str, Any] = {"n_classes": n_classes, "basis": basis, "mean": mean, "scale": scale}
    if basis == "rbf":
        rng = np.random.default_rng(seed)
        size = int(params.get("components", 500))
        width = np.sqrt(2.0 * params.get("gamma_scale", 0.5) / max(1, d))
        model["turn"] = width * rng.normal(size=(size, d))
        model["phase"] = rng.uniform(0.0, 2.0 * np.pi, size)
    return model


def expand(model: dict[str, Any], z: np.ndarray) -> np.ndarray:
    """Turn standardised columns (n, d) into the columns of the basis (n, D)."""
    if model["basis"] == "quadratic":
        # Clipped, since the square of an outlier would drown every other row.
        z = np.clip(z, -6.0, 6.0)
        first, second = np.triu_indices(z.shape[1])
        return np.hstack([z, z[:, first] * z[:, second]])
    if model["basis"] == "rbf":
        z = np.clip(z, -6.0, 6.0)
        waves = np.cos(dot_rows(z, model["turn"]) + model["phase"])
        # As loud together as the columns themselves, so that one penalty suits both.
        return np.hstack([z, waves * np.sqrt(2.0 * z.shape[1] / len(model["phase"]))])
    return z


def expanded_size(model: dict[str, Any]) -> int:
    """Return D, the number of columns that the basis makes."""
    d = len(model["mean"])
    if model["basis"] == "quadratic":
        return d + d * (d + 1) // 2
    return d + (len(model["phase"]) if model["basis"] == "rbf" else 0)


def expanded_blocks(
    model: dict[str, Any], x: np.ndarray, width: int = 1
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first row, expanded float64 rows) in blocks that stay small however wide the basis."""
    size = max(64, 2**21 // max(width, expanded_size(model)))
    for start in range(0, len(x), size):
        z = standardise(x[start : start + size], model["mean"], model["scale"])
        yield start, expand(model, z)


def fit_ridge(
    model: dict[str, Any],
    x: np.ndarray,
    y: np.ndarray,
    alpha: float | None,
    weight: np.ndarray | None,
    seed: int,
) -> dict[str, Any]:
    """Solve ridge regression on the smaller side: columns × columns, or rows × rows."""
    w = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
    w = w * (len(y) / w.sum())
    middle = sum(w[s : s + len(z)] @ z for s, z in expanded_blocks(model, x)) / len(y)
    offset = float(np.average(y, weights=w))
    if alpha is None:
        alpha = best_alpha(model, x, y - offset, w, middle, seed)
    root, target = np.sqrt(w), (y - offset) * np.sqrt(w)
    size = expanded_size(model)
    if size <= len(y):
        gram, moment = np.zeros((size, size)), np.zeros(size)
        for start, z in expanded_blocks(model, x):
            stop = start + len(z)
            z = (z - middle) * root[start:stop, None]
            gram += z.T @ z
            moment += z.T @ target[start:stop]
        gram[np.diag_indices(size)] += alpha
        coef = cho_solve(cho_factor(gram, overwrite_a=True), moment)
    else:
        kernel = row_products(model, x, middle, root)
        kernel[np.diag_indices(len(y))] += alpha
        dual = cho_solve(cho_factor(kernel, overwrite_a=True), target) * root
        coef = sum(dual[s : s + len(z)] @ (z - middle) for s, z in expanded_blocks(model, x))
    intercept = np.array([offset - middle @ coef])
    return {**model, "alpha": alpha, "coef": coef[None, :], "intercept": intercept}


def row_products(
    model: dict[str, Any], x: np.ndarray, middle: np.ndarray, root: np.ndarray
) -> np.ndarray:
    """Return the products of all pairs of centred, weighted rows, (n, n)."""
    kernel = np.empty((len(x), len(x)))
    for i, left in expanded_blocks(model, x):
        left = (left - middle) * root[i : i + len(left), None]
        for j, right in expanded_blocks(model, x):
            right = (right - middle) * root[j : j + len(right), None]
            kernel[i : i + len(left), j : j + len(right)] = left @ right.T
    return kernel


def best_alpha(
    model: dict[str, Any],
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    middle: np.ndarray,
    seed: int,
) -> float:
    """Return the penalty with the least leave-one-out error, of one eigendecomposition.

    Rows are sampled when there are many: the best penalty is noise over signal, which does not
    depend on the number of rows. Few columns are cheap, so they afford more rows.
    """
    size = expanded_size(model)
    limit = 5 * LOO_ROWS if size <= 600 else LOO_ROWS
    if len(x) > limit:
        rows = np.sort(np.random.default_rng(seed).permutation(len(x))[:limit])
        x, target, weight = x[rows], target[rows], weight[rows]
    root = np.sqrt(weight)
    goal = target * root
    if size <= len(x):
        z = np.concatenate([z for _, z in expanded_blocks(model, x)])
        z = (z - middle) * root[:, None]
        values, vectors = eigh(z.T @ z)
        vectors = (z @ vectors) / np.sqrt(np.maximum(values, 1e-12))
    else:
        values, vectors = eigh(row_products(model, x, middle, root))
    values = np.maximum(values, 0.0)
    along, square = vectors.T @ goal, vectors**2
    errors = []
    for alpha in ALPHAS:
        shrink = values / (values + alpha)
        leverage = square @ shrink + 1.0 / len(x)
        left_out = (goal - vectors @ (shrink * along)) / np.maximum(1.0 - leverage, 1e-6)
        errors.append(float((left_out**2).mean()))
    return ALPHAS[int(np.argmin(errors))]


def fit_logistic(
    model: dict[str, Any],
    x: np.ndarray,
    y: np.ndarray,
    c: float | None,
    valid: tuple[np.ndarray, np.ndarray] | None,
    weight: np.ndarray | None,
    seed: int,
    deadline_s: float | None,
) -> dict[str, Any]:
    """Fit by L-BFGS; without `c`, walk from strong to weak penalties on a part of the rows."""
    codes = y.astype(np.int64)
    w = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
    k = 1 if model["n_classes"] == 2 else model["n_classes"]
    counts = np.bincount(codes, weights=w, minlength=model["n_classes"]) + 0.5
    prior = np.log(counts / counts.sum())
    start = np.zeros((k, expanded_size(model) + 1))
    start[:, -1] = prior if k > 1 else prior[1] - prior[0]
    if c is None:
        order = np.random.default_rng(seed).permutation(len(y))
        apart = 0 if valid is not None else min(len(y) // 5, PATH_ROWS // 4)
        path, held = order[apart : apart + PATH_ROWS], order[:apart]
        judge = valid if valid is not None else (x[held], y[held])
        c, start = best_strength(
            model, x[path], codes[path], w[path], start, judge, deadline_s=deadline_s
        )
    solution = descend(model, x, codes, w, start, c, deadline_s)
    return {**model, "c": c, "coef": solution[:, :-1].copy(), "intercept": solution[:, -1].copy()}


def best_strength(
    model: dict[str, Any],
    x: np.ndarray,
    codes: np.ndarray,
    weight: np.ndarray,
    start: np.ndarray,
    judge: tuple[np.ndarray, np.ndarray],
    *,
    deadline_s: float | None,
) -> tuple[float, np.ndarray]:
    """Return the inverse penalty with the least log-loss on the judging rows, and its solution."""
    rows, truth = judge[0][:PATH_ROWS], judge[1][:PATH_ROWS].astype(np.int64)
    best, best_c, kept, solution = np.inf, STRENGTHS[1], start, start
    for c in STRENGTHS:
        solution = descend(model, x, codes, weight, solution, c, deadline_s)
        trial = {**model, "coef": solution[:, :-1], "intercept": solution[:, -1]}
        shares = predict_linear(trial, rows)[np.arange(len(truth)), truth]
        loss = float(-np.log(np.maximum(shares, 1e-12)).mean()) if len(truth) else np.inf
        if loss < best:
            best, best_c, kept = loss, c, solution
        if loss > 1.02 * best or (deadline_s is not None and time.monotonic() > deadline_s):
            break
    return best_c, kept


def descend(
    model: dict[str, Any],
    x: np.ndarray,
    codes: np.ndarray,
    weight: np.ndarray,
    start: np.ndarray,
    c: float,
    deadline_s: float | None,
) -> np.ndarray:
    """Minimise weighted log-loss plus |coef|² / 2c; returns (k, D + 1), the intercept last."""
    k, width = start.shape
    small = len(x) * width <= CACHE_VALUES
    kept = [(s, z.astype(np.float32)) for s, z in expanded_blocks(model, x, k)] if small else None
    total = float(weight.sum())

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        theta = flat.reshape(k, width)
        value, gradient = 0.0, np.zeros_like(theta)
        for first, z in kept if kept is not None else expanded_blocks(model, x, k):
            stop = first + len(z)
            margins = z @ theta[:, :-1].T.astype(z.dtype) + theta[:, -1]
            part, residual = log_loss_gradient(margins, codes[first:stop], weight[first:stop])
            value += part
            gradient[:, :-1] += residual.T.astype(z.dtype) @ z
            gradient[:, -1] += residual.sum(axis=0)
        gradient[:, :-1] += theta[:, :-1] / c
        value += 0.5 * float((theta[:, :-1] ** 2).sum()) / c
        return value / total, gradient.ravel() / total

    def stop_in_time(_: np.ndarray) -> None:
        if deadline_s is not None and time.monotonic() > deadline_s:
            raise StopIteration

    options = {"maxiter": 150, "gtol": 1e-5, "ftol": 1e-7}
    found = minimize(
        loss, start.ravel(), jac=True, method="L-BFGS-B", callback=stop_in_time, options=options
    )
    solution: np.ndarray = found.x.reshape(k, width)
    return solution


def log_loss_gradient(
    margins: np.ndarray, codes: np.ndarray, weight: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the weighted log-loss and its gradient by the margins (n, k)."""
    shares = margin_probabilities(margins)
    index = np.arange(len(codes))
    value = -float(weight @ np.log(np.maximum(shares[index, codes], 1e-300)))
    shares[index, codes] -= 1.0
    gradient = shares[:, 1:] if margins.shape[1] == 1 else shares
    return value, gradient * weight[:, None]


def margins_linear(model: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Return the margins (n, k) before any link."""
    parts = [dot_rows(z, model["coef"]) + model["intercept"] for _, z in expanded_blocks(model, x)]
    return np.concatenate(parts) if parts else np.zeros((0, len(model["coef"])))


def predict_linear(model: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Return numbers (n,) or probabilities (n, n_classes)."""
    margins = margins_linear(model, x)
    return margins[:, 0] if model["n_classes"] == 0 else margin_probabilities(margins)


def contributions_linear(model: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Split margins into the columns' parts and the base value, (n, k, d + 1).

    The base is the margin of the mean row. Without a basis the parts are coefficient times
    distance from the mean; with one, integrated gradients along the line from the mean
    (Sundararajan et al. 2017, equation 1), their small quadrature error shared out.
    """
    mean = model["mean"][None, :]
    base = margins_linear(model, mean)[0]
    parts = np.zeros((len(x), len(base), x.shape[1] + 1))
    z = standardise(x, model["mean"], model["scale"])
    points, shares = np.polynomial.legendre.leggauss(1 if model["basis"] == "none" else 24)
    for point, share in zip((points + 1.0) / 2.0, shares / 2.0, strict=True):
        parts[:, :, :-1] += share * margin_slopes(model, point * z) * z[:, None, :]
    gap = margins_linear(model, x) - base - parts.sum(axis=2)
    size = np.abs(parts[:, :, :-1])
    parts[:, :, :-1] += gap[:, :, None] * size / np.maximum(size.sum(axis=2), 1e-300)[:, :, None]
    parts[:, :, -1] = base
    return parts


def margin_slopes(model: dict[str, Any], z: np.ndarray) -> np.ndarray:
    """Return the derivatives of the margins by the standardised columns, (n, k, d)."""
    d = z.shape[1]
    straight, bent = model["coef"][:, :d], model["coef"][:, d:]
    if model["basis"] == "none":
        return np.broadcast_to(straight, (len(z), *straight.shape))
    z = np.clip(z, -6.0, 6.0)
    if model["basis"] == "quadratic":
        first, second = np.triu_indices(d)
        pairs = np.zeros((len(straight), d, d))
        pairs[:, first, second] += bent
        pairs[:, second, first] += bent
        bend = np.einsum("nd,kde->nke", z, pairs)
    else:
        wave = -np.sin(dot_rows(z, model["turn"]) + model["phase"])
        wave *= np.sqrt(2.0 * d / bent.shape[1])
        bend = np.einsum("nc,kc,cd->nkd", wave, bent, model["turn"], optimize=True)
    slopes: np.ndarray = straight + bend
    return slopes


def save_linear(model: dict[str, Any], folder: Path) -> None:
    """Write the model into an existing folder."""
    save_state(model, folder)


def load_linear(folder: Path) -> dict[str, Any]:
    """Read back what `save_linear` wrote."""
    return load_state(folder)
