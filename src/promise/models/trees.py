"""One decision tree, and forests of many."""
# ruff: noqa: ARG002, ARG003 — all families share one signature

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from promise.data.answer import Class, Number
from promise.data.columns import Array, Columns
from promise.job import Job
from promise.kernels.decision_tree import fit_decision_tree
from promise.kernels.random_forest import fit_random_forest, rounds_random_forest
from promise.kernels.tree_arrays import load_trees, predict_trees, save_trees
from promise.models.base import MATRIX, Choice, Examples, Range, Space


@dataclass(frozen=True, eq=False)
class FittedDecisionTree:
    """A tree as arrays, walked in NumPy."""

    kind: ClassVar[str] = "decision_tree"
    model: dict[str, Any]

    def predict(self, columns: Columns) -> Array:
        """Return numbers (n,) or probabilities (n, n_classes)."""
        return predict_trees(self.model, columns[MATRIX])

    def save(self, folder: Path) -> None:
        """Write the arrays."""
        save_trees(self.model, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(load_trees(folder))


@dataclass(frozen=True, eq=False)
class FittedForest(FittedDecisionTree):
    """Many trees as arrays; their leaves are averaged."""

    kind: ClassVar[str] = "random_forest"

    @property
    def rounds(self) -> int:
        """How many trees there are."""
        return rounds_random_forest(self.model)


@dataclass(frozen=True)
class DecisionTree:
    """One tree: a picture of the data rather than its best predictor.

    Parameters
    ----------
    max_depth, max_leaves
        Bounds on its size; None: none.
    min_leaf
        Least rows in a leaf.
    prune
        Cost-complexity penalty; for a Number as a share of the label's variance.
    """

    kind: ClassVar[str] = "decision_tree"
    extra: ClassVar[str | None] = None
    answers: ClassVar[frozenset[type]] = frozenset({Number, Class})
    fitted: ClassVar[type[FittedDecisionTree]] = FittedDecisionTree
    ordered: ClassVar[bool] = False

    max_depth: int | None = 12
    min_leaf: int = 5
    max_leaves: int | None = None
    prune: float = 0.0

    def fit(self, train: Examples, valid: Examples | None, job: Job) -> FittedDecisionTree:
        """Grow the tree; it takes no early stop, so `valid` is not used."""
        model = fit_decision_tree(
            train.matrix,
            train.y,
            train.n_classes,
            asdict(self),
            weight=train.weight,
            seed=job.seed,
        )
        return FittedDecisionTree(model)

    def at_rounds(self, rounds: int) -> Self:
        """Return itself: there are no rounds."""
        return self

    @classmethod
    def space(cls) -> Space:
        """Return depth, leaf size and pruning."""
        return {
            "max_depth": Choice((4, 6, 8, 12, 20, None)),
            "min_leaf": Range(1, 60, log=True, integer=True),
            "prune": Range(1e-6, 1e-2, log=True),
        }

    @classmethod
    def memory_mb(cls, rows: int, columns: int, classes: int) -> float:
        """Return the memory of scikit-learn's tree and of its arrays."""
        nodes = 0.4 * rows * (64 + 8 * max(1, classes))
        return 1.0 + (nodes + 130 * rows) / 2**20


@dataclass(frozen=True)
class Forest:
    """Many deep trees, each on its own rows and columns, averaged.

    Parameters
    ----------
    variant
        `"random"`: best cuts on bootstrapped rows (Breiman 2001); `"extra"`: random cuts on all
        rows (Geurts et al. 2006), often better and always faster.
    n_trees
        How many; a deadline may end with fewer.
    min_leaf, max_depth
        Bounds on each tree.
    max_features
        Columns tried per cut, as a share, or `"sqrt"`; None: `"sqrt"` for a Class, half for a
        Number.
    row_share
        Share of rows drawn for each tree, when rows are bootstrapped.
    criterion
        What a cut for a Class improves: `"gini"` or `"entropy"`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(40, dtype=np.float32)[:, None]
    >>> train = Examples(Columns({MATRIX: x}), (x[:, 0] > 19).astype(int), Class(("no", "yes")))
    >>> Forest(n_trees=10).fit(train, None, Job()).predict(train.columns)[[0, 39]].argmax(axis=1)
    array([0, 1])
    """

    kind: ClassVar[str] = "random_forest"
    extra: ClassVar[str | None] = None
    answers: ClassVar[frozenset[type]] = frozenset({Number, Class})
    fitted: ClassVar[type[FittedForest]] = FittedForest
    ordered: ClassVar[bool] = False

    variant: Literal["random", "extra"] = "random"
    n_trees: int = 200
    min_leaf: int = 1
    max_depth: int | None = None
    max_features: float | Literal["sqrt"] | None = None
    row_share: float = 1.0
    criterion: Literal["gini", "entropy"] = "gini"

    def fit(self, train: Examples, valid: Examples | None, job: Job) -> FittedForest:
        """Grow trees until their number or the deadline is reached."""
        model = fit_random_forest(
            train.matrix,
            train.y,
            train.n_classes,
            asdict(self),
            weight=train.weight,
            seed=job.seed,
            threads=job.threads,
            deadline_s=job.deadline_s,
        )
        return FittedForest(model)

    def at_rounds(self, rounds: int) -> Self:
        """Return this forest with so many trees."""
        return replace(self, n_trees=rounds)

    @classmethod
    def space(cls) -> Space:
        """Return the kind of trees, their size and how many columns each cut tries."""
        return {
            "variant": Choice(("random", "extra")),
            "min_leaf": Range(1, 20, log=True, integer=True),
            "max_features": Choice(("sqrt", 0.3, 0.5, 0.75, 1.0)),
            "criterion": Choice(("gini", "entropy")),
        }

    @classmethod
    def memory_mb(cls, rows: int, columns: int, classes: int) -> float:
        """Return the memory of one batch of scikit-learn's trees and of 200 packed ones."""
        # Nodes per row of a fully grown tree: numbers split to the end, few classes do not.
        nodes = rows * (1.3 if classes == 0 else min(1.2, 0.2 * classes))
        # A node while trees are joined: twice packed (13 bytes, and 4 a class in each second one),
        # once as the indices that walking needs, and what these are counted with.
        packed = 200 * nodes * (51 + 4 * max(1, classes))
        grown = 8 * nodes * (64 + 8 * max(1, classes))
        return 3.0 + (packed + grown) / 2**20
