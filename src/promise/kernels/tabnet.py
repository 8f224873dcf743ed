"""TabNet predicted in NumPy: Arik & Pfister 2021, sections 3.1 to 3.4.

Sequential attention: at each step a sparse mask picks columns, gated layers read what is left, and
the decision parts of all steps are added up. Where the paper normalises each batch of inputs, here
they are standardised with outliers pulled in.

A model is a dictionary: `n_classes`, `rounds`, `steps`, `width` (w), `gamma`, `mean` and `scale`
(d,), `centre` and `spread` of a number, and float32 weights with the batch norms folded in, laid
out by `pack_layer`. Step 0 only prepares the first mask. `glu_t_l` gives (4w,) from step t's layer
l, half of it gates; `mask_t` gives (d,) from the attention part (w,); then `head`. Each has its
`…_bias` beside it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from promise.kernels.dense import sigmoid, softmax, squash

BLOCK_ROWS = 512
LAYERS = 4
HALF = math.sqrt(0.5)  # keeps the variance of a sum of two
PART_SIZE = 8192


def pack_layer(weights: np.ndarray) -> np.ndarray:
    """Lay weights (outputs, inputs) out as parts (p, inputs, q) for `run_layer`, zeros behind."""
    outputs, inputs = weights.shape
    size = min(outputs, max(1, PART_SIZE // inputs))
    parts = -(-outputs // size)
    padded = np.zeros((parts * size, inputs), dtype=np.float32)
    padded[:outputs] = weights
    return np.ascontiguousarray(padded.reshape(parts, size, inputs).transpose(0, 2, 1))


def run_layer(x: np.ndarray, packed: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Multiply rows (n, inputs) by packed weights; a row's digits never depend on the others.

    Each row and part is a product of its own, always of the same shape, and too small for a BLAS
    to split between threads. About four times as fast as `dot_rows`.
    """
    product = np.matmul(x[:, None, None, :], packed).reshape(len(x), -1)
    layer: np.ndarray = product[:, : len(bias)] + bias
    return layer


def predict_tabnet(model: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Return numbers (n,) or probabilities (n, n_classes), float64."""
    blocks = [
        run_tabnet(model, squash(x[start : start + BLOCK_ROWS], model["mean"], model["scale"]))
        for start in range(0, len(x), BLOCK_ROWS)
    ]
    margins = np.concatenate(blocks) if blocks else np.zeros((0, len(model["head_bias"])))
    if model["n_classes"]:
        return softmax(margins.astype(np.float64))
    number: np.ndarray = margins[:, 0].astype(np.float64) * model["spread"] + model["centre"]
    return number


def run_tabnet(model: dict[str, Any], z: np.ndarray) -> np.ndarray:
    """Return the margins of standardised rows."""
    w = model["width"]
    prior, total = np.ones_like(z), np.zeros((len(z), w), dtype=np.float32)
    hidden = run_features(model, z, 0)
    for step in range(1, model["steps"] + 1):
        attended = np.ascontiguousarray(hidden[:, w:])
        driven = run_layer(attended, model[f"mask_{step}"], model[f"mask_{step}_bias"])
        mask = sparsemax(prior * driven)
        prior *= np.float32(model["gamma"]) - mask
        hidden = run_features(model, mask * z, step)
        total += np.maximum(hidden[:, :w], np.float32(0.0))
    return run_layer(total, model["head"], model["head_bias"])


def run_features(model: dict[str, Any], z: np.ndarray, step: int) -> np.ndarray:
    """Run a step's gated layers on rows."""
    hidden = z
    for number in range(LAYERS):
        name = f"glu_{step}_{number}"
        value, gate = np.split(run_layer(hidden, model[name], model[f"{name}_bias"]), 2, axis=1)
        gated = value * sigmoid(gate)
        hidden = (hidden + gated) * np.float32(HALF) if number else gated
    return hidden


def sparsemax(z: np.ndarray) -> np.ndarray:
    """Return each row's nearest point on the simplex: shares that sum to one, most of them zero.

    Examples
    --------
    >>> sparsemax(np.array([[2.0, 1.5, -1.0]]))
    array([[0.75, 0.25, 0.  ]])
    """
    ordered = -np.sort(-z, axis=1)
    above = np.cumsum(ordered, axis=1) - z.dtype.type(1.0)
    counts = np.arange(1, z.shape[1] + 1, dtype=z.dtype)
    support = (counts * ordered > above).sum(axis=1, keepdims=True)
    cut = np.take_along_axis(above, support - 1, axis=1) / support.astype(z.dtype)
    shares: np.ndarray = np.maximum(z - cut, z.dtype.type(0.0))
    return shares


def loss_tabnet(model: dict[str, Any], x: np.ndarray, y: np.ndarray) -> float:
    """Return the mean loss of a model's answers as they will be given."""
    output = predict_tabnet(model, x)
    if model["n_classes"]:
        chances = np.maximum(output[np.arange(len(y)), y.astype(np.int64)], 1e-12)
        return float(-np.log(chances).mean())
    return float(np.square((output - y) / model["spread"]).mean())


def rounds_tabnet(model: dict[str, Any]) -> int:
    """Return how many epochs the weights have seen."""
    return int(model["rounds"])


def save_tabnet(model: dict[str, Any], folder: Path) -> None:
    """Write `weights.safetensors` and `model.json` into an existing folder."""
    from safetensors.numpy import save_file

    arrays = {name: value for name, value in model.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in model.items() if name not in arrays}
    save_file(arrays, folder / "weights.safetensors")
    (folder / "model.json").write_text(json.dumps(rest, indent=1), encoding="utf-8")


def load_tabnet(folder: Path) -> dict[str, Any]:
    """Read back what `save_tabnet` wrote."""
    from safetensors.numpy import load_file

    rest: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    return {**rest, **load_file(folder / "weights.safetensors")}
