"""Matrix factorisation by stochastic gradient descent, pair after pair.

Each person has one vector as chooser and one as chosen. The loss is the squared difference between
their product and the target: 1 for each yes, 0 for each explicit no and for `negatives` strangers
drawn evenly for each yes of an epoch, plus `decay` times the squared lengths of both vectors at
each step (Koren, Bell, Volinsky 2009, equation 2, without biases: inner products alone must rank).
A stranger drawn may be somebody whom the chooser said yes to; with many to draw from that is rare.
Who is in no pair has no taste yet, or is like nobody: their vectors are zero, not what they began
with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from promise.job import Job
from promise.kernels import factorization as kernel
from promise.models.factors import Factors, begun, gram
from promise.models.interactions import Interactions


@dataclass(frozen=True, eq=False)
class FittedFactorization(Factors):
    """Vectors learned by descent."""

    kind: ClassVar[str] = "factorization"

    def held(self, n_own: int, *, chooser: bool) -> tuple[float, float]:
        """Return the expected pull of the strangers drawn, and the decay of as many steps."""
        drawn = self.terms["negatives"]
        if chooser:
            return n_own * drawn / len(self.chosen), self.terms["decay"] * n_own * (1.0 + drawn)
        # whoever has many yeses draws many strangers: the gram is weighted by them
        met = drawn * self.terms["n_yes"] / len(self.chosen)
        return drawn / len(self.chosen), self.terms["decay"] * (n_own + met)


@dataclass(frozen=True)
class Factorization:
    """How the first design learns its vectors: the same seed gives the same bits.

    Parameters
    ----------
    size
        Numbers in a vector.
    spread
        Standard deviation of the normal distribution that vectors begin with.
    epochs
        Passes over all pairs.
    rate
        Length of the first step; it falls linearly to a tenth of that.
    decay
        How much vectors shrink.
    negatives
        Strangers drawn for each yes.

    Examples
    --------
    >>> likes = Interactions.from_pairs(np.array([0, 1, 2, 3]), np.array([1, 0, 3, 2]))
    >>> fitted = Factorization(size=4, epochs=3).fit(likes, Job(seed=1))
    >>> fitted.choosers.shape, fitted.chosen.shape
    ((4, 4), (4, 4))
    """

    kind: ClassVar[str] = "factorization"
    fitted: ClassVar[type[FittedFactorization]] = FittedFactorization
    size: int = 64
    spread: float = 0.1
    epochs: int = 100
    rate: float = 0.1
    decay: float = 0.03
    negatives: int = 4

    def fit(self, interactions: Interactions, job: Job) -> FittedFactorization:
        """Learn from who chose whom; one thread, whatever the job allows.

        Raises
        ------
        DataError
            Where there is no pair to learn from.
        """
        rng = job.rng()
        choosers, chosen = begun(interactions, self.size, self.spread, rng)
        rows, nnz = interactions.rows(), interactions.nnz
        for epoch in range(self.epochs):
            order = rng.permutation(nnz).astype(np.int32)
            drawn = rng.integers(0, len(chosen), (nnz, self.negatives), np.int32)
            rate = self.rate * (1.0 - 0.9 * epoch / self.epochs)
            kernel.descend(
                rows, interactions.others, interactions.weights, order, drawn,
                choosers, chosen, rate, self.decay,
            )  # fmt: skip
        liked = rows[interactions.weights > 0]
        yes = np.bincount(liked, minlength=len(choosers)).astype(np.float32)
        # what vectors begin with tells nothing of those who are in no pair
        choosers[np.bincount(rows, minlength=len(choosers)) == 0] = 0.0
        chosen[np.bincount(interactions.others, minlength=len(chosen)) == 0] = 0.0
        return FittedFactorization(
            choosers=choosers,
            chosen=chosen,
            chooser_gram=gram(choosers, yes),
            chosen_gram=gram(chosen),
            terms={
                "negatives": self.negatives,
                "decay": self.decay,
                "n_yes": float(yes.sum()),
            },
        )

    def memory_mb(self, n: int, m: int, nnz: int) -> float:
        """Return the peak memory of a fit above the interactions themselves, in MiB."""
        # one side is drawn as float64; an epoch holds rows, order (as int64 first) and strangers
        drawn, epoch = 8 * max(n, m) * self.size, nnz * (16 + 4 * self.negatives)
        return (4 * (n + m) * self.size + max(drawn, epoch)) / 2**20
