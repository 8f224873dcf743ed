"""Prove an export: run it in a fresh interpreter that cannot import Promise, compare the digits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promise.discovery.export.plan import defined
from promise.discovery.export.prose import UNDEFINED
from promise.errors import ArtifactError

# Isolated mode reads neither the environment nor the user's packages; the folders that hold Promise
# itself (an editable install) are dropped, and importing it by any other way fails.
_BOOT = """
import json, os, runpy, sys
steps, root = json.loads(sys.argv[1]), os.path.dirname(os.path.abspath(sys.argv[2]))
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "promise":
            raise ImportError("an export must not import promise")
sys.meta_path.insert(0, Refuse())
sys.dont_write_bytecode = True
own = lambda p: os.path.exists(os.path.join(p, "promise", "__init__.py"))
sys.path[:] = [root, *(p for p in sys.path if p and not own(p) or "-packages" in p)]
own_args = sys.argv[3:]
for step in steps:
    sys.argv = [step, *own_args]
    runpy.run_path(step, run_name="__main__")
"""


@dataclass(frozen=True)
class Parity:
    """Whether an export gives the digits it was promised to give, and the sentence that says so.

    Parameters
    ----------
    max_difference
        Largest difference over the golden rows; 0 is what an offered export has.
    score
        What `evaluate.py` computed from the data; None when undefined, or no data were given.
    """

    ok: bool
    max_difference: float
    sentence: str
    score: float | None = None


def verify(
    folder: Path,
    *,
    expected_score: float | None,
    data: str | Path | Sequence[str | Path] | None = None,
    python: str = sys.executable,
    timeout_s: float | None = 600,
) -> Parity:
    """Run the exported parity test, and `evaluate.py` when the data are at hand.

    Raises
    ------
    ArtifactError
        When the exported code does not run at all; the message ends with its last line.
    """
    scripts = ["tests/test_parity.py"] + (["evaluate.py"] if data else [])
    paths = [data] if isinstance(data, str | Path) else data or []
    given = ["--data", *map(str, paths), "--json"] if paths else []
    golden, *rest = _run(folder, scripts, given, python, timeout_s)
    apart = float(golden["max_difference"])
    rows = f"{golden['rows']} golden rows"
    if apart != 0:
        said = f"NOT verified: the export's answers to {rows} differ by up to {apart:.3g}."
        return Parity(False, apart, said)
    if not rest:
        said = f"verified: without Promise the export gives the same digits on {rows}."
        return Parity(True, apart, said)
    found = rest[0]
    score, expected, metric = found["score"], defined(expected_score), found["metric"]
    given_words, expected_words = (UNDEFINED if s is None else repr(s) for s in (score, expected))
    if score != expected:
        said = f"NOT verified: evaluate.py gives {metric} {given_words}, expected {expected_words}."
        return Parity(False, apart, said, score)
    said = (
        f"verified: without Promise the export gives the same digits on {rows}, and evaluate.py "
        f"the leaderboard's {metric}, {given_words}."
    )
    return Parity(True, apart, said, score)


def run_isolated(
    folder: Path, scripts: list[str], arguments: list[str], python: str, timeout_s: float | None
) -> subprocess.CompletedProcess[str]:
    """Run the export's scripts, one after the other, where Promise cannot be imported."""
    paths = json.dumps([str(folder / script) for script in scripts])
    command = [python, "-I", "-c", _BOOT, paths, str(folder / "features.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)


def _run(
    folder: Path, scripts: list[str], arguments: list[str], python: str, timeout_s: float | None
) -> list[dict[str, Any]]:
    """Return the JSON object that each script ends with."""
    try:
        done = run_isolated(folder, scripts, arguments, python, timeout_s)
    except subprocess.TimeoutExpired:
        raise ArtifactError(f"the export's scripts did not end within {timeout_s} s.") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ArtifactError(f"the export's {' or '.join(scripts)} failed: {last}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
