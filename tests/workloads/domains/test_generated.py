"""Names whose answer is known: the same path that learns a million, at small size."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from promise.data.synthetic import name_ceiling, name_table
from promise.training.train import Trained, train_version

CLASSES, WRONG = 8, 0.1


def trained(rows: pa.Table, home: Path, monkeypatch: pytest.MonkeyPatch, **terms: Any) -> Trained:
    """Train in an installation of its own."""
    monkeypatch.setenv("PROMISE_HOME", str(home))
    return train_version("domains", rows, name="generated", **terms)


@pytest.mark.slow
def test_the_default_preset_comes_near_what_can_be_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = name_table(12_000, n_classes=CLASSES, wrong=WRONG)
    told = trained(rows, tmp_path, monkeypatch).to_json()
    ceiling = name_ceiling(CLASSES, WRONG)
    for split in ("random", "registrable", "brand"):
        part = told["splits"][split]
        deviation = np.sqrt(ceiling * (1 - ceiling) / part["rows"])
        # names of a brand share its error: a name of a known brand may be told better than chance
        most = 1.0 if split != "brand" else ceiling + 4 * deviation
        assert ceiling - 0.06 - 3 * deviation < part["accuracy"] < most, split
        assert part["baselines"]["suffix"]["accuracy"] < 0.3


@pytest.mark.slow
def test_neither_the_order_of_the_rows_nor_a_second_run_changes_a_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = name_table(3_000, n_classes=4)
    by_label = rows.sort_by("category")
    first = trained(rows, tmp_path / "a", monkeypatch)
    again = trained(rows, tmp_path / "b", monkeypatch)
    ordered = trained(by_label, tmp_path / "c", monkeypatch)
    assert weights(first) == weights(again)
    assert ordered.to_json()["ordered_by_label"]
    assert not first.to_json()["ordered_by_label"]
    near = first.outcome.metrics["accuracy"] - ordered.outcome.metrics["accuracy"]
    assert abs(near) < 0.03


def weights(version: Trained) -> dict[str, bytes]:
    """Return every file of the weights."""
    folder = version.version.folder / "weights"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
