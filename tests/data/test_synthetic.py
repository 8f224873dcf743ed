"""Generated names keep what they say: one answer, its share of errors, groups across splits."""

import numpy as np
import pytest

from promise.data.synthetic import name_ceiling, name_table


def test_names_come_once_and_the_same_seed_gives_the_same() -> None:
    table = name_table(5000)
    assert table.num_rows == len(set(table["domain"].to_pylist())) == 5000
    assert table.equals(name_table(5000))
    assert not table.equals(name_table(5000, seed=8))


def test_the_telling_stem_is_right_as_often_as_the_ceiling_says() -> None:
    clean, noisy = (name_table(20_000, n_classes=4, wrong=w) for w in (0.0, 0.2))
    answer = dict(zip(clean["domain"].to_pylist(), clean["category"].to_pylist(), strict=True))
    stems: dict[str, set[str]] = {}
    for domain, category in answer.items():
        brand = max(domain.split("."), key=len)
        stems.setdefault(brand[4:10], set()).add(category)
    assert sum(len(found) == 1 for found in stems.values()) >= 4 * 12
    told = dict(zip(noisy["domain"].to_pylist(), noisy["category"].to_pylist(), strict=True))
    shared = answer.keys() & told.keys()
    right = np.mean([answer[name] == told[name] for name in shared])
    assert right == pytest.approx(name_ceiling(4, 0.2), abs=0.02)


def test_early_categories_are_more_frequent() -> None:
    counts = np.unique(name_table(20_000)["category"].to_pylist(), return_counts=True)[1]
    assert len(counts) == 20
    assert counts[0] > 3 * counts[-1]
