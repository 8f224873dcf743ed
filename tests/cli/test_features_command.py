"""`promise features` over a served model: two workers, restarts, events and labels from files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from promise.cli.features import _backfilled
from promise.cli.keyed import keyed_model
from promise.data.answer import Class
from promise.data.columns import Columns
from promise.data.schema import Field
from promise.features.keyed import SEEN, VIEW
from promise.features.seen_log import seen_folder
from promise.job import Job
from promise.models.base import ESTIMATORS, MATRIX, Examples
from promise.models.blend import Member, matrix_column
from promise.models.calibrate import Calibrated
from promise.pipeline.artifact import Contents, save_pipeline
from promise.pipeline.decision import DecisionPolicy
from promise.pipeline.pipeline import Pipeline
from promise.registry.registry import Registry
from promise.settings import Settings
from promise.workloads.fraud.task import fraud_task
from promise.workloads.fraud.views import keyed_of

COLUMNS = {
    "id": "tx", "time": "when", "entity": "card", "other": "shop", "amount": "eur",
    "label": "fraud",
}  # fmt: skip
START = np.datetime64("2026-03-01T00:00:00", "us")


def table(n: int, seed: int) -> pa.Table:
    """Return labelled events."""
    rng = np.random.default_rng(seed)
    shops = rng.integers(0, 6, n)
    y = (shops == 0) & (rng.random(n) < 0.6)
    return pa.table(
        {
            "tx": [f"t{seed}-{k}" for k in range(n)],
            "when": START + np.sort(rng.integers(0, 20 * 86_400, n)) * np.timedelta64(1, "s"),
            "card": [f"c{k}" for k in rng.integers(0, 30, n)],
            "shop": [f"s{k}" for k in shops],
            "eur": rng.gamma(2.0, 20.0, n).round(2),
            "fraud": y.astype(np.int64),
        }
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an installation with a registered model `guard`, and its training data."""
    monkeypatch.setenv("PROMISE_HOME", str(tmp_path / "home"))
    pq.write_table(table(900, 1), tmp_path / "past.parquet")
    keyed = keyed_of(COLUMNS, "1d")
    formats = {"when": Field("when", "date", format="iso")}
    task = fraud_task(COLUMNS, label_delay="1d", formats=formats)
    data = table(900, 1)
    columns = Columns(
        {
            name: np.array(data[name].to_pylist(), dtype=object)
            if name in ("tx", "card", "shop") else data[name].to_numpy()
            for name in task.request.names
        }
    )  # fmt: skip
    y = data["fraud"].to_numpy()
    seen = keyed.replay(columns, Columns({"label": y.astype(np.float64)}))
    matrix = np.ascontiguousarray(seen[SEEN], dtype=np.float32)
    rows = Examples(Columns({MATRIX: matrix}), y, Class(("0", "1")), names=keyed.features.columns)
    fitted = ESTIMATORS.resolve("lightgbm")(rounds=20).fit(rows, None, Job(threads=1))
    score = Calibrated((Member(VIEW, 1.0, fitted),))
    score = score.calibrated(Columns({matrix_column(VIEW): matrix}), y)
    pipeline = Pipeline(task, score, DecisionPolicy(amount="eur"), featurize=keyed)
    golden = data.select(list(task.request.names)).slice(0, 40)
    contents = Contents(golden=golden, lineage={"schema": task.request.to_json()})
    Registry.open(Settings.load()).register(
        "guard", lambda folder: save_pipeline(pipeline, folder, contents)
    )
    return tmp_path


