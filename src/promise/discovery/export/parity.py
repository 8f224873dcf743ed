"""Prove an export: run it in a fresh interpreter that cannot import Promise, compare the digits."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promise.errors import ArtifactError

# Isolated mode reads neither the environment nor the user's packages; the folders that hold Promise
# itself (an editable install) are dropped, and importing it by any other way fails.
_BOOT = """
import os, runpy, sys
script, root = sys.argv[1], os.path.dirname(os.path.abspath(sys.argv[2]))
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "promise":
            raise ImportError("an export must not import promise")
sys.meta_path.insert(0, Refuse())
sys.dont_write_bytecode = True
own = lambda p: os.path.exists(os.path.join(p, "promise", "__init__.py"))
sys.path[:] = [root, *(p for p in sys.path if p and not own(p) or "-packages" in p)]
sys.argv = [script, *sys.argv[3:]]
runpy.run_path(script, run_name="__main__")
"""


@dataclass(frozen=True)
class Parity:
    """Whether an export gives the digits it was promised to give, and the sentence that says so.

    Parameters
    ----------
    max_difference
        Largest difference over the golden rows; 0 is what an offered export has.
    score
        What `evaluate.py` computed from the data, or None when no data were given.
    """

    ok: bool
    max_difference: float
    sentence: str
    score: float | None = None


def verify(
    folder: Path,
    *,
    expected_score: float,
    data: str | Path | None = None,
    python: str = sys.executable,
    timeout_s: float | None = 600,
) -> Parity:
    """Run the exported parity test, and `evaluate.py` when the data are at hand.

    Raises
    ------
    ArtifactError
        When the exported code does not run at all; the message ends with its last line.
    """
    golden = _run(folder, "tests/test_parity.py", [], python, timeout_s)
    apart = float(golden["max_difference"])
    rows = f"{golden['rows']} golden rows"
    if apart != 0:
        said = f"NOT verified: the export's answers to {rows} differ by up to {apart:.3g}."
        return Parity(False, apart, said)
    if data is None:
        said = f"verified: without Promise the export gives the same digits on {rows}."
        return Parity(True, apart, said)
    found = _run(folder, "evaluate.py", ["--data", str(data), "--json"], python, timeout_s)
    score, metric = float(found["score"]), found["metric"]
    if score != expected_score:
        said = f"NOT verified: evaluate.py gives {metric} {score!r}, expected {expected_score!r}."
        return Parity(False, apart, said, score)
    said = (
        f"verified: without Promise the export gives the same digits on {rows}, and evaluate.py "
        f"the leaderboard's {metric}, {score!r}."
    )
    return Parity(True, apart, said, score)


def run_isolated(
    folder: Path, script: str, arguments: list[str], python: str, timeout_s: float | None
) -> subprocess.CompletedProcess[str]:
    """Run one of the export's scripts where Promise cannot be imported."""
    command = [python, "-I", "-c", _BOOT, str(folder / script), str(folder / "features.py")]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, timeout=timeout_s
    )


def _run(
    folder: Path, script: str, arguments: list[str], python: str, timeout_s: float | None
) -> dict[str, Any]:
    try:
        done = run_isolated(folder, script, arguments, python, timeout_s)
    except subprocess.TimeoutExpired:
        raise ArtifactError(f"{script} of the export did not end within {timeout_s} s.") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ArtifactError(f"the export's {script} failed: {last}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result
