"""A world of two blocks, each of which chooses within itself: the right candidates are known."""

import numpy as np

from promise.models.interactions import Interactions

SIDE = 40


def two_blocks(seed: int = 3, each: int = 8, side: int = SIDE) -> Interactions:
    """Return who chose whom; the first half of both sides is the first block."""
    rng = np.random.default_rng(seed)
    chosen = [rng.choice(side, each, replace=False) + side * (u // side) for u in range(2 * side)]
    return Interactions.from_pairs(
        np.repeat(np.arange(2 * side), each), np.concatenate(chosen), shape=(2 * side, 2 * side)
    )


def clustered(n: int, size: int, seed: int = 5, groups: int = 20) -> np.ndarray:
    """Return vectors around some centres, float32 (n, size), of uneven lengths as trained ones."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(groups, size))
    rows = centres[rng.integers(0, groups, n)] + 0.6 * rng.normal(size=(n, size))
    return (rows * rng.gamma(4.0, 0.25, (n, 1))).astype(np.float32)
