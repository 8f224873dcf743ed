"""Servers for tests: a running one if it answers, else a private one, else a skip with a reason."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


def _unavailable(reason: str) -> None:
    if os.environ.get("PROMISE_TEST_ALL"):
        pytest.fail(f"{reason}, and PROMISE_TEST_ALL asks for every test")
    pytest.skip(reason)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield a SQLAlchemy URL of a Postgres that may create databases."""
    pytest.importorskip("psycopg", reason="the postgres extra is not installed")
    given = os.environ.get("PROMISE_TEST_DATABASE")
    if given:
        yield given
        return
    if _answers(5432):
        yield "postgresql+psycopg://root@127.0.0.1:5432/test"
        return
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not binaries or shutil.which("runuser") is None:
        _unavailable("no Postgres answers on 5432 and none is installed")
    yield from _private_postgres(binaries[-1].parent, tmp_path_factory.mktemp("postgres"))


def _private_postgres(binaries: Path, folder: Path) -> Iterator[str]:
    as_postgres = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder.chmod(0o777)
    for parent in list(folder.parents)[:3]:
        parent.chmod(0o755)
    data, port = folder / "data", "54329"
    subprocess.run(
        [*as_postgres, binaries / "initdb", "-D", data, "-A", "trust", "-U", "root"],
        check=True, capture_output=True,
    )  # fmt: skip
    server = subprocess.Popen(
        [*as_postgres, binaries / "postgres", "-D", data, "-p", port, "-k", folder],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while not _answers(int(port)) and time.monotonic() < deadline:
            time.sleep(0.1)
        yield f"postgresql+psycopg://root@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(timeout=30)
