"""Answers in files and tables: killed at any moment, whoever goes on ends with the same."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from promise.data.rows import BadRows
from promise.data.source import open_source
from promise.errors import ConfigError, DataError, FitFailed
from promise.registry.registry import Registry
from promise.settings import Settings
from promise.training.model import Model, load
from promise.training.outputs import output_of
from promise.training.predict import predict_file
from promise.training.train import train_version

POSTGRES = os.environ.get("PROMISE_TEST_DATABASE", "postgresql+psycopg://root@127.0.0.1:5432/test")
ROWS, CHUNK = 100, 16
WORDS = ("bank", "news", "game", "shop")
RUN = (
    "import sys; from pathlib import Path; from promise.training.model import load;"
    "from promise.training.outputs import output_of;"
    "from promise.training.predict import predict_file;"
    "from promise.data.source import open_source; m = load('names');"
    "predict_file(m.pipeline, open_source(sys.argv[1]), output_of(sys.argv[2], Path(sys.argv[3])),"
    f"version=m.version, chunk_rows={CHUNK}, resume=True)"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A house with one small model of names, and names to answer in a file and in a table."""
    home = tmp_path_factory.mktemp("outputs")
    names = [f"{WORDS[i % 4]}{i}.{WORDS[i % 4]}.com" for i in range(400)]
    settings = Settings.load({"PROMISE_HOME": str(home)})
    data = pa.table({"domain": names, "label": [WORDS[i % 4] for i in range(400)]})
    train_version("domains", data, name="names", settings=settings, threads=1)
    asked = [f"{WORDS[i % 3]}-{(i * 37) % 101}.com" for i in range(ROWS)]
    pq.write_table(pa.table({"domain": asked}), home / "asked.parquet")
    engine = sa.create_engine(f"sqlite:///{home}/asked.db")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE asked (domain TEXT, n INTEGER)"))
        connection.execute(sa.text("CREATE INDEX by_name ON asked (domain)"))
        rows = [{"d": name, "n": n} for n, name in enumerate(asked)]
        connection.execute(sa.text("INSERT INTO asked VALUES (:d, :n)"), rows)
    engine.dispose()
    return home


@pytest.fixture(scope="module")
def model(home: Path) -> Model:
    return load("names", Registry.open(Settings.load({"PROMISE_HOME": str(home)})))


@pytest.fixture(scope="module")
def whole(home: Path, model: Model) -> pa.Table:
    """What a run without any kill writes."""
    predict_file(model.pipeline, open_source(home / "asked.parquet"), home / "whole.parquet")
    return pq.read_table(home / "whole.parquet")


