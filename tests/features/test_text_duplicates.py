"""Copies and near copies are found, and nothing else."""

import numpy as np
import pytest

from promise.features.text_duplicates import Duplicates, groups
from promise.job import Job


def texts(n: int, *, n_words: int = 80, seed: int = 4) -> list[list[str]]:
    """Return random texts as lists of words; no two share runs of words to speak of."""
    rng = np.random.default_rng(seed)
    return [[f"w{word}" for word in row] for row in rng.integers(2000, size=(n, n_words)).tolist()]


def joined(lists: list[list[str]]) -> list[str]:
    """Return texts of lists of words."""
    return [" ".join(words) for words in lists]


def test_planted_near_copies_are_found_and_no_others() -> None:
    whole = texts(300)
    copies = [[*words[:40], "changed", *words[41:]] for words in whole[:100]]
    found = groups(joined(whole + copies))
    assert found[:300].tolist() == list(range(300))
    assert found[300:].tolist() == list(range(100))


def test_copies_differ_in_markup_capitals_and_punctuation() -> None:
    found = groups(["Rates rise, again.", "<p>RATES rise</p> again", "rates again rise", None, ""])
    assert found.tolist() == [0, 0, 1, 2, 3]


@pytest.mark.parametrize(("changed", "together"), [(3, True), (12, False)])
def test_the_threshold_is_that_of_exact_similarity(changed: int, together: bool) -> None:
    # Each changed word far from the others takes 4 runs from both sides: of 97 runs each.
    words = texts(1, n_words=100)[0]
    other = list(words)
    for place in range(changed):
        other[4 + 8 * place] = "other"
    shared = 97 - 4 * changed
    assert (shared / (2 * 97 - shared) >= 0.75) == together
    found = Duplicates(threshold=0.75).groups(joined([words, other]))
    assert (found[0] == found[1]) == together


def test_groups_go_on_from_copy_to_copy() -> None:
    words = texts(1, n_words=100)[0]
    chain = [[*(["new"] * i), *words[i:]] for i in range(0, 30, 5)]
    found = groups(joined(chain))
    assert set(found.tolist()) == {0}
    assert len(set(groups(joined([chain[0], chain[-1]])).tolist())) == 2


def test_many_copies_of_one_text_stay_one_group() -> None:
    words = texts(1)[0]
    copies = [[*words[:i], "x", *words[i + 1 :]] for i in range(0, 80)]
    assert set(groups(joined([words, *copies])).tolist()) == {0}


def test_groups_do_not_depend_on_the_seed_or_the_order() -> None:
    whole = texts(60)
    near = [[*words[:20], "y", *words[21:]] for words in whole[:30]]
    given = joined(whole + near)
    order = np.random.default_rng(1).permutation(len(given))
    first = Duplicates().groups(given)
    second = Duplicates().groups([given[i] for i in order.tolist()], Job(seed=99))
    same = first[:, None] == first[None, :]
    np.testing.assert_array_equal(second[:, None] == second[None, :], same[order][:, order])


def test_none_and_one() -> None:
    assert groups([]).tolist() == []
    assert groups(["a"]).tolist() == [0]
