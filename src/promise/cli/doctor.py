"""`promise doctor`: what is installed, what is missing, and which extra brings it."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from rich.table import Table

from promise.cli.show import Json, console, print_json
from promise.models.base import ESTIMATORS
from promise.settings import Settings

_CORE = (
    "numpy", "pyarrow", "scikit-learn", "scipy", "lightgbm", "xgboost", "sqlalchemy",
    "msgspec", "narwhals", "numba", "tldextract", "typer", "rich", "joblib",
)  # fmt: skip
_EXTRAS = {
    "deep": ("torch", "safetensors"),
    "ray": ("ray",),
    "mlflow": ("mlflow",),
    "studio": ("nicegui",),
    "s3": ("s3fs",),
    "postgres": ("psycopg",),
    "redis": ("redis",),
    "words": ("gensim",),
}
_MODULES = {"scikit-learn": "sklearn"}
_GIVES = {
    "deep": "the LSTM family and neural models",
    "ray": "training on a cluster",
    "mlflow": "the bridge to MLflow",
    "studio": "the web studio",
    "s3": "reading s3:// paths",
    "postgres": "Postgres as source and as database",
    "redis": "Redis as cache and feature store",
    "words": "the first designs of the domain classifier",
}


def doctor(as_json: Json = False) -> None:
    """Say what is installed, what is missing, and which extra brings it."""
    found = examine()
    if as_json:
        print_json(found)
        return
    screen = console()
    screen.print(
        f"Promise {found['promise']} on Python {found['python']}, {found['cpus']} CPUs, "
        f"{found['memory_gb']:.1f} GB of memory free to use"
    )
    table = Table("part", "state", "what it gives", box=None, padding=(0, 2, 0, 0))
    for name, version in found["core"].items():
        table.add_row(name, version or "[red]missing[/red]", "core")
    for extra, part in found["extras"].items():
        state = ", ".join(f"{n} {v}" for n, v in part["libraries"].items() if v)
        missing = f"missing: pip install 'promise-ml\\[{extra}]'"
        table.add_row(extra, state if part["installed"] else f"[yellow]{missing}[/yellow]",
                      _GIVES[extra])  # fmt: skip
    screen.print(table)
    ready = [name for name, needs in found["families"].items() if needs is None]
    screen.print(f"families ready: {', '.join(ready)}")
    for name, needs in found["families"].items():
        if needs is not None:
            screen.print(f"family {name}: needs the `{needs}` extra")
    screen.print(f"state: {found['state']['database']}; artifacts: {found['state']['artifacts']}")
    for problem in found["problems"]:
        screen.print(f"[red]{problem}[/red]")


def examine() -> dict[str, Any]:
    """Return what `promise doctor` tells, as plain values."""
    from promise.engine.memory import available_mb

    settings = Settings.load()
    extras = {
        extra: {
            "installed": all(_version(name) for name in names),
            "libraries": {name: _version(name) for name in names},
        }
        for extra, names in _EXTRAS.items()
    }
    families = {}
    for name in ESTIMATORS.names():
        extra = ESTIMATORS.resolve(name).extra
        families[name] = None if extra is None or extras[extra]["installed"] else extra
    return {
        "promise": metadata.version("promise-ml"),
        "python": platform.python_version(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gb": available_mb() / 1024,
        "core": {name: _version(name) for name in _CORE},
        "extras": extras,
        "families": families,
        "state": {"database": settings.database, "artifacts": settings.artifacts},
        "problems": _problems(),
    }


def _version(name: str) -> str | None:
    """Return the installed version of a library, without importing it."""
    module = _MODULES.get(name, name)
    if find_spec(module) is None:
        return None
    for distribution in metadata.packages_distributions().get(module, ()):
        return metadata.version(distribution)
    return "installed"


def _problems() -> list[str]:
    return [
        f"{name} is missing from the core: pip install --upgrade promise-ml"
        for name in _CORE
        if find_spec(_MODULES.get(name, name)) is None
    ]
