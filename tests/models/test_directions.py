"""Centres lie where vectors point, and each vector goes to its own."""

import numpy as np

from promise.models import directions as room
from promise.models.directions import directions, nearest_direction, unit


def bundles(n: int, each: int, size: int, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors around n directions, and which each is around."""
    rng = np.random.default_rng(seed)
    middles = unit(rng.normal(size=(n, size)).astype(np.float32))
    member = np.repeat(np.arange(n), each)
    noise = 0.02 * rng.normal(size=(n * each, size)).astype(np.float32)
    return unit(middles[member] + noise), member


def test_bundles_are_found() -> None:
    vectors, member = bundles(6, 80, 12)
    centres = directions(vectors, 24, np.random.default_rng(1))
    found = nearest_direction(vectors, centres)
    pure = [len(np.unique(member[found == one])) for one in np.unique(found)]
    assert set(pure) == {1}
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, rtol=1e-5)


def test_no_centre_is_left_empty_where_vectors_differ() -> None:
    vectors, _ = bundles(3, 200, 8)
    centres = directions(vectors, 40, np.random.default_rng(2))
    assert np.isfinite(centres).all()
    assert len(np.unique(nearest_direction(vectors, centres))) > 35


def test_the_same_seed_gives_the_same_centres() -> None:
    vectors, _ = bundles(5, 50, 8)
    one, two = (directions(vectors, 16, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_vectors_without_length_or_all_alike_are_no_trouble() -> None:
    for vectors in (np.zeros((30, 4), np.float32), np.ones((30, 4), np.float32) / 2):
        centres = directions(vectors, 8, np.random.default_rng(5))
        assert np.isfinite(centres).all()
        assert nearest_direction(vectors, centres).max() < 8


def test_grouped_centres_give_nearly_what_all_of_them_give() -> None:
    rng = np.random.default_rng(6)
    vectors = unit(bundles(60, 40, 16)[0] + 0.1 * rng.normal(size=(2400, 16)))
    centres = vectors[rng.permutation(len(vectors))[: room._PLAIN + 100]]
    found = nearest_direction(vectors, centres)
    best = (vectors @ centres.T).max(axis=1)
    reached = np.einsum("ij,ij->i", vectors, centres[found])
    assert (reached >= best - 1e-6).mean() > 0.9
    assert (best - reached).mean() < 0.01
