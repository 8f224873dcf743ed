"""What the README and the guides show is true: Python blocks run, commands and files exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from promise.cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def shell_lines() -> list[tuple[str, str]]:
    """Return every `promise …` line of every page."""
    found = []
    for page in PAGES:
        for block in blocks(page, "bash"):
            lines = block.replace("\\\n", " ").splitlines()
            found += [(page.name, line) for line in lines if line.startswith("promise ")]
    return found


@pytest.mark.parametrize(("page", "line"), shell_lines())
def test_a_shown_command_has_only_known_parts(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    flags = [word for word in words if word.startswith("--")]
    assert set(flags) <= known, f"{page}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


# the quickstart of serving wants its server: tests/test_quickstart.py runs it
ALONE = [p for p in PAGES if blocks(p, "python") and p.name != "serving.md"]


@pytest.mark.slow
@pytest.mark.parametrize("page", ALONE, ids=lambda page: page.name)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROMISE_HOME", str(tmp_path / "home"))
    scope: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), scope)


def test_every_setting_is_documented() -> None:
    source = (ROOT / "src/promise/settings.py").read_text(encoding="utf-8")
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"PROMISE_[A-Z]+", source)):
        assert f"`{name}`" in text
