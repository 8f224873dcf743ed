"""Parts are the same for any order of the rows and any number of shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from promise.data.source import open_source
from promise.data.synthetic import name_table
from promise.engine.local import LocalEngine
from promise.errors import DataError
from promise.pipeline.order import Order
from promise.workloads.domains import spool as spooling
from promise.workloads.domains.ground import Ground, lay_ground
from promise.workloads.domains.parts import parts_of, settle
from promise.workloads.domains.split import BRAND, REGISTRABLE, TRAIN


def laid(rows: pa.Table, work: Path, **terms: str) -> Ground:
    return lay_ground(open_source(rows), Order("x", work, threads=1, **terms), lambda _: None)  # type: ignore[arg-type]


def told(ground: Ground) -> list[tuple[str, str, int]]:
    return [
        (text, ground.classes[code], int(side))
        for part in parts_of(ground.spool)
        for text, code, side in zip(part.names.texts(), part.codes, part.sides, strict=True)
    ]


@pytest.mark.slow
def test_order_and_shards_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooling, "PART_ROWS", 100)
    rows = name_table(1_000, n_classes=4)
    first = laid(rows, tmp_path / "a")
    ordered = laid(rows.sort_by("category"), tmp_path / "b")
    assert first.spool.n_parts > 4
    assert told(first) == told(ordered)
    assert (first.spool.tally.ordered, ordered.spool.tally.ordered) == (False, True)
    codes = np.array([first.classes.index(name) for name in first.spool.tally.labels], np.int32)
    with LocalEngine(threads=2, memory_mb=None, preload=(settle.__module__,)) as engine:
        for used, shards in ((None, 1), (None, 5), (engine, 2)):
            found = settle(first.spool, first.split, codes, used, shards)
            np.testing.assert_array_equal(found.terms, first.found.terms)
            np.testing.assert_array_equal(found.held_terms, first.found.held_terms)
            np.testing.assert_array_equal(found.counts, first.found.counts)
            assert told(first) == told(ordered)


def test_no_group_stands_on_both_sides(tmp_path: Path) -> None:
    ground = laid(name_table(3_000, n_classes=4), tmp_path)
    for side, group in ((REGISTRABLE, "registrable_hashes"), (BRAND, "brand_hashes")):
        learned, sealed = set(), set()
        for part in parts_of(ground.spool):
            groups = getattr(part.names, group)
            learned |= set(groups[part.sides == TRAIN].tolist())
            sealed |= set(groups[part.sides == side].tolist())
        assert sealed
        assert not learned & sealed


def test_names_with_several_labels_are_settled_by_the_stated_rule(tmp_path: Path) -> None:
    rows = name_table(200, n_classes=2)
    domains = [*rows["domain"].to_pylist(), "x.com", "X.com.", "x.com", "y.com", "y.com"]
    labels = [*rows["category"].to_pylist(), "b", "a", "a", "d", "c"]
    labels += ["b", "a", "c", "d"] * 3
    domains += [f"few{i}.org" for i in range(12)]
    ground = laid(pa.table({"domain": domains, "label": labels}), tmp_path)
    classes = {text: label for text, label, _ in told(ground)}
    assert classes["x.com"] == "a"  # of most rows
    assert classes["y.com"] == "d"  # the first seen of two
    assert (ground.found.duplicates, ground.found.conflicts) == (3, 2)
    assert ground.found.examples[0][:2] == (200, "x.com")


def test_classes_of_few_names_are_never_sealed(tmp_path: Path) -> None:
    rows = name_table(500, n_classes=3)
    domains = [*rows["domain"].to_pylist(), *(f"lonely{i}.com" for i in range(40))]
    labels = [*rows["category"].to_pylist(), *(f"only-{i}" for i in range(40))]
    ground = laid(pa.table({"domain": domains, "label": labels}), tmp_path)
    sides = {label: side for _, label, side in told(ground) if label.startswith("only")}
    assert set(sides.values()) == {TRAIN}


def refused(rows: pa.Table, work: Path) -> str:
    with pytest.raises(DataError) as caught:
        laid(rows, work)
    return str(caught.value)


def test_what_cannot_be_learned_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"name{i}.com" for i in range(200)]
    apart = pa.table({"domain": names, "label": names})
    assert "200 distinct labels on 200 names" in refused(apart, tmp_path / "a")
    monkeypatch.setattr(spooling, "MOST_CLASSES", 100)
    assert "more than 100 distinct labels" in refused(apart, tmp_path / "b")
    one = pa.table({"domain": names, "label": ["a"] * 200})
    assert "one class ('a')" in refused(one, tmp_path / "c")
    unknown = pa.table({"domain": names, "label": ["a", "unknown"] * 100})
    assert "--set background=FILE" in refused(unknown, tmp_path / "d")
    no_names = pa.table({"domain": ["10.0.0.1"] * 100, "label": ["a", "b"] * 50})
    assert "row 0 is ip" in refused(no_names, tmp_path / "e")


@pytest.mark.slow
def test_rows_that_are_no_names_are_counted(tmp_path: Path) -> None:
    rows = name_table(200, n_classes=2)
    domains = [*rows["domain"].to_pylist(), "10.0.0.1", "a..b", "", "fine.com"]
    labels = [*rows["category"].to_pylist(), "category_00", "category_00", "category_00", None]
    tally = laid(pa.table({"domain": domains, "label": labels}), tmp_path).spool.tally
    assert tally.left_out == {"ip": (1, 200), "refused": (1, 201), "empty": (1, 202)}
    assert tally.unlabelled == 1
