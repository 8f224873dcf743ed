"""TabNet: a network that attends to a few columns at a time."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Self

from promise.data.answer import Class, Number
from promise.data.columns import Array, Columns
from promise.errors import MissingExtra
from promise.job import Job
from promise.kernels.tabnet import load_tabnet, predict_tabnet, rounds_tabnet, save_tabnet
from promise.kernels.tabnet_training import fit_tabnet
from promise.models.base import MATRIX, Choice, Examples, Range, Space, fit_terms


@dataclass(frozen=True, eq=False)
class FittedTabNet:
    """Weights, predicted in NumPy; PyTorch is needed for training only.

    It gives no contributions: its masks say where it looked, not what moved the answer.
    """

    kind: ClassVar[str] = "tabnet"
    model: dict[str, Any]

    @property
    def rounds(self) -> int:
        """How many epochs the weights have seen."""
        return rounds_tabnet(self.model)

    def predict(self, columns: Columns) -> Array:
        """Return numbers (n,) or probabilities (n, n_classes)."""
        return predict_tabnet(self.model, columns[MATRIX])

    def save(self, folder: Path) -> None:
        """Write the weights as safetensors and JSON."""
        save_tabnet(self.model, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(load_tabnet(folder))


@dataclass(frozen=True)
class TabNet:
    """Sequential attention over columns (Arik & Pfister 2021), deterministic on one thread.

    Parameters
    ----------
    steps
        How many times it attends and decides.
    width
        Size of the decision and of the attention part; gated layers are twice as wide.
    gamma
        How freely a column may be attended to again: 1 means once only.
    sparsity
        Weight of the masks' entropy in the loss.
    epochs
        Length of the cosine schedule.
    rounds
        Epochs after which to stop on that schedule; None: all, or the best on validation rows.
    early_stopping
        Epochs without a better validation loss after which it stops.
    learning_rate
        Adam's step size at the start.
    momentum
        Share of the newest ghost batch in the running moments (PyTorch's convention; 0.98 in
        TensorFlow's).
    batch, ghost
        Rows per step (None: a fortieth of the rows, between 64 and 2048) and per batch norm.

    Raises
    ------
    MissingExtra
        When PyTorch is not installed.
    """

    kind: ClassVar[str] = "tabnet"
    extra: ClassVar[str | None] = "deep"
    answers: ClassVar[frozenset[type]] = frozenset({Number, Class})
    fitted: ClassVar[type[FittedTabNet]] = FittedTabNet
    ordered: ClassVar[bool] = False

    steps: int = 6
    width: int = 64
    gamma: float = 1.3
    sparsity: float = 1e-4
    epochs: int = 40
    rounds: int | None = None
    early_stopping: int = 10
    learning_rate: float = 0.02
    momentum: float = 0.02
    batch: int | None = None
    ghost: int = 256

    def fit(self, train: Examples, valid: Examples | None, job: Job) -> FittedTabNet:
        """Train; `valid`, when given, chooses the epoch."""
        if find_spec("torch") is None:
            raise MissingExtra("TabNet", "deep")
        model = fit_tabnet(
            train.matrix,
            train.y,
            train.n_classes,
            asdict(self),
            **fit_terms(train, valid, job),
        )
        return FittedTabNet(model)

    def at_rounds(self, rounds: int) -> Self:
        """Return this network stopped after so many epochs of its schedule."""
        return replace(self, rounds=rounds)

    @classmethod
    def space(cls) -> Space:
        """Return how often it attends, how wide it is, and the step size."""
        return {
            "steps": Choice((3, 4, 6)),
            "width": Choice((16, 32, 64)),
            "gamma": Range(1.0, 2.0),
            "sparsity": Range(1e-6, 1e-3, log=True),
            "learning_rate": Range(5e-3, 3e-2, log=True),
        }

    @classmethod
    def memory_mb(cls, rows: int, columns: int, classes: int) -> float:
        """Return the memory of PyTorch itself, the standardised rows, the weights and one batch."""
        weights = 4 * (7 * 2 * 128 * 256 + 2 * 128 * 256 + columns * (256 + 6 * 64))
        in_batch = min(2048, max(64, rows // 40))
        batch = 4 * in_batch * (7 * 4 * 6 * 256 + 6 * 10 * columns + 4 * max(1, classes))
        data = rows * (2 * columns * 4 + 16 + 8 * max(1, classes))
        return 245.0 + (weights * 6 + batch + data) / 2**20
