"""TabNet trained by PyTorch: Adam, ghost batch norms, sparse masks, early stopping.

Differences from Arik & Pfister 2021: running moments are freed of their start (as Adam's are), so
that a short training predicts by moments that it has seen; validation rows are judged by the folded
model in NumPy, which is the one that will answer.
"""
# ruff: noqa: ARG001 — all families share one signature

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from promise.kernels.dense import column_moments, squash
from promise.kernels.tabnet import HALF, LAYERS, loss_tabnet, pack_layer

SHARED = 2  # of the four layers; each step normalises what they give by itself
NORM_EPSILON = 1e-5


def fit_tabnet(
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
    """Train for `epochs`, or keep the best one on the validation rows."""
    import torch

    if len(y) == 1:  # the moments of a batch need two rows
        x, y, weight = np.repeat(x, 2, axis=0), np.repeat(y, 2), None
    mean, scale = column_moments(x, weight)
    spread = float(y.std()) if n_classes == 0 else 1.0
    state: dict[str, Any] = {
        "n_classes": n_classes,
        "rounds": 0,
        "steps": int(params.get("steps", 6)),
        "width": int(params.get("width", 64)),
        "gamma": float(params.get("gamma", 1.3)),
        "mean": mean.astype(np.float32),
        "scale": scale.astype(np.float32),
        "centre": float(y.mean()) if n_classes == 0 else 0.0,
        "spread": spread if spread > 0 else 1.0,
    }
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return train_tabnet(state, params, (x, y, weight), valid, seed, deadline_s)
    finally:
        torch.set_num_threads(before)


def train_tabnet(
    state: dict[str, Any],
    params: dict[str, Any],
    train: tuple[Any, ...],
    valid: tuple[np.ndarray, np.ndarray] | None,
    seed: int,
    deadline_s: float | None,
) -> dict[str, Any]:
    """Run epochs of a cosine schedule; keep the best one on the validation rows, or the last."""
    import torch

    data = tabnet_tensors(state, *train)
    n, epochs = len(train[1]), int(params.get("epochs", 40))
    last = min(epochs, int(params.get("rounds") or epochs))
    ghost, size = tabnet_batch(n, params)
    net = make_tabnet(state, ghost, float(params.get("momentum", 0.02)), seed)
    steps = n // size
    optimizer = torch.optim.Adam(
        net["weights"].values(), lr=float(params.get("learning_rate", 0.02))
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
    rng = np.random.default_rng(seed)
    model, best_loss, begun = fold_tabnet(state, net), np.inf, time.monotonic()
    for epoch in range(last):
        rows, seen = rng.permutation(n), 0.0
        for step in range(steps):
            picked = torch.from_numpy(rows[step * size : (step + 1) * size])
            optimizer.zero_grad()
            loss = tabnet_loss(state, net, data, picked, float(params.get("sparsity", 1e-4)))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net["weights"].values(), 1.0)
            optimizer.step()
            schedule.step()
            seen += float(loss.detach())
        if not math.isfinite(seen):
            break  # what was learned before the weights ran away is kept
        found = {**fold_tabnet(state, net), "rounds": epoch + 1}
        judged = -float(epoch) if valid is None else loss_tabnet(found, *valid)
        if judged < best_loss or not model["rounds"]:
            best_loss, model = judged, found
        elif epoch + 1 - model["rounds"] >= int(params.get("early_stopping", 10)):
            break
        now = time.monotonic()
        if deadline_s is not None and now + (now - begun) / (epoch + 1) > deadline_s:
            break
    return model


def tabnet_batch(n: int, params: dict[str, Any]) -> tuple[int, int]:
    """Return the rows of a ghost batch and of a step, a whole number of ghost batches.

    Examples
    --------
    >>> tabnet_batch(134_000, {}), tabnet_batch(100, {"batch": 60, "ghost": 20})
    ((256, 2048), (20, 60))
    """
    asked = max(2, min(n, int(params.get("batch") or min(2048, max(64, n // 40)))))
    ghost = max(2, min(asked, int(params.get("ghost", 256))))
    return ghost, asked // ghost * ghost


def tabnet_tensors(
    state: dict[str, Any], x: np.ndarray, y: np.ndarray, weight: np.ndarray | None
) -> tuple[Any, Any, Any]:
    """Return standardised rows, targets on the network's scale, and weights with the mean one."""
    import torch

    w = np.ones(len(y)) if weight is None else weight / weight.mean()
    scaled = (y - state["centre"]) / state["spread"]
    goal = y.astype(np.int64) if state["n_classes"] else scaled.astype(np.float32)
    rows = squash(x, state["mean"], state["scale"])
    return torch.from_numpy(rows), torch.from_numpy(goal), torch.from_numpy(w.astype(np.float32))


def make_tabnet(state: dict[str, Any], ghost: int, momentum: float, seed: int) -> dict[str, Any]:
    """Return untrained weights by name, and the running moments of each batch norm."""
    import torch

    chance = torch.Generator().manual_seed(seed)
    d, w, k = len(state["mean"]), state["width"], max(1, state["n_classes"])
    weights: dict[str, Any] = {}
    moments: dict[str, Any] = {}

    def layer(name: str, inputs: int, outputs: int) -> None:
        gain = math.sqrt((inputs + outputs) / math.sqrt(4 * inputs))
        empty = torch.empty(outputs, inputs)
        weights[name] = torch.nn.init.xavier_normal_(empty, gain, generator=chance)

    def norm(name: str, outputs: int) -> None:
        weights[f"{name}_gain"] = torch.ones(outputs)
        weights[f"{name}_shift"] = torch.zeros(outputs)
        moments[name] = [torch.zeros(outputs), torch.zeros(outputs), 0]

    for number in range(LAYERS):
        for step in range(1 if number < SHARED else state["steps"] + 1):
            layer(glu_weight(step, number), 2 * w if number else d, 4 * w)
        for step in range(state["steps"] + 1):
            norm(f"glu_{step}_{number}", 4 * w)
    for step in range(1, state["steps"] + 1):
        layer(f"mask_{step}_weight", w, d)
        norm(f"mask_{step}", d)
    layer("head_weight", w, k)
    weights["head_shift"] = torch.zeros(k)
    for tensor in weights.values():
        tensor.requires_grad_(True)
    return {"weights": weights, "moments": moments, "ghost": ghost, "momentum": momentum}


def glu_weight(step: int, number: int) -> str:
    """Return the name of a gated layer's weights; all steps share the first two layers'."""
    return f"glu_{0 if number < SHARED else step}_{number}_weight"


def tabnet_loss(
    state: dict[str, Any], net: dict[str, Any], data: tuple[Any, ...], picked: Any, sparsity: float
) -> Any:
    """Return the weighted loss of the rows, and the masks' entropy (equation in section 3.2)."""
    from torch.nn import functional

    margins, entropy = tabnet_margins(state, net, data[0][picked])
    goal, weight = data[1][picked], data[2][picked]
    if state["n_classes"]:
        losses = functional.cross_entropy(margins, goal, reduction="none")
    else:
        losses = (margins[:, 0] - goal) ** 2
    return (losses * weight).mean() + sparsity * entropy


def tabnet_margins(state: dict[str, Any], net: dict[str, Any], z: Any) -> tuple[Any, Any]:
    """Run the network as it trains, on whole ghost batches: (margins, entropy of the masks)."""
    import torch

    weights, w = net["weights"], state["width"]
    prior, total, entropy = torch.ones_like(z), 0.0, 0.0
    hidden = tabnet_features(net, z, 0)
    for step in range(1, state["steps"] + 1):
        driven = hidden[:, w:] @ weights[f"mask_{step}_weight"].T
        mask = torch_sparsemax(prior * ghost_norm(net, f"mask_{step}", driven))
        entropy = entropy - (mask * torch.log(mask + 1e-15)).sum(dim=1).mean() / state["steps"]
        prior = prior * (state["gamma"] - mask)
        hidden = tabnet_features(net, mask * z, step)
        total = total + torch.relu(hidden[:, :w])
    return total @ weights["head_weight"].T + weights["head_shift"], entropy


def tabnet_features(net: dict[str, Any], z: Any, step: int) -> Any:
    """Run a step's gated layers, each added to the one before it."""
    import torch

    hidden = z
    for number in range(LAYERS):
        driven = hidden @ net["weights"][glu_weight(step, number)].T
        value, gate = ghost_norm(net, f"glu_{step}_{number}", driven).chunk(2, dim=1)
        gated = value * torch.sigmoid(gate)
        hidden = (hidden + gated) * HALF if number else gated
    return hidden


def ghost_norm(net: dict[str, Any], name: str, z: Any) -> Any:
    """Normalise each ghost batch by its own moments (Hoffer et al. 2017), and remember these."""
    import torch

    gain, shift = net["weights"][f"{name}_gain"], net["weights"][f"{name}_shift"]
    mean, variance, _ = moments = net["moments"][name]
    batches = [
        torch.nn.functional.batch_norm(
            batch, mean, variance, gain, shift, True, net["momentum"], NORM_EPSILON
        )
        for batch in z.split(net["ghost"])
    ]
    moments[2] += len(batches)
    return torch.cat(batches)


def torch_sparsemax(z: Any) -> Any:
    """Project each row onto the simplex (Martins & Astudillo 2016, algorithm 1)."""
    import torch

    ordered = z.sort(dim=1, descending=True).values
    above = ordered.cumsum(dim=1) - 1.0
    counts = torch.arange(1, z.shape[1] + 1, dtype=z.dtype)
    support = (counts * ordered > above).sum(dim=1, keepdim=True)
    return torch.relu(z - above.gather(1, support - 1) / support)


def fold_tabnet(state: dict[str, Any], net: dict[str, Any]) -> dict[str, Any]:
    """Return the model: each layer's weights with its batch norm's running moments folded in."""
    weights = {name: w.detach().numpy().astype(np.float64) for name, w in net["weights"].items()}
    model = dict(state)
    for name, (mean, variance, updates) in net["moments"].items():
        kind, step, *number = name.split("_")
        source = glu_weight(int(step), int(number[0])) if kind == "glu" else f"{name}_weight"
        seen = (1.0 - (1.0 - net["momentum"]) ** updates) or 1.0
        # PyTorch remembers the unbiased variance, and normalises by the biased one.
        spread = variance.numpy() / seen * (1.0 - 1.0 / net["ghost"]) if updates else 1.0
        gain = weights[f"{name}_gain"] / np.sqrt(spread + NORM_EPSILON)
        centre = mean.numpy() / seen
        model[name] = pack_layer(weights[source] * gain[:, None])
        model[f"{name}_bias"] = (weights[f"{name}_shift"] - centre * gain).astype(np.float32)
    model["head"] = pack_layer(weights["head_weight"])
    model["head_bias"] = weights["head_shift"].astype(np.float32)
    return model
