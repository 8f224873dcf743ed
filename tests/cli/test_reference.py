"""The command reference is what the commands say."""

from __future__ import annotations

from pathlib import Path

from promise.cli.reference import reference

DOCS = Path(__file__).parents[2] / "docs"


def test_the_reference_is_up_to_date() -> None:
    written = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert written == reference(), "run: python -m promise.cli.reference > docs/cli.md"
