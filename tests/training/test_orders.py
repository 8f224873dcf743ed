"""What a version was ordered with leads to the same files from any folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from promise.data.synthetic import name_table
from promise.settings import Settings
from promise.training.train import train_version


@pytest.mark.slow
def test_option_files_are_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    classes = name_table(300, n_classes=3).column("category").to_pylist()
    Path("rules.csv").write_text(f"example.org {classes[0]}\n", encoding="utf-8")
    settings = Settings.load({"PROMISE_HOME": str(tmp_path / "home")})
    version = train_version(
        "domains", name_table(300, n_classes=3), name="apps", settings=settings,
        options={"rules": "rules.csv", "reject": "0.1"},
    ).version  # fmt: skip
    kept = version.lineage["order"]["options"]
    assert kept == {"rules": str(tmp_path / "rules.csv"), "reject": "0.1"}
