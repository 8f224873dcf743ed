"""A small ensemble of multilayer perceptrons, trained together by Adam in NumPy.

A model is a dictionary: `n_classes`, `rounds`, `mean` and `scale` (d,) of the inputs, `centre`,
`spread`, `low` and `high` of a number, and per layer i `weight_i` (members, out, in) and `bias_i`
(members, 1, out), all float32.
"""
# ruff: noqa: ARG001 — all families share one signature

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from promise.kernels.dense import column_moments, dot_rows, softmax, squash
from promise.kernels.model_files import load_state, save_state

BLOCK_ROWS = 2048


def fit_mlp(
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
    """Train for `epochs`, or stop at the best one on the validation rows.

    `rounds`, when given, ends after so many epochs of the same schedule, which repeats an
    earlier training that stopped there.
    """
    rng = np.random.default_rng(seed)
    model = start_mlp(x, y, n_classes, params, weight, rng)
    goal = targets_mlp(model, y)
    w = np.ones(len(y), dtype=np.float32) if weight is None else np.asarray(weight, np.float32)
    w = w / w.mean()
    epochs = int(params.get("epochs", 30))
    last = min(epochs, int(params.get("rounds") or epochs))
    moments = {name: (np.zeros_like(v), np.zeros_like(v)) for name, v in learned(model).items()}
    best, best_loss, begun = model, np.inf, time.monotonic()
    with threadpool_limits(limits=threads):
        for epoch in range(last):
            model = train_epoch(model, x, goal, w, moments, params, epoch, epochs, rng)
            if valid is not None:
                loss = loss_mlp(model, *valid)
                if loss < best_loss:
                    best_loss = loss
                    best = {k: v.copy() if k in moments else v for k, v in model.items()}
                elif epoch + 1 - best["rounds"] >= max(6, epochs // 3):
                    break
            now = time.monotonic()
            if deadline_s is not None and now + (now - begun) / (epoch + 1) > deadline_s:
                break
    return best if valid is not None and best["rounds"] else model


def start_mlp(
    x: np.ndarray,
    y: np.ndarray,
    n_classes: int,
    params: dict[str, Any],
    weight: np.ndarray | None,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return scales and random weights, a different draw for each member."""
    mean, scale = column_moments(x, weight)
    members, width = int(params.get("members", 4)), int(params.get("width", 128))
    number = n_classes == 0
    spread = float(y.std()) if number else 1.0
    model: dict[str, Any] = {
        "n_classes": n_classes,
        "rounds": 0,
        "mean": mean.astype(np.float32),
        "scale": scale.astype(np.float32),
        "centre": float(y.mean()) if number else 0.0,
        "spread": spread if spread > 0 else 1.0,
        "low": float(y.min()) if number else 0.0,
        "high": float(y.max()) if number else 0.0,
    }
    sizes = [x.shape[1], *[width] * int(params.get("depth", 2)), max(1, n_classes)]
    for i, (before, after) in enumerate(pairwise(sizes)):
        gain = 0.1 if i == len(sizes) - 2 else np.sqrt(2.0)
        drawn = rng.normal(size=(members, after, before)) * gain / np.sqrt(max(1, before))
        model[f"weight_{i}"] = drawn.astype(np.float32)
        model[f"bias_{i}"] = np.zeros((members, 1, after), dtype=np.float32)
    return model


def learned(model: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays that training changes."""
    return {k: v for k, v in model.items() if k.startswith(("weight_", "bias_"))}


def targets_mlp(model: dict[str, Any], y: np.ndarray) -> np.ndarray:
    """Return class codes, or numbers on the scale that the network learns."""
    if model["n_classes"]:
        return y.astype(np.int64)
    goal: np.ndarray = ((y - model["centre"]) / model["spread"]).astype(np.float32)
    return goal


def train_epoch(
    model: dict[str, Any],
    x: np.ndarray,
    goal: np.ndarray,
    weight: np.ndarray,
    moments: dict[str, tuple[np.ndarray, np.ndarray]],
    params: dict[str, Any],
    epoch: int,
    epochs: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Pass once over the rows, each member in its own order, under a cosine schedule."""
    members, n = len(model["bias_0"]), len(goal)
    size = min(n, int(params.get("batch") or min(512, max(32, n // 40))))
    orders = np.stack([rng.permutation(n) for _ in range(members)])
    steps = n // size
    for step in range(steps):
        rows = orders[:, step * size : (step + 1) * size]
        z = squash(x[rows], model["mean"], model["scale"])
        done = (epoch * steps + step) / (epochs * steps)
        pace = min(1.0, 20.0 * (done + 1.0 / (epochs * steps))) * 0.5 * (1.0 + np.cos(np.pi * done))
        gradients = gradients_mlp(
            model, z, goal[rows], weight[rows], float(params.get("dropout", 0.1)), rng
        )
        adam_step(
            model,
            gradients,
            moments,
            epoch * steps + step + 1,
            float(params.get("learning_rate", 3e-3)) * pace,
            float(params.get("weight_decay", 1.0)),
        )
    return {**model, "rounds": epoch + 1}


def gradients_mlp(
    model: dict[str, Any],
    z: np.ndarray,
    goal: np.ndarray,
    weight: np.ndarray,
    dropout: float,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Return the loss's gradients by backpropagation, all members at once (members, batch, d)."""
    layers = len(learned(model)) // 2
    kept, slopes = [z], []
    for i in range(layers):
        z = z @ model[f"weight_{i}"].transpose(0, 2, 1) + model[f"bias_{i}"]
        if i < layers - 1:
            slope = (z > 0).astype(np.float32)
            if dropout > 0:
                mask = rng.random(z.shape, dtype=np.float32) >= dropout
                slope *= mask * np.float32(1.0 / (1.0 - dropout))
            z = z * slope
            kept.append(z)
            slopes.append(slope)
    if model["n_classes"]:
        delta = softmax(z)
        members, batch = np.ogrid[: goal.shape[0], : goal.shape[1]]
        delta[members, batch, goal] -= 1.0
    else:
        delta = z - goal[:, :, None]
    delta *= weight[:, :, None] / np.float32(goal.shape[1])
    gradients = {}
    for i in reversed(range(layers)):
        gradients[f"weight_{i}"] = delta.transpose(0, 2, 1) @ kept[i]
        gradients[f"bias_{i}"] = delta.sum(axis=1, keepdims=True)
        if i:
            delta = (delta @ model[f"weight_{i}"]) * slopes[i - 1]
    return gradients


def adam_step(
    model: dict[str, Any],
    gradients: dict[str, np.ndarray],
    moments: dict[str, tuple[np.ndarray, np.ndarray]],
    step: int,
    rate: float,
    decay: float,
) -> None:
    """Move the weights in place (Loshchilov & Hutter 2019, algorithm 2, decoupled decay)."""
    correct = np.sqrt(1.0 - 0.98**step) / (1.0 - 0.9**step)
    for name, gradient in gradients.items():
        first, second = moments[name]
        first += np.float32(0.1) * (gradient - first)
        second += np.float32(0.02) * (gradient**2 - second)
        if name.startswith("weight_"):
            model[name] *= np.float32(1.0 - rate * decay)
        model[name] -= np.float32(rate * correct) * first / (np.sqrt(second) + np.float32(1e-8))


def loss_mlp(model: dict[str, Any], x: np.ndarray, y: np.ndarray) -> float:
    """Return log-loss or mean squared error on these rows."""
    output = predict_mlp(model, x)
    if model["n_classes"] == 0:
        return float(((output - y) ** 2).mean())
    shares = output[np.arange(len(y)), y.astype(np.int64)]
    return float(-np.log(np.maximum(shares, 1e-7)).mean())


def predict_mlp(model: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Return the members' mean: numbers (n,), within those learned from, or probabilities."""
    output = np.zeros((len(x), max(1, model["n_classes"])))
    layers = len(learned(model)) // 2
    for start in range(0, len(x), BLOCK_ROWS):
        z = squash(x[start : start + BLOCK_ROWS], model["mean"], model["scale"])
        for i in range(layers):
            z = dot_rows(z, model[f"weight_{i}"]) + model[f"bias_{i}"]
            if i < layers - 1:
                z = np.maximum(z, np.float32(0.0))
        z = z.astype(np.float64)
        for member in softmax(z) if model["n_classes"] else z:
            output[start : start + BLOCK_ROWS] += member
    output /= len(model["bias_0"])
    if model["n_classes"]:
        return output
    number = output[:, 0] * model["spread"] + model["centre"]
    return np.asarray(np.clip(number, model["low"], model["high"]))


def rounds_mlp(model: dict[str, Any]) -> int:
    """Return how many epochs the weights have seen."""
    return int(model["rounds"])


def save_mlp(model: dict[str, Any], folder: Path) -> None:
    """Write the model into an existing folder."""
    save_state(model, folder)


def load_mlp(folder: Path) -> dict[str, Any]:
    """Read back what `save_mlp` wrote."""
    return load_state(folder)
