"""`--config` is read whole: whatever is strange in it fails before any work begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from promise.cli.config import read_config
from promise.errors import ConfigError


def test_the_name_is_found(tmp_path: Path) -> None:
    path = tmp_path / "promise.toml"
    path.write_text('name = "churn"\n', encoding="utf-8")
    assert read_config(path)["name"] == "churn"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nmae = 'churn'", "there is no key 'nmae'; did you mean 'name'"),
        ("[promises]\nspeed = { that = 'latency_p99', at_most = 'fast' }", "promises.speed"),
        ("[promises", "Expected ']'"),
    ],
)
def test_what_is_strange_is_told_with_the_flag(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "promise.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as told:
        read_config(path)
    assert str(told.value).startswith(f"--config {path}: ")
    assert words in str(told.value)
