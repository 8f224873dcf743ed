"""The page on promises shows only files that are read, and tells of every measure."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from promise.promises.measures import KNOWN
from promise.promises.read import model_file

PAGE = (Path(__file__).parents[2] / "docs" / "promises.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_shown_file_is_read(block: str) -> None:
    assert model_file(tomllib.loads(block), "docs/promises.md").promises


def test_there_are_files_to_read() -> None:
    assert len(BLOCKS) >= 3


@pytest.mark.parametrize("name", KNOWN)
def test_every_measure_is_told_of(name: str) -> None:
    assert f"`{name}`" in PAGE
