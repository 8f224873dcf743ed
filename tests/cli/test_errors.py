"""Bad input: one clear sentence, exit code 1, nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from promise.cli.main import main


def fail(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command line, expect a user's error, and return its one line."""
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--json"])
    assert stop.value.code == 1
    shown = capsys.readouterr()
    lines = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, shown.err
    assert "Traceback" not in shown.err
    message: str = json.loads(shown.out)["error"]
    assert lines[0] == f"error: {message}"
    return message


ROWS = "".join(f"{i},{i % 7},{'ab'[i % 2]}\n" for i in range(60))

CASES = {
    "empty": ("", "y", "empty"),
    "header only": ("a,b,y\n", "y", "row"),
    "one row": ("a,b,y\n1,2,x\n", "y", "row"),
    "one class": ("a,b,y\n" + "".join(f"{i},1,x\n" for i in range(60)), "y", "x"),
    "unknown target": ("a,b,label\n" + ROWS, "lable", "did you mean 'label'"),
    "duplicate names": ("a,a,y\n" + ROWS, "y", "'a'"),
    "ragged": ("a,b,y\n" + ROWS + "1,2,3,4\n", "y", "skip"),
    "all missing": ("a,b,y\n" + "".join(f"{i},1,\n" for i in range(60)), "y", "y"),
    "infinite": (
        "a,b,y\n" + "".join(f"{i},1,{i * 1.5}\n" for i in range(60)) + "1,2,inf\n",
        "y",
        "row 60",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_bad_data_is_told_in_one_sentence(
    case: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text, target, word = CASES[case]
    data, out = tmp_path / "data.csv", tmp_path / "out"
    data.write_text(text)
    monkeypatch.setenv("PROMISE_HOME", str(tmp_path / "home"))
    message = fail(
        capsys, "discover", str(data), "--target", target, "--trials", "1", "--out", str(out)
    )
    assert word in message
    assert not (out / "leaderboard.json").exists()
    assert not (out / "export").exists()


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--budget", "soon"], "time span"),
        (["--memory", "much"], "size"),
        (["--families", "lightbgm"], "did you mean 'lightgbm'"),
        (["--sample", "some"], "auto, full"),
        (["--preset", "fast"], "default or reference"),
        (["--trials", "0"], "at least 1"),
        (["--config", "absent.toml"], "no such file"),
    ],
)
def test_a_bad_flag_is_told_before_any_data_is_read(
    flags: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert word in fail(capsys, "discover", "data.csv", "--target", "y", *flags)


def test_an_absent_file_and_model_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMISE_HOME", str(tmp_path / "home"))
    assert "nothere.csv" in fail(capsys, "profile", str(tmp_path / "nothere.csv"))
    assert "no model 'churn'" in fail(capsys, "models", "show", "churn")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (("serve", "--workers", "0"), "'--workers'"),
        (("disover", "x.csv"), "Did you mean 'discover'?; see `promise --help`"),
        (("keys", "create"), "see `promise keys create --help`"),
        (("deploy",), "NAME[@V]"),
    ],
)
def test_a_mistyped_command_is_a_users_error_like_any_other(
    typed: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in fail(capsys, *typed)


def test_a_group_alone_shows_what_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["keys"])
    assert stop.value.code == 0
    assert "revoke" in capsys.readouterr().out