def promise(*arguments: str, code: int = 0) -> dict[str, Any]:
    """Run a command and return what it printed as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "promise.cli.main", *arguments, "--json"],
        capture_output=True, text=True, check=False, env=os.environ,
    )  # fmt: skip
    assert done.returncode == code, done.stderr + done.stdout
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture
def serve(home: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts a server; the fixture ends what still runs."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "promise.cli.main", "serve", "--port", "0", "--no-watch"]
        process = subprocess.Popen(
            [*command, "--json", *arguments], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        started.append(process)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline())["url"]

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(40)


def bodies(n: int, seed: int) -> list[dict[str, Any]]:
    rows = table(n, seed).drop_columns("fraud").to_pylist()
    return [row | {"when": row["when"].isoformat()} for row in rows]


def ask(url: str, body: dict[str, Any]) -> dict[str, Any]:
    got = httpx.post(f"{url}/v1/models/guard/predict", json=body, timeout=30)
    assert got.status_code == 200, got.text
    assert "fallback" not in got.json(), got.text
    return got.json()["predictions"][0]


@pytest.mark.slow
def test_served_by_two_workers_after_a_backfill_and_a_restart(
    home: Path, serve: Callable[..., Any]
) -> None:
    """Whoever answered, and however labels and events came: 0 differences, bit for bit."""
    told = promise("features", "list", "guard")
    assert {view["view"] for view in told["views"]} == {"now", "entity", "other", "pair"}
    assert told["store"] == "sqlite"
    told = promise("features", "backfill", "guard", str(home / "past.parquet"))
    assert told["events"] == 900
    assert told["entities"] > 36
    promise("deploy", "guard", "--now", "--reason", "test")
    sent = [body | {"when": body["when"].replace("2026-03", "2026-04")} for body in bodies(240, 2)]
    answered = []
    for part in (sent[:120], sent[120:]):
        process, url = serve("--workers", "2")
        with ThreadPoolExecutor(4) as pool:
            answered += pool.map(lambda body, url=url: ask(url, body), part)
        labels = [
            {"prediction_id": one["id"], "label": k % 2} for k, one in enumerate(answered[-60:])
        ]
        got = httpx.post(f"{url}/v1/labels", json={"labels": labels[:30]}, timeout=30)
        assert got.status_code == 200, got.text
        pq.write_table(pa.Table.from_pylist(labels[30:]), home / "labels.parquet")
        told = promise("label", "guard", str(home / "labels.parquet"))
        assert (told["accepted"], told["unmatched"]) == (30, 0)
        silent = [
            {"event_id": f"silent-{part[0]['tx']}-{k}", "entity": f"c{k}", "type": "transaction",
             "at": "2026-04-02T00:00:00Z", "shop": "s2", "eur": 5.0}
            for k in range(5)
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(silent), home / "silent.parquet")
        assert promise("events", "guard", str(home / "silent.parquet"))["accepted"] == 5
        with ThreadPoolExecutor(4) as pool:
            again = [body | {"tx": f"{body['tx']}-later"} for body in part[:40]]
            answered += pool.map(lambda body, url=url: ask(url, body), again)
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    told = promise("features", "check", "guard")
    assert told["holds"], told
    assert told["rows"] == 320
    assert told["labels"] == 120
    assert told["events"] == 330
    assert not told["left_out"]


@pytest.mark.slow
def test_a_model_without_views_says_so(home: Path) -> None:
    """One clear line."""
    told = promise("features", "check", "guarf", code=1)
    assert "guard" in told["error"]


@pytest.mark.slow
def test_state_of_one_process_is_refused_for_two(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told before anything starts."""
    monkeypatch.setenv("PROMISE_FEATURES", "process")
    told = promise("serve", "--port", "0", "--workers", "2", code=1)
    assert "--workers 1" in told["error"]


@pytest.mark.slow
def test_exported_state_starts_another_installation_warm(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one store tells, another takes over, entry for entry."""
    past = str(home / "past.parquet")
    filled = promise("features", "backfill", "guard", past)["entities"]
    written = promise("features", "export", "guard", "--to", str(home / "state.jsonl"))
    assert written["entities"] == filled
    monkeypatch.setenv("PROMISE_FEATURES", "process")
    taken = promise("features", "import", "guard", str(home / "state.jsonl"))
    assert taken["entities"] == filled
    assert promise("features", "backfill", "guard", past)["entities"] == 0
    assert promise("features", "backfill", "guard", past, "--replace")["entities"] == filled


@pytest.mark.slow
def test_the_check_replays_the_file_whose_states_are_in_the_store(home: Path) -> None:
    """A second file that left them as they were is not it; nor one from before the log begins."""
    settings = Settings.load()
    model = keyed_model(Registry.open(settings), "guard")
    assert model is not None
    assert _backfilled(settings, model) is None
    promise("features", "backfill", "guard", str(home / "past.parquet"))
    pq.write_table(table(300, 4), home / "other.parquet")
    promise("features", "backfill", "guard", str(home / "other.parquet"))
    before = _backfilled(settings, model)
    assert before is not None
    assert len(before) == 900
    promise("features", "backfill", "guard", str(home / "other.parquet"), "--replace")
    before = _backfilled(settings, model)
    assert before is not None
    assert len(before) == 300
    note = seen_folder(settings) / "guard" / "backfill.json"
    told = json.loads(note.read_text(encoding="utf-8"))
    note.write_text(json.dumps({**told, "at": "2020-01-01T00:00:00+00:00"}), encoding="utf-8")
    assert _backfilled(settings, model) is None
