"""Implicit matrix factorisation by alternating least squares, tuned as its authors advise.

The loss is that of Hu, Koren, Volinsky 2008 as Rendle, Krichene, Zhang, Koren 2022 write it
("Revisiting the Performance of iALS on Item Recommendation Benchmarks", equation 1): squared
differences from 1 over the pairs, `silence` times the squared products over all pairs, and a decay
that grows with how often a row or column is met, to the power `frequency` (their ν). A negative
weight is an explicit no: squared differences from 0. Each half-step takes a few conjugate gradient
steps from where it stood (Takács, Pilászy, Tikk 2011), all rows side by side.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

from promise.data.columns import FloatArray, IntArray
from promise.job import Job
from promise.kernels.factorization import confide
from promise.models.factors import Factors, begun, gram
from promise.models.interactions import Interactions

_TINY = np.float32(1e-20)


@dataclass(frozen=True, eq=False)
class FittedImplicitFactors(Factors):
    """Vectors learned by alternating least squares."""

    kind: ClassVar[str] = "implicit"

    def held(self, n_own: int, *, chooser: bool) -> tuple[float, float]:
        """Return the weight of silence, and the decay of a row of so many entries."""
        silence, others = self.terms["silence"], len(self.chosen if chooser else self.choosers)
        met = n_own + silence * others
        return silence, self.terms["decay"] * met ** self.terms["frequency"]


@dataclass(frozen=True)
class ImplicitFactors:
    """How vectors are learned by alternating least squares.

    Parameters
    ----------
    size
        Numbers in a vector; quality grows with it, up to several hundred.
    sweeps
        How often both sides are solved in turn.
    silence
        What a pair that nobody said anything about weighs against one that somebody did (α₀).
    decay
        How much vectors shrink (λ).
    frequency
        How much more the vectors of those who are met often shrink (ν): 0 not at all, 1 in
        proportion.
    steps
        Conjugate gradient steps of each half-step.

    Examples
    --------
    >>> likes = Interactions.from_pairs(np.array([0, 1, 2, 3]), np.array([1, 0, 3, 2]))
    >>> fitted = ImplicitFactors(size=4, sweeps=2).fit(likes, Job(seed=1))
    >>> fitted.choosers.shape, fitted.chosen.shape
    ((4, 4), (4, 4))
    """

    kind: ClassVar[str] = "implicit"
    fitted: ClassVar[type[FittedImplicitFactors]] = FittedImplicitFactors
    size: int = 128
    sweeps: int = 12
    silence: float = 0.004
    decay: float = 0.02
    frequency: float = 1.0
    steps: int = 3

    def fit(self, interactions: Interactions, job: Job) -> FittedImplicitFactors:
        """Learn from who chose whom, with as many threads as the job allows.

        Raises
        ------
        DataError
            Where there is no pair to learn from.
        """
        # products begin at a tenth or so, whatever the size (Rendle et al., section 4.1)
        choosers, chosen = begun(interactions, self.size, 0.1 / np.sqrt(self.size), job.rng())
        turned = interactions.transposed()
        # parts of rows go to threads of our own: those of BLAS wait for one another by spinning,
        # which takes many times as long where others use the machine
        with threadpool_limits(1), ThreadPoolExecutor(job.threads) as pool:
            for _ in range(self.sweeps):
                self._solve(interactions, choosers, chosen, pool, job.threads, self.steps)
                self._solve(turned, chosen, choosers, pool, job.threads, self.steps)
            self._solve(interactions, choosers, chosen, pool, job.threads, 3 * self.steps)
            terms = {"silence": self.silence, "decay": self.decay, "frequency": self.frequency}
            return FittedImplicitFactors(choosers, chosen, gram(choosers), gram(chosen), terms)

    def _solve(
        self,
        interactions: Interactions,
        own: FloatArray,
        others: FloatArray,
        pool: ThreadPoolExecutor,
        threads: int,
        steps: int,
    ) -> None:
        """Move `own` towards the least squares given the others' vectors, all rows side by side."""
        sizes = np.abs(interactions.weights)
        silence = np.float32(self.silence) * gram(others).astype(np.float32)
        met = interactions.counts + self.silence * len(others)
        decay = (self.decay * met**self.frequency).astype(np.float32)[:, None]
        bounds = _even(interactions.starts, 4 * threads)

        def applied(directions: FloatArray) -> FloatArray:
            out = np.empty_like(directions)

            def part(bound: tuple[int, int]) -> None:
                rows = slice(*bound)
                np.matmul(directions[rows], silence, out=out[rows])
                out[rows] += decay[rows] * directions[rows]
                confide(
                    interactions.starts, interactions.others, sizes, others, directions, *bound, out
                )

            list(pool.map(part, bounds))  # compiled loops let go of the interpreter
            return out

        wanted = np.maximum(interactions.weights, 0)
        rest = _summed(interactions, wanted, others) - applied(own)
        direction, size = rest.copy(), _squares(rest)
        for _ in range(steps):
            moved = applied(direction)
            step = size / np.maximum(_dots(direction, moved), _TINY)
            own += step * direction
            rest -= step * moved
            before, size = size, _squares(rest)
            direction = rest + size / np.maximum(before, _TINY) * direction

    def memory_mb(self, n: int, m: int, nnz: int) -> float:
        """Return the peak memory of a fit above the interactions themselves, in MiB."""
        # both sides, five more of the larger side (SciPy's product, residual, direction, moved and
        # one in passing), the transposed pairs, and two arrays of weights
        return (4 * self.size * (n + m + 5 * max(n, m)) + 24 * nnz + 16 * (n + m)) / 2**20


def _summed(interactions: Interactions, wanted: FloatArray, others: FloatArray) -> FloatArray:
    """Return the sum of the others' vectors over each row, each as often as it is wanted."""
    matrix = interactions.matrix()
    matrix.data = wanted
    found: FloatArray = matrix @ others
    return found


def _dots(left: FloatArray, right: FloatArray) -> FloatArray:
    found: FloatArray = np.einsum("ij,ij->i", left, right)[:, None]
    return found


def _squares(rows: FloatArray) -> FloatArray:
    return _dots(rows, rows)


def _even(starts: IntArray, parts: int) -> list[tuple[int, int]]:
    """Cut rows into parts of about as many entries each."""
    cuts = np.searchsorted(starts, np.linspace(0, starts[-1], parts + 1)[1:-1])
    ends = [0, *cuts.tolist(), len(starts) - 1]
    return list(pairwise(ends))
