"""What the core weighs once installed, and how long importing it takes, beside scikit-learn.

    python -m bench install

Makes a fresh environment in a temporary folder, installs the core without extras into it, and
starts interpreters that import one package each, in turn.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TIMES = 20
MODULES = ("promise", "sklearn", "lightgbm", "pandas")


def main(arguments: list[str]) -> None:
    """Install, measure and print."""
    times = int(arguments[0]) if arguments else TIMES
    with tempfile.TemporaryDirectory(prefix="promise-install-") as folder:
        python = Path(folder) / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        bare_mb = megabytes(Path(folder))
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        began = time.perf_counter()
        subprocess.run([*pip, str(REPOSITORY)], check=True)
        install_s = time.perf_counter() - began
        core_mb = megabytes(Path(folder)) - bare_mb
        taken = import_seconds(python, times)
    bare = statistics.median(taken["pass"])
    print("| | |\n| --- | --- |")
    print(f"| core install, without extras | {core_mb:,.0f} MB |")
    print(f"| installing it | {install_s:.0f} s |")
    print(f"| an interpreter that imports nothing | {1000 * bare:.0f} ms |")
    for module, seconds in taken.items():
        if module != "pass":
            spent = statistics.median(seconds) - bare
            print(f"| `import {module}`, median of {times} beyond that | {1000 * spent:.0f} ms |")


def import_seconds(python: Path, times: int) -> dict[str, list[float]]:
    """Time fresh interpreters; the first start of each reads the disk and is not counted."""
    code = {"pass": "pass", **{module: f"import {module}" for module in MODULES}}
    code = {k: c for k, c in code.items() if _run(python, c)}
    taken: dict[str, list[float]] = {module: [] for module in code}
    for _ in range(times):
        for module, line in code.items():
            began = time.perf_counter()
            _run(python, line)
            taken[module].append(time.perf_counter() - began)
    return taken


def megabytes(folder: Path) -> float:
    """Sum what the files of a folder take on disk, in MB of a million bytes."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / 1e6


def _run(python: Path, code: str) -> bool:
    command = [str(python), "-c", code]
    done = subprocess.run(command, check=False, capture_output=True, cwd=python.parent)
    return done.returncode == 0
