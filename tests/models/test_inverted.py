"""Lists hold every row once, open in the right order, and are shared where they are mapped."""

from pathlib import Path

import numpy as np
import pytest
from tests.models.worlds import clustered

from promise.errors import ArtifactError
from promise.job import Job
from promise.models.inverted import Inverted

ROWS = clustered(2000, 16)
NONE = np.zeros(len(ROWS), bool)


@pytest.fixture(scope="module")
def inverted() -> Inverted:
    """Return a file over rows of uneven length."""
    return Inverted.build(ROWS, ROWS, 0.95, Job(seed=3))


def test_each_row_lies_in_one_list(inverted: Inverted) -> None:
    assert sorted(inverted.rows.tolist()) == list(range(len(ROWS)))
    assert (inverted.starts[0], inverted.starts[-1]) == (0, len(ROWS))
    assert len(inverted.starts) == inverted.lists + 1
    assert (np.diff(inverted.starts) >= 0).all()


def test_codes_are_within_half_a_step(inverted: Inverted) -> None:
    steps = inverted.scales[:, None]
    assert (np.abs(inverted.codes * steps - ROWS[inverted.rows]) <= 0.5001 * steps).all()


def test_as_few_lists_are_opened_as_the_recall_allows(inverted: Inverted) -> None:
    assert inverted.recall >= inverted.wanted == 0.95
    assert inverted.opened < inverted.lists
    more = Inverted.build(ROWS, ROWS, 0.999, Job(seed=3))
    assert more.opened > inverted.opened


def test_the_same_seed_builds_the_same_file(inverted: Inverted) -> None:
    again = Inverted.build(ROWS, ROWS, 0.95, Job(seed=3))
    np.testing.assert_array_equal(again.rows, inverted.rows)
    assert again.opened == inverted.opened


def test_who_is_gone_is_passed_over_and_others_take_the_place(inverted: Inverted) -> None:
    query = ROWS[5]
    gone = NONE.copy()
    gone[inverted.nearest(query, 100, NONE)] = True
    found = inverted.nearest(query, 100, gone)
    assert len(found) >= 100
    assert not gone[found].any()
    gone[:] = True
    gone[[3, 900]] = False
    assert sorted(inverted.nearest(query, 100, gone).tolist()) == [3, 900]
    gone[:] = True
    assert not len(inverted.nearest(query, 100, gone))


def test_more_than_the_opened_lists_hold_are_found(inverted: Inverted) -> None:
    assert len(inverted.nearest(ROWS[5], 1500, NONE)) >= 1500
    assert len(inverted.nearest(ROWS[5], 5000, NONE)) == len(ROWS)


def test_lists_of_long_rows_are_opened_first() -> None:
    rng = np.random.default_rng(4)
    near, far = np.array([1.0, 0.2]), np.array([1.0, 0.6])
    noise = 0.01 * rng.normal(size=(2, 400, 2))
    rows = np.concatenate([near + noise[0], 5 * (far + noise[1])]).astype(np.float32)
    file = Inverted.build(rows, rows, 0.1, Job(seed=3))
    assert file.opened == 1
    found = file.nearest(np.array([1.0, 0.2], np.float32), 5, np.zeros(800, bool))
    assert (found >= 400).all()


@pytest.mark.parametrize("mapped", [False, True])
def test_what_is_saved_is_loaded(inverted: Inverted, tmp_path: Path, mapped: bool) -> None:
    inverted.save(tmp_path)
    again = Inverted.load(tmp_path, mapped=mapped)
    assert (again.opened, again.recall) == (inverted.opened, inverted.recall)
    np.testing.assert_array_equal(
        again.nearest(ROWS[7], 50, NONE), inverted.nearest(ROWS[7], 50, NONE)
    )
    assert again.codes.flags.writeable != mapped
    assert isinstance(again.codes.base, np.memmap) == mapped


def test_a_file_in_another_format_is_refused(inverted: Inverted, tmp_path: Path) -> None:
    inverted.save(tmp_path)
    (tmp_path / "inverted.faiss").write_bytes(b"IwFl")
    with pytest.raises(ArtifactError, match="train the version again"):
        Inverted.load(tmp_path)