@pytest.fixture(params=["sqlite", "postgres"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a table that is not there yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/out.db::answers"
        return
    name = f"answers_{uuid.uuid4().hex[:8]}"
    engine = sa.create_engine(POSTGRES)
    try:
        with engine.begin():
            pass
    except (sa.exc.OperationalError, ImportError) as error:
        pytest.skip(f"no Postgres: {type(error).__name__}")
    yield f"{POSTGRES}::{name}"
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP TABLE IF EXISTS {name}"))
    engine.dispose()


def predicted(home: Path, model: Model, out: str, **more: Any) -> Any:
    source = open_source(home / "asked.parquet")
    to = output_of(out, home)
    return predict_file(
        model.pipeline, source, to, version=model.version, **{"chunk_rows": CHUNK, **more}
    )


def rows_of(url: str) -> list[dict[str, Any]]:
    """A table's rows by their number, which leaves them."""
    address, _, name = url.partition("::")
    engine = sa.create_engine(address)
    try:
        with engine.connect() as connection:
            found = connection.execute(sa.text(f"SELECT * FROM {name} ORDER BY row")).mappings()
            rows = [dict(row) for row in found]
    finally:
        engine.dispose()
    assert [row.pop("row") for row in rows] == list(range(len(rows)))
    return rows


@pytest.mark.slow
def test_a_table_has_what_a_file_has_and_the_next_answers_take_its_place(
    home: Path, model: Model, whole: pa.Table, table: str
) -> None:
    done = predicted(home, model, table)
    assert (done.rows, done.out.endswith(table[-8:])) == (ROWS, True)
    assert rows_of(table) == whole.to_pylist()
    predicted(home, model, table, chunk_rows=40)
    assert rows_of(table) == whole.to_pylist()
    assert not list((home / "predict").glob(".*"))


def test_a_table_of_something_else_is_left_alone_before_anything_is_answered(
    home: Path, model: Model, tmp_path: Path
) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/out.db")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE people (id INTEGER, name TEXT)"))
    engine.dispose()
    seen: list[int] = []
    with pytest.raises(DataError, match=r"holds no answers \(its columns are id, name\)"):
        predicted(home, model, f"sqlite:///{tmp_path}/out.db::people", progress=seen.append)
    assert not seen


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("answers.txt", r"must be \.csv or \.parquet"),
        ("sqlite:///x.db", "put ::TABLE behind"),
        ("sqlite:///x.db::a b", "put ::TABLE behind"),
        ("mysql://host/news::answers", "written to SQLite files and to Postgres"),
        ("sqlite://::answers", "written to SQLite files and to Postgres"),
    ],
)
def test_where_answers_cannot_go_is_told(out: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        _ = output_of(out, tmp_path).name


def run_killed(home: Path, out: str, failpoint: str) -> int:
    told = {"PROMISE_HOME": str(home), "PROMISE_FAILPOINT": failpoint}
    command = [sys.executable, "-c", RUN, str(home / "asked.parquet"), out, str(home)]
    return subprocess.run(command, env={**os.environ, **told}, check=False).returncode


@pytest.mark.slow
@pytest.mark.parametrize("point", ["predict.table.filled", "predict.table.kept"])
def test_a_kill_at_the_commit_leaves_the_table_whole_or_absent(
    home: Path, model: Model, whole: pa.Table, table: str, point: str
) -> None:
    assert run_killed(home, table, point) == -signal.SIGKILL
    if point.endswith("filled"):
        address, _, name = table.partition("::")
        engine = sa.create_engine(address)
        assert not sa.inspect(engine).has_table(name)
        engine.dispose()
    seen: list[int] = []
    predicted(home, model, table, resume=True, progress=seen.append)
    assert rows_of(table) == whole.to_pylist()
    assert not list((home / "predict").glob(".*"))


class Restless:
    """A query without an order: each pass begins at another of its rows."""

    name, bad_rows = "restless", BadRows()

    def __init__(self, names: list[str]) -> None:
        self.names, self.columns, self.passes = names, ("domain",), 0

    def fingerprint(self) -> str:
        return "the same"

    def batches(self, _: Any, chunk_rows: int) -> Iterator[tuple[int, pa.Table]]:
        self.passes += 1
        names = np.roll(np.array(self.names, dtype=object), 5 * self.passes).tolist()
        for first in range(0, len(names), chunk_rows):
            yield first, pa.table({"domain": names[first : first + chunk_rows]})


def test_rows_in_another_order_are_answered_again_not_doubled(
    home: Path, model: Model, whole: pa.Table, tmp_path: Path
) -> None:
    out, asked = tmp_path / "a.parquet", pq.read_table(home / "asked.parquet")["domain"]
    source: Any = Restless(asked.to_pylist())

    def dies(rows: int) -> None:
        if rows >= 3 * CHUNK:
            raise FitFailed("killed", "crash")

    with contextlib.suppress(FitFailed):
        predict_file(model.pipeline, source, out, chunk_rows=CHUNK, progress=dies)
    predict_file(model.pipeline, source, out, chunk_rows=CHUNK, resume=True)
    turned = np.roll(np.arange(ROWS), 5 * source.passes)
    assert pq.read_table(out).equals(whole.take(turned))


def test_a_table_without_a_key_is_answered_in_its_order_and_a_query_says_whether_it_has_one(
    home: Path, model: Model, whole: pa.Table, tmp_path: Path
) -> None:
    address = f"sqlite:///{home}/asked.db"
    source = open_source(f"{address}::asked")
    predict_file(model.pipeline, source, tmp_path / "a.parquet", chunk_rows=CHUNK)
    assert pq.read_table(tmp_path / "a.parquet").equals(whole)
    assert source.ordered
    assert not open_source(f"{address}::SELECT domain FROM asked").ordered
    assert open_source(f"{address}::SELECT domain FROM asked ORDER BY n").ordered


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["file", "table"])
def test_kill_9_at_random_moments_ends_with_the_same(
    home: Path, whole: pa.Table, tmp_path: Path, kind: str
) -> None:
    out = str(tmp_path / "a.parquet") if kind == "file" else f"sqlite:///{tmp_path}/a.db::answers"
    query = f"sqlite:///{home}/asked.db::SELECT domain FROM asked ORDER BY n"
    env = {**os.environ, "PROMISE_HOME": str(home)}
    waiting = output_of(out, home).parts.folder
    command = [sys.executable, "-c", RUN, query, out, str(home)]
    rng = random.Random(7)
    for enough in (1, 3, 5):  # as many parts are there when the blow falls, or a few more
        with subprocess.Popen(command, env=env) as process:
            while process.poll() is None and len(list(waiting.glob("0*"))) < enough:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.001)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.random() * 0.005)
            process.kill()
    assert subprocess.run(command, env=env, check=False).returncode == 0
    found = pq.read_table(out).to_pylist() if kind == "file" else rows_of(out)
    assert found == whole.to_pylist()
    assert not waiting.exists()
