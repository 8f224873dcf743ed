"""The peers' own environments, outside the repository and made on first use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path.home() / ".cache" / "promise-bench"
NEEDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "flaml": (("flaml[automl]", "pyarrow"),),
    # PyTorch first, so that a build without CUDA can be given or found: it is gigabytes smaller.
    "autogluon": (
        ("torch==2.13.0",),
        ("autogluon.tabular", "lightgbm", "xgboost", "catboost", "pyarrow"),
    ),
    "faiss": (("faiss-cpu", "numpy"),),
    "implicit": (("implicit", "numpy", "scipy"),),
    "litserve": (("litserve", "lightgbm", "numpy"),),
    "mlflow": (("mlflow", "lightgbm", "pandas"),),
}
SCRIPTS = Path(__file__).parent / "peers"


class PeerMissing(RuntimeError):
    """A peer could not be installed; the message ends with what pip said."""


def peer_python(name: str) -> Path:
    """Return the interpreter of a peer's environment, made now if it is not there.

    Raises
    ------
    PeerMissing
        When pip fails.
    """
    folder = FOLDER / name
    python = folder / "bin" / "python"
    complete = folder / "complete"
    if not complete.exists() and not _imports(python, name):
        print(f"installing {name} into {folder}", file=sys.stderr)
        FOLDER.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        for wanted in NEEDS[name]:
            _pip(python, wanted, name)
    complete.touch()
    return python


def peer_version(name: str) -> str:
    """Return the version of a peer's package."""
    package = {"autogluon": "autogluon.tabular", "faiss": "faiss-cpu"}.get(name, name)
    code = f"from importlib.metadata import version; print(version({package!r}))"
    command = [str(peer_python(name)), "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _imports(python: Path, name: str) -> bool:
    module = {"autogluon": "autogluon.tabular"}.get(name, name)
    if not python.exists():
        return False
    command = [str(python), "-c", f"import {module}"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _pip(python: Path, wanted: tuple[str, ...], name: str) -> None:
    command = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        *wanted,
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise PeerMissing(f"{name} could not be installed; pip said:\n{said}")
