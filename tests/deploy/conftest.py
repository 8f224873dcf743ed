"""Prometheus' own tool, which reads rules as Prometheus does."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def promtool() -> Run:
    """Return a function that runs promtool with arguments and returns what it said."""
    found = shutil.which("promtool")
    if found is None:
        reason = "promtool is not installed (Debian's package prometheus has it)"
        if os.environ.get("PROMISE_TEST_ALL"):
            pytest.fail(f"{reason}, and PROMISE_TEST_ALL asks for every test")
        pytest.skip(reason)

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [found, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    return run
