"""The folder of an export: whole or absent, and honest about what it holds."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from promise.discovery.export import ExportPlan, export, run_isolated, verify
from promise.discovery.export.prose import interval
from promise.errors import ArtifactError, DataError

Build = Callable[..., Any]
N_ROWS = 240


@pytest.mark.slow
def test_only_an_export_is_replaced(blend: tuple[ExportPlan, Path], tmp_path: Path) -> None:
    plan, folder = blend
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtifactError, match="no export"):
        export(plan, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()
    assert export(plan, folder) == folder
    assert not list(folder.parent.glob(".*part*"))


def test_the_manifest_knows_every_file(blend: tuple[ExportPlan, Path]) -> None:
    _, folder = blend
    manifest = json.loads((folder / "manifest.json").read_text())
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    assert files - {"manifest.json"} == set(manifest["files"])
    assert manifest["lineage"]["holdout_rows"] == N_ROWS // 4


@pytest.mark.slow
def test_a_failing_export_leaves_nothing(
    blend: tuple[ExportPlan, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, _ = blend

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("promise.discovery.export.write_artifacts", full)
    with pytest.raises(DataError, match="disk is full"):
        export(plan, tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_score_that_is_undefined_is_said_to_be(
    blend: tuple[ExportPlan, Path], tmp_path: Path, readable: Build
) -> None:
    plan, _ = blend
    only = np.flatnonzero(plan.holdout["y"] == "no")  # one class: no curve to measure below
    few = replace(
        plan, metric="roc_auc", score=float("nan"), ci=(None, None), baseline_score=None,
        validation_score=float("nan"), holdout_rows=plan.holdout_rows[only],
        holdout={name: values[only] for name, values in plan.holdout.items()},
        leaderboard={"models": [{"name": "a", "family": "linear", "score": float("nan")}]},
        importance=({"feature": "age", "mean": None, "low": None, "high": None},),
    )  # fmt: skip
    folder = export(few, tmp_path / "export")
    data = tmp_path / "orders.csv"
    data.write_bytes(Path(plan.reader["paths"][0]).read_bytes())
    found = verify(folder, data=data, expected_score=None)
    assert (found.ok, found.score) == (True, None), found.sentence
    assert "undefined" in found.sentence
    assert verify(folder, data=data, expected_score=float("nan")).ok
    assert not verify(folder, data=data, expected_score=0.5).ok
    card = (folder / "MODEL_CARD.md").read_text()
    assert "**undefined**" in card
    assert "nan" not in card
    assert json.loads((folder / "manifest.json").read_text())["score"] is None
    done = run_isolated(folder, ["evaluate.py"], ["--data", str(data)], sys.executable, 120)
    assert "holdout rows: undefined" in done.stdout, done.stderr
    readable(folder)
    halfway = replace(plan, ci=(0.5, float("nan")))
    assert "(95 % interval undefined)" in interval(halfway)
