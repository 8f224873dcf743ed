"""The main job, end to end: real processes, a real registry, an export without Promise."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.csv as pa_csv
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from promise.discovery.export import run_isolated
from promise.pipeline.artifact import golden_difference, read_manifest
from promise.registry.registry import Registry
from promise.settings import Settings
from promise.training.model import load

pytestmark = pytest.mark.slow

PROMISE = [sys.executable, "-m", "promise.cli.main"]


def promise(home: Path, *arguments: str) -> dict[str, Any]:
    """Run the command line as a user does and return its one JSON object."""
    done = subprocess.run(
        [*PROMISE, *arguments, "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "PROMISE_HOME": str(home)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def cancer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = load_breast_cancer(as_frame=True).frame
    frame["target"] = frame["target"].map({0: "malignant", 1: "benign"})
    frame["id_code"] = [f"p-{i:05d}" for i in range(len(frame))]
    path = tmp_path_factory.mktemp("data") / "cancer.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


FAMILIES = "baseline,linear,lightgbm,decision_tree"


@pytest.fixture(scope="module")
def found(cancer: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("out")
    return promise(
        home, "discover", str(cancer), "--target", "target", "--trials", "4",
        "--families", FAMILIES, "--out", str(out), "--name", "cancer", "--threads", "2",
    )  # fmt: skip


@pytest.mark.slow
def test_the_winner_beats_the_baseline_and_is_judged_on_sealed_rows(found: dict[str, Any]) -> None:
    board = found["leaderboard"]
    best = next(m for m in board["models"] if m["name"] == board["best"])
    baseline = next(m for m in board["models"] if m["family"] == "baseline")
    assert best["ci"][0] > baseline["ci"][1]
    assert board["holdout_rows"] == found["split"]["holdout_rows"]
    assert board["rows_used"] == 569
    identifiers = [f for f in found["findings"] if f["check"] == "identifier"]
    assert identifiers[0]["columns"] == ["id_code"]


def test_the_files_are_there_and_whole(found: dict[str, Any]) -> None:
    out = Path(found["out"])
    written = json.loads((out / "leaderboard.json").read_text())
    assert written["best"] == found["leaderboard"]["best"]
    assert {"task", "metric", "target", "rows_used", "holdout_rows", "split"} <= set(written)
    page = (out / "report.html").read_text()
    assert len(page) < 2_000_000
    assert "https://" not in page
    assert "src=" not in page.replace('src="data:', "")


def test_the_version_tells_how_it_was_ordered(
    found: dict[str, Any], cancer: Path, home: Path
) -> None:
    registry = Registry.open(Settings.load({"PROMISE_HOME": str(home)}))
    assert registry.find(found["version"]).lineage["order"] == {
        "data": str(cancer),
        "preset": "default",
        "columns": {"target": "label"},
        "split": None,
        "options": {},
        "reading": {},
    }
    registry.database.close()


@pytest.mark.slow
def test_the_export_repeats_the_score_in_an_interpreter_without_promise(
    found: dict[str, Any], cancer: Path
) -> None:
    export = Path(found["out"]) / "export"
    done = run_isolated(export, ["evaluate.py"], ["--data", str(cancer)], sys.executable, 120)
    best = found["leaderboard"]["best"]
    score = next(m["score"] for m in found["leaderboard"]["models"] if m["name"] == best)
    assert repr(score) in done.stdout
    for file in export.rglob("*.py"):
        text = file.read_text()
        assert "import promise" not in text
        assert "from promise" not in text
        assert text.count("\n") < 400


@pytest.mark.slow
def test_the_version_predicts_the_file_in_its_order(
    found: dict[str, Any], cancer: Path, home: Path, tmp_path: Path
) -> None:
    done = promise(home, "predict", "cancer", str(cancer), "--out", str(tmp_path / "p.csv"))
    answers = pa_csv.read_csv(tmp_path / "p.csv")
    assert done["rows"] == answers.num_rows == 569
    assert answers.column_names == ["prediction", "probability_benign", "probability_malignant"]
    truth = pa_csv.read_csv(cancer)["target"].to_pylist()
    right = sum(a == b for a, b in zip(answers["prediction"].to_pylist(), truth, strict=True))
    assert right / 569 > 0.9
    judged = promise(home, "evaluate", "cancer", str(cancer))
    best = found["leaderboard"]["best"]
    score = next(m["score"] for m in found["leaderboard"]["models"] if m["name"] == best)
    assert judged["score"] == score, "on its own data a version is judged on its sealed rows only"


def test_a_row_is_answered_and_explained(
    found: dict[str, Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMISE_HOME", str(home))
    model = load("cancer")
    answer = model.predict({"mean radius": 25.0, "worst area": 2500.0})
    assert isinstance(answer, dict)
    assert abs(sum(answer["probability"].values()) - 1) < 1e-9
    with pytest.raises(Exception, match="did you mean 'mean radius'"):
        model.predict({"mean_radius": 25.0})
    assert Registry.open().find("cancer").metrics["metric"] == "accuracy"
    assert golden_difference(model.pipeline, model.version.folder) == 0.0


@pytest.mark.slow
def test_everything_is_trained_again_streaming(
    found: dict[str, Any], cancer: Path, home: Path
) -> None:
    done = promise(home, "train", "tabular", str(cancer), "--from", "cancer@1", "--full")
    assert done["version"] == "cancer@2"
    assert done["rows"] == found["split"]["train_rows"]
    assert done["metrics"]["accuracy"] > 0.9
    made = Registry.open(Settings.load({"PROMISE_HOME": str(home)})).find("cancer@2")
    assert read_manifest(made.folder)["lineage"]["parents"] == ["cancer@1"]
    assert made.lineage["parents"] == ["cancer@1"]
    compared = promise(home, "compare", "cancer@1", "cancer@2")
    assert compared["rows"] == found["split"]["holdout_rows"]


@pytest.mark.slow
def test_a_version_is_exported_later(found: dict[str, Any], home: Path, tmp_path: Path) -> None:
    promise(home, "export", "cancer@1", "--to", str(tmp_path / "later"))
    assert (tmp_path / "later" / "best_model.py").is_file()


def scores(board: dict[str, Any]) -> dict[str, Any]:
    return {m["name"]: (m["validation"], m["score"], m["rounds"]) for m in board["models"]}


@pytest.mark.slow
def test_trials_give_the_same_scores_whatever_the_thread_count(
    found: dict[str, Any], cancer: Path, home: Path, tmp_path: Path
) -> None:
    again = promise(
        home, "discover", str(cancer), "--target", "target", "--trials", "4",
        "--families", FAMILIES, "--out", str(tmp_path), "--name", "again", "--threads", "1",
    )  # fmt: skip
    assert scores(again["leaderboard"]) == scores(found["leaderboard"])


@pytest.mark.slow
def test_a_journal_is_replayed_exactly(
    found: dict[str, Any], cancer: Path, home: Path, tmp_path: Path
) -> None:
    journal = Path(found["out"]) / "run" / "race" / "journal.jsonl"
    again = promise(
        home, "discover", str(cancer), "--target", "target", "--out", str(tmp_path),
        "--families", FAMILIES, "--name", "replayed", "--set", f"replay={journal}",
    )  # fmt: skip
    assert scores(again["leaderboard"]) == scores(found["leaderboard"])


@pytest.mark.slow
def test_a_killed_race_goes_on_where_it_was(
    found: dict[str, Any], cancer: Path, home: Path, tmp_path: Path
) -> None:
    command = [
        "discover", str(cancer), "--target", "target", "--trials", "4", "--families", FAMILIES,
        "--out", str(tmp_path), "--name", "killed",
    ]  # fmt: skip
    journal = tmp_path / "run" / "race" / "journal.jsonl"
    with subprocess.Popen(
        [*PROMISE, *command],
        env={**os.environ, "PROMISE_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if journal.is_file() and journal.read_text().count('"fit"') >= 3:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    before = journal.read_text()
    again = promise(home, *command, "--resume")
    assert journal.read_text().startswith(before.rsplit("\n", 1)[0])
    assert scores(again["leaderboard"]) == scores(found["leaderboard"])


@pytest.mark.slow
def test_a_number_is_learned_too(home: Path, tmp_path: Path) -> None:
    data = tmp_path / "diabetes.parquet"
    load_diabetes(as_frame=True).frame.to_parquet(data)
    found = promise(
        home, "discover", str(data), "--target", "target", "--trials", "3",
        "--families", "linear,lightgbm", "--out", str(tmp_path / "out"), "--metric", "rmse",
    )  # fmt: skip
    best = found["leaderboard"]["models"][0]
    assert found["leaderboard"]["metric"] == "rmse"
    assert best["score"] < 70
    assert found["version"] == "diabetes@1"


@pytest.mark.slow
def test_ctrl_c_shows_the_leaderboard_so_far(cancer: Path, home: Path, tmp_path: Path) -> None:
    journal = tmp_path / "run" / "race" / "journal.jsonl"
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    words = [
        "discover",
        str(cancer),
        "--target",
        "target",
        "--budget",
        "10m",
        "--out",
        str(tmp_path),
    ]
    call = f"{start}from promise.cli.main import main; main({words!r})"
    with subprocess.Popen(
        [sys.executable, "-c", call],
        env={**os.environ, "PROMISE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if journal.is_file() and journal.read_text().count('"fit"') >= 3:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=180)
    assert process.returncode == 130
    assert "The race was stopped early" in shown
    assert "baseline" in shown
