"""An LSTM over the last rows of the same entity, trained by PyTorch and predicted in NumPy.

A model is a dictionary: `n_classes`, `window`, `rounds`, `mean` and `scale` (d,), `centre` and
`spread` of a number, and float32 weights: `gate_x` (4h, d), `gate_h` (4h, h) and `gate_bias` with
the gates in the order input, forget, candidate, output; `deep`, `deep_bias`, `head`, `head_bias`.
"""
# ruff: noqa: ARG001 — all families share one signature

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from promise.kernels.dense import column_moments, dot_rows, sigmoid, softmax, squash
from promise.kernels.model_files import load_state, save_state

BLOCK_ROWS = 1024


def fit_lstm(
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
    order: np.ndarray | None = None,
    valid_order: np.ndarray | None = None,
) -> dict[str, Any]:
    """Train on windows of rows; `order` (n, 2) holds each row's entity code and rank in time.

    A window holds the features of the row itself and of the rows before it, never a label. Rows
    without an order are windows of length one.
    """
    import torch

    mean, scale = column_moments(x, weight)
    spread = float(y.std()) if n_classes == 0 else 1.0
    state: dict[str, Any] = {
        "n_classes": n_classes,
        "window": int(params.get("window", 12)) if order is not None else 1,
        "rounds": 0,
        "mean": mean.astype(np.float32),
        "scale": scale.astype(np.float32),
        "centre": float(y.mean()) if n_classes == 0 else 0.0,
        "spread": spread if spread > 0 else 1.0,
    }
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            goal = network_goal(state, y, weight)
            train = (network_inputs(state, x), window_rows(order, len(x), state["window"]), *goal)
            judge = None
            if valid is not None:
                windows = window_rows(valid_order, len(valid[1]), state["window"])
                goal = network_goal(state, valid[1], None)
                judge = (network_inputs(state, valid[0]), windows, *goal)
            return train_network(state, params, train, judge, seed, deadline_s)
    finally:
        torch.set_num_threads(before)


