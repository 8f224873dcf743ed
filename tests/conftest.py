"""Servers and databases for tests.

A server that runs already is taken if it answers, else a private one is started, else the tests
that need it are skipped with a reason.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from promise.state.database import Database


def _unavailable(reason: str) -> None:
    if os.environ.get("PROMISE_TEST_ALL"):
        pytest.fail(f"{reason}, and PROMISE_TEST_ALL asks for every test")
    pytest.skip(reason)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a Redis, without a database number."""
    pytest.importorskip("redis", reason="the redis extra is not installed")
    given = os.environ.get("PROMISE_TEST_REDIS")
    if given:
        yield given.rstrip("/")
        return
    if _answers(6379):
        yield "redis://127.0.0.1:6379"
        return
    binary = shutil.which("redis-server")
    if binary is None:
        _unavailable("no Redis answers on 6379 and none is installed")
        return
    port = _free_port()
    server = subprocess.Popen(
        [binary, "--port", str(port), "--save", "", "--dir", tmp_path_factory.mktemp("redis")],
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while not _answers(port) and time.monotonic() < deadline:
        time.sleep(0.1)


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


@pytest.fixture
def postgres_schema(postgres_url: str) -> Iterator[str]:
    """Yield the URL of an empty schema."""
    url = sa.make_url(postgres_url)
    schema = f"t{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    own = url.update_query_dict({"options": f"-csearch_path={schema}"})
    yield own.render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database: a SQLite file, or a schema of its own in Postgres."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/deep/promise.db"
    return str(request.getfixturevalue("postgres_schema"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Yield an empty database of each kind, closed at the end."""
    made = Database(database_url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """Yield the address of an S3 server of this process."""
    pytest.importorskip("s3fs", reason="the s3 extra is not installed")
    moto_server = pytest.importorskip("moto.server", reason="moto is not installed")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of an empty bucket; the environment points at its server."""
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bucket = f"t{uuid.uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return bucket


def _private_postgres(binaries: Path, folder: Path) -> Iterator[str]:
    as_postgres = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder.chmod(0o777)
    for parent in list(folder.parents)[:3]:
        parent.chmod(0o755)
    data, port = folder / "data", str(_free_port())
    subprocess.run(
        [*as_postgres, binaries / "initdb", "-D", data, "-A", "trust", "-U", "root"],
        check=True, capture_output=True,
    )  # fmt: skip
    server = subprocess.Popen(
        [*as_postgres, binaries / "postgres", "-D", data, "-p", port, "-k", folder],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for(int(port))
        yield f"postgresql+psycopg://root@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(timeout=30)
