"""What an export needs to be installed, built and proven whole: pins, container, manifest."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Iterable
from importlib.metadata import (
    PackageNotFoundError,
    distribution,
    version,
)
from pathlib import Path
from typing import Any

from promise.data.answer import answer_to_json
from promise.discovery.export.documents import slug
from promise.discovery.export.plan import ExportPlan, defined
from promise.discovery.export.values import fields_of, reader_of
from promise.errors import ArtifactError

FORMAT = 1
DISTRIBUTIONS = {"sklearn": ("scikit-learn",), "xgboost": ("xgboost-cpu", "xgboost")}
"""Which distributions may bring a package of another name."""


def locked(roots: Iterable[str]) -> dict[str, str]:
    """Return distribution name to version: of these packages, and of all that they need.

    Raises
    ------
    ArtifactError
        When a package is imported by the export but not installed here.
    """
    queue = sorted(direct_names(roots))
    found: dict[str, str] = {}
    while queue:
        name = queue.pop()
        if name.lower() in {f.lower() for f in found}:
            continue
        if not _is_installed(name):
            continue  # a requirement of another platform
        installed = distribution(name)
        # a local build's suffix is known to no index
        found[installed.name] = installed.version.partition("+")[0]
        for requirement in installed.requires or ():
            if "extra ==" not in requirement:
                queue.append(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0])
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def direct_names(roots: Iterable[str]) -> set[str]:
    """Return the distributions that bring these packages, under the names they have here."""
    found = set()
    for root in roots:
        names = DISTRIBUTIONS.get(root, (root,))
        installed = [name for name in names if _is_installed(name)]
        if not installed:
            raise ArtifactError(f"the export needs {names[0]}, which is not installed.")
        found.add(distribution(installed[0]).name)
    return found


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def lock_text(versions: dict[str, str]) -> str:
    """Write requirements.lock."""
    return "".join(f"{name}=={version}\n" for name, version in versions.items())


def pyproject(plan: ExportPlan, direct: dict[str, str], modules: list[str]) -> str:
    """Write pyproject.toml: the modules lie at the top, as they do here."""
    listed = "".join(f'    "{name}=={version}",\n' for name, version in direct.items())
    files = [*modules, "artifacts", "schema.json"]
    included = "".join(f'    "{name}",\n' for name in files)
    return f"""[build-system]
requires = ["hatchling>=1.25"]
build-backend = "hatchling.build"

[project]
name = "{slug(plan.name)}"
version = "{_package_version(plan.version)}"
description = "A model of {_plain(plan.target)}, and the code that trains, judges and runs it."
readme = "README.md"
requires-python = ">=3.11"
dependencies = [
{listed}]

[project.scripts]
{slug(plan.name)}-predict = "predict:main"
{slug(plan.name)}-serve = "serve:main"

[tool.hatch.build.targets.wheel]
only-include = [
{included}]

[tool.ruff]
line-length = 100
target-version = "py311"

[tool.ruff.lint]
select = ["E", "F", "W", "I", "UP", "B"]
ignore = ["E501"]
"""


def _package_version(version: str) -> str:
    return version if re.fullmatch(r"\d+(\.\d+)*", version) else "1"


def _plain(text: str) -> str:
    return re.sub(r'["\\\x00-\x1f]', " ", text)


def dockerfile(roots: Iterable[str]) -> str:
    """Write the Dockerfile: a small image whose process is no root."""
    native = "RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 \\\n" \
        "    && rm -rf /var/lib/apt/lists/*\n" if "lightgbm" in set(roots) else ""  # fmt: skip
    return f"""FROM python:3.11-slim
{native}WORKDIR /model
COPY requirements.lock .
RUN pip install --no-cache-dir -r requirements.lock
COPY . .
RUN useradd --no-create-home model
USER model
ENV PYTHONUNBUFFERED=1
EXPOSE 8080
ENTRYPOINT ["python", "serve.py"]
"""


def schema_json(plan: ExportPlan) -> str:
    """Write schema.json."""
    data = {
        "target": plan.target,
        "answer": answer_to_json(plan.answer),
        "fields": fields_of(plan),
        "reader": reader_of(plan),
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def write_manifest(plan: ExportPlan, folder: Path, versions: dict[str, str]) -> None:
    """Write manifest.json: every file's sha256, and where the model comes from."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json")
    data: dict[str, Any] = {
        "format": FORMAT,
        "kind": "promise-export",
        "name": plan.name,
        "version": plan.version,
        "created": plan.created,
        "made_by": {
            "promise": version("promise-ml"),
            "python": platform.python_version(),
            **versions,
        },
        "lineage": {
            "source": plan.source_name,
            "fingerprint": plan.data_fingerprint,
            "source_rows": plan.n_source_rows,
            "rows_used": plan.rows_used,
            "train_rows": plan.n_train_rows,
            "holdout_rows": len(plan.holdout_rows),
            "split": plan.split_sentence,
            "seed": plan.seed,
        },
        "metric": plan.metric,
        "score": defined(plan.score),
        "members": [{"family": m.family, "weight": m.weight, "rounds": m.rounds}
                    for m in plan.members],
        "files": {p.relative_to(folder).as_posix(): sha256(p) for p in paths},
    }  # fmt: skip
    text = json.dumps(data, indent=2, ensure_ascii=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    """Return a file's digest."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