def train_network(
    state: dict[str, Any],
    params: dict[str, Any],
    train: tuple[Any, ...],
    judge: tuple[Any, ...] | None,
    seed: int,
    deadline_s: float | None,
) -> dict[str, Any]:
    """Run epochs of a cosine schedule; keep the best one on the judging rows, or the last."""
    import torch

    parts = make_network(state, int(params.get("hidden", 64)))
    rate, epochs = float(params.get("learning_rate", 3e-3)), int(params.get("epochs", 30))
    last = min(epochs, int(params.get("rounds") or epochs))
    n = len(train[2])
    size = min(n, int(params.get("batch") or min(512, max(32, n // 40))))
    steps = n // size
    optimizer = torch.optim.AdamW(parts.parameters(), lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
    rng = np.random.default_rng(seed)
    model, best_loss, begun = state, np.inf, time.monotonic()
    for epoch in range(last):
        parts.train()
        rows = rng.permutation(n)
        for step in range(steps):
            optimizer.zero_grad()
            picked = rows[step * size : (step + 1) * size]
            network_loss(state, parts, train, picked, float(params.get("dropout", 0.1))).backward()
            optimizer.step()
            schedule.step()
        parts.eval()
        loss = -float(epoch)
        if judge is not None:
            blocks = np.array_split(np.arange(len(judge[2])), -(-len(judge[2]) // 4096))
            with torch.no_grad():
                losses = [float(network_loss(state, parts, judge, b, 0.0)) * len(b) for b in blocks]
            loss = sum(losses) / len(judge[2])
        if loss < best_loss or not model["rounds"]:
            best_loss, model = loss, {**state, **network_arrays(parts), "rounds": epoch + 1}
        elif epoch + 1 - model["rounds"] >= max(6, epochs // 3):
            break
        now = time.monotonic()
        if deadline_s is not None and now + (now - begun) / (epoch + 1) > deadline_s:
            break
    return model


def make_network(state: dict[str, Any], hidden: int) -> Any:
    """Return the untrained layers: an LSTM, then two layers that also see the current row."""
    import torch

    d, k = len(state["mean"]), max(1, state["n_classes"])
    return torch.nn.ModuleDict(
        {
            "lstm": torch.nn.LSTM(d, hidden, batch_first=True),
            "deep": torch.nn.Linear(hidden + d, hidden),
            "head": torch.nn.Linear(hidden, k),
        }
    )


def network_loss(
    state: dict[str, Any], parts: Any, data: tuple[Any, ...], rows: np.ndarray, dropout: float
) -> Any:
    """Return the weighted loss of the rows' windows."""
    import torch
    from torch.nn import functional

    z, windows, goal, weight = data
    places = windows[rows]
    lengths = torch.from_numpy((places >= 0).sum(axis=1) - 1)
    hidden, _ = parts["lstm"](z[torch.from_numpy(places)])
    hidden = hidden[torch.arange(len(rows)), lengths]
    deep = functional.relu(parts["deep"](torch.cat([hidden, z[torch.from_numpy(rows)]], dim=1)))
    margins = parts["head"](functional.dropout(deep, dropout, training=dropout > 0))
    picked = torch.from_numpy(rows)
    if state["n_classes"]:
        losses = functional.cross_entropy(margins, goal[picked], reduction="none")
    else:
        losses = (margins[:, 0] - goal[picked]) ** 2
    return (losses * weight[picked]).mean()


def network_inputs(state: dict[str, Any], x: np.ndarray) -> Any:
    """Return standardised rows as a tensor, with one row of zeros behind them for padding."""
    import torch

    rows = squash(x, state["mean"], state["scale"])
    return torch.from_numpy(np.vstack([rows, np.zeros((1, rows.shape[1]), dtype=np.float32)]))


def network_goal(
    state: dict[str, Any], y: np.ndarray, weight: np.ndarray | None
) -> tuple[Any, Any]:
    """Return targets on the network's scale, and weights with the mean one, as tensors."""
    import torch

    w = np.ones(len(y)) if weight is None else weight / weight.mean()
    scaled = (y - state["centre"]) / state["spread"]
    goal = y.astype(np.int64) if state["n_classes"] else scaled.astype(np.float32)
    return torch.from_numpy(goal), torch.from_numpy(w.astype(np.float32))


def network_arrays(parts: Any) -> dict[str, np.ndarray]:
    """Return the layers' weights as arrays."""
    lstm = parts["lstm"]
    tensors = {
        "gate_x": lstm.weight_ih_l0,
        "gate_h": lstm.weight_hh_l0,
        "gate_bias": lstm.bias_ih_l0 + lstm.bias_hh_l0,
        "deep": parts["deep"].weight,
        "deep_bias": parts["deep"].bias,
        "head": parts["head"].weight,
        "head_bias": parts["head"].bias,
    }
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}


def window_rows(order: np.ndarray | None, n: int, window: int) -> np.ndarray:
    """Return per row the positions of its window, oldest first, then -1 as padding: (n, window).

    Without an order the rows are one entity's, as they come.
    """
    entity = np.zeros(n, dtype=np.int64) if order is None else order[:, 0]
    rank = np.arange(n) if order is None else order[:, 1]
    by_time = np.lexsort((rank, entity))
    start = np.ones(n, dtype=bool)
    start[1:] = entity[by_time][1:] != entity[by_time][:-1]
    place = np.arange(n)
    before = place - np.maximum.accumulate(np.where(start, place, 0))
    length = np.minimum(before + 1, window)
    step = np.arange(window)
    at = place[:, None] - length[:, None] + 1 + step
    rows = np.empty((n, window), dtype=np.int64)
    rows[by_time] = np.where(step < length[:, None], by_time[np.minimum(at, n - 1)], -1)
    return rows


def predict_lstm(
    model: dict[str, Any],
    x: np.ndarray,
    order: np.ndarray | None = None,
    tail: dict[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Return numbers (n,) or probabilities (n, n_classes).

    `tail` holds the rows before these, from `tail_lstm`: a file in chunks then answers as whole.
    """
    n = len(x)
    order = order_after(order, n, tail)
    if tail is not None and len(tail["x"]):
        x, order = np.concatenate([tail["x"], x]), np.concatenate([tail["order"], order])
    z = squash(x, model["mean"], model["scale"])
    windows = window_rows(order, len(x), model["window"])[len(x) - n :]
    parts = [
        run_windows(model, z, windows[s : s + BLOCK_ROWS], z[len(x) - n + s :][:BLOCK_ROWS])
        for s in range(0, n, BLOCK_ROWS)
    ]
    margins = np.concatenate(parts) if parts else np.zeros((0, len(model["head"])))
    if model["n_classes"]:
        return softmax(margins.astype(np.float64))
    number: np.ndarray = margins[:, 0].astype(np.float64) * model["spread"] + model["centre"]
    return number


def run_windows(
    model: dict[str, Any], z: np.ndarray, windows: np.ndarray, current: np.ndarray
) -> np.ndarray:
    """Run the cell along each window; padded steps leave its state as it is."""
    seen, places = np.unique(windows, return_inverse=True)
    driven = dot_rows(z[seen], model["gate_x"]) + model["gate_bias"]
    places = places.reshape(windows.shape)
    hidden = np.zeros((len(windows), model["gate_h"].shape[1]), dtype=np.float32)
    memory = np.zeros_like(hidden)
    for step in range(windows.shape[1]):
        open_rows = windows[:, step] >= 0
        gates = driven[places[open_rows, step]] + dot_rows(hidden[open_rows], model["gate_h"])
        enter, forget, candidate, leave = np.split(gates, 4, axis=1)
        kept = sigmoid(forget) * memory[open_rows] + sigmoid(enter) * np.tanh(candidate)
        memory[open_rows] = kept
        hidden[open_rows] = sigmoid(leave) * np.tanh(kept)
    deep = dot_rows(np.hstack([hidden, current]), model["deep"]) + model["deep_bias"]
    margins = dot_rows(np.maximum(deep, np.float32(0.0)), model["head"])
    margins += model["head_bias"]
    return margins


def order_after(order: np.ndarray | None, n: int, tail: dict[str, np.ndarray] | None) -> np.ndarray:
    """Return the given order, or one entity's rows counted on from the tail."""
    if order is not None:
        return order
    first = int(tail["order"][:, 1].max()) + 1 if tail is not None and len(tail["order"]) else 0
    return np.stack([np.zeros(n, dtype=np.int64), np.arange(first, first + n)], axis=1)


def tail_lstm(
    model: dict[str, Any],
    x: np.ndarray,
    order: np.ndarray | None = None,
    tail: dict[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Return the last rows of each entity, which the windows of later rows reach back to."""
    order = order_after(order, len(x), tail)
    x = np.asarray(x, dtype=np.float32)
    if tail is not None:
        x, order = np.concatenate([tail["x"], x]), np.concatenate([tail["order"], order])
    by_time = np.lexsort((order[:, 1], order[:, 0]))
    entity = order[by_time, 0]
    end = np.searchsorted(entity, entity, side="right")
    kept = np.sort(by_time[end - np.arange(len(entity)) < model["window"]])
    return {"x": x[kept], "order": order[kept]}


def rounds_lstm(model: dict[str, Any]) -> int:
    """Return how many epochs the weights have seen."""
    return int(model["rounds"])


def save_lstm(model: dict[str, Any], folder: Path) -> None:
    """Write the model into an existing folder."""
    save_state(model, folder)


def load_lstm(folder: Path) -> dict[str, Any]:
    """Read back what `save_lstm` wrote."""
    return load_state(folder)
