"""The quickstart of serving is run from its first block to its last, in a folder of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "serving.md"


@pytest.fixture
def port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Reader:
    """Does what a reader of the page does: files are written, commands typed, Python goes on."""

    def __init__(self, folder: Path, port: int) -> None:
        """Start with an empty installation whose commands come from this environment."""
        commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {
            **os.environ, "PATH": commands, "PROMISE_HOME": str(folder / "home"),
        }  # fmt: skip
        self.folder, self.port = folder, port
        self.started: list[subprocess.Popen[bytes]] = []
        self.scope: dict[str, object] = {}
        self.said = ""

    def read(self, language: str, block: str) -> None:
        """Follow one block."""
        block = block.replace("8000", str(self.port))
        if language == "toml":
            (self.folder / block.split("\n", 1)[0].removeprefix("# ")).write_text(block)
        elif language == "python":
            exec(compile(block, PAGE.name, "exec"), self.scope)
        elif language == "bash":
            for line in block.splitlines():
                self.type(line)

    def type(self, line: str) -> None:
        """Type one command; one that ends in & keeps running."""
        if line.endswith("&"):
            self.started.append(
                subprocess.Popen(
                    ["bash", "-c", f"exec {line[:-1]}"],
                    cwd=self.folder,
                    env=self.environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
            return
        ran = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ran.returncode == 0, f"{line}\n{ran.stdout}\n{ran.stderr}"
        self.said += ran.stdout

    def stop(self) -> None:
        """End what still runs, as Ctrl-C would."""
        for process in self.started:
            process.send_signal(signal.SIGINT)
        for process in self.started:
            process.wait(timeout=60)


@pytest.fixture
def reader(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """Yield a reader in an empty folder; what it started is ended."""
    monkeypatch.chdir(tmp_path)
    found = Reader(tmp_path, port)
    yield found
    found.stop()


@pytest.mark.slow
def test_the_quickstart_of_serving_runs(reader: Reader) -> None:
    blocks = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for language, block in blocks:
        reader.read(language, block)
    assert "tumours@1 is live now" in reader.said
    assert "quality is broken" in reader.said
    assert "chain: intact" in reader.said
    assert [process.poll() for process in reader.started] == [None]
    reader.stop()
    assert [process.returncode for process in reader.started] == [0]
