"""Few-shot tuning: a light map over an encoder's vectors that draws articles of one class together.

The encoder's own weights stay as they are, so that its vectors are computed once, and the map is
learned in seconds on a processor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from promise.data.columns import Array, FloatArray
from promise.job import Job
from promise.models.encoder_bert import threads_of_torch, torch_or_told

BATCH = 256
"""So many vectors are compared with one another in a step."""

_STEPS = 100
_RATE = 3e-4
_TEMPERATURE = 0.1  # Khosla et al. 2020, section 4.4
_HOLD = 1e-2  # how much it costs to leave the encoder's own directions


@dataclass(frozen=True, eq=False)
class Adapter:
    """Turns an encoder's vectors into tuned ones of the same length.

    Parameters
    ----------
    matrix
        Float32 (size, size); a vector is multiplied with it from the left.
    """

    matrix: FloatArray

    @cached_property
    def _wide(self) -> FloatArray:
        return self.matrix.astype(np.float64)

    def of(self, vectors: FloatArray) -> FloatArray:
        """Return tuned vectors, float32 (n, size), of length 1; zeros stay zeros."""
        wide = vectors.astype(np.float64)
        # rows one by one: a product of matrices sums in another order for other shapes
        turned = np.stack([row @ self._wide for row in wide]) if len(wide) else wide
        lengths = np.linalg.norm(turned, axis=1, keepdims=True)
        found: FloatArray = (turned / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
        return found

    def save(self, folder: Path) -> None:
        """Write the matrix."""
        np.save(folder / "adapter.npy", self.matrix)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(np.load(folder / "adapter.npy", allow_pickle=False))


def fit_adapter(vectors: FloatArray, truth: Array, job: Job) -> Adapter:
    """Learn which directions tell the classes apart, from pairs of articles of one class.

    The supervised contrastive loss (Khosla et al. 2020, equation 2), as few-shot tuning of sentence
    encoders uses pairs (Tunstall et al. 2022); only a linear map is learned here, which begins as
    the identity and is held near it. Articles of several labels draw one another by the share of
    labels that they have in common. It takes a hundred steps, however many rows there are.

    Parameters
    ----------
    vectors
        Float32 (n, size).
    truth
        Bool (n, k).

    Raises
    ------
    MissingExtra
        Without PyTorch.
    """
    torch = torch_or_told()
    rng, n = job.rng(), len(vectors)
    # products this small are slower on several threads, and much slower on a busy machine
    with threads_of_torch(1), torch.enable_grad():
        start = torch.eye(vectors.shape[1])
        matrix = start.clone().requires_grad_()
        rule = torch.optim.Adam([matrix], lr=_RATE)
        for _ in range(_STEPS):
            drawn = np.arange(n) if n <= BATCH else np.sort(rng.choice(n, BATCH, replace=False))
            rows = torch.from_numpy(np.ascontiguousarray(vectors[drawn], dtype=np.float32))
            rule.zero_grad()
            held = _HOLD * ((matrix - start) ** 2).sum()
            loss = _contrast(rows @ matrix, torch.from_numpy(_alike(truth[drawn])), torch)
            (loss + held).backward()
            rule.step()
    return Adapter(matrix.detach().numpy().copy())


def _alike(truth: Array) -> FloatArray:
    """Return how much each row draws each other one, float32 (n, n): rows sum to 1, or to 0."""
    members = truth.astype(np.float64)
    common = members @ members.T
    either = members.sum(axis=1)[:, None] + members.sum(axis=1)[None, :] - common
    alike = common / np.maximum(either, 1.0)
    np.fill_diagonal(alike, 0.0)
    totals = alike.sum(axis=1, keepdims=True)
    shares: FloatArray = (alike / np.where(totals > 0, totals, 1.0)).astype(np.float32)
    return shares


def _contrast(turned: Any, pulls: Any, torch: Any) -> Any:
    """Return the loss: how unlikely each row finds its like among all others, on average."""
    units = torch.nn.functional.normalize(turned, dim=1)
    likeness = units @ units.T / _TEMPERATURE
    likeness = likeness - 1e9 * torch.eye(len(units))  # no row is its own pair
    chances = torch.log_softmax(likeness, dim=1)
    known = (pulls.sum(dim=1) > 0).sum().clamp(min=1)
    return -(pulls * chances).sum() / known
