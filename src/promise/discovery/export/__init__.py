"""Code that runs without us: one folder for one table and one winner, proven when offered."""

from __future__ import annotations

import json
from pathlib import Path

from promise.discovery.export.artifacts import write_artifacts
from promise.discovery.export.assemble import imported_packages
from promise.discovery.export.code import code_files, function_modules
from promise.discovery.export.documents import model_card, readme
from promise.discovery.export.package import (
    direct_names,
    dockerfile,
    lock_text,
    locked,
    pyproject,
    schema_json,
    write_manifest,
)
from promise.discovery.export.parity import Parity, run_isolated, verify
from promise.discovery.export.plan import ExportPlan, Member, Order
from promise.errors import ArtifactError
from promise.state.files import whole_folder

__all__ = ["ExportPlan", "Member", "Order", "Parity", "export", "run_isolated", "verify"]


def export(plan: ExportPlan, folder: Path) -> Path:
    """Write the export; the folder is whole or absent, and replaces only an earlier export.

    Raises
    ------
    ArtifactError
        When the folder holds something else, or the plan's files cannot be read.
    DataError
        When the disk is full.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not is_export(folder):
        raise ArtifactError(
            f"{folder} holds files that are no export of a model; choose another folder."
        )
    with whole_folder(folder, replace=True) as draft:
        _fill(plan, draft)
    return folder


def is_export(folder: Path) -> bool:
    """Say whether a folder is an export, by its manifest."""
    try:
        data = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and data.get("kind") == "promise-export"


def _fill(plan: ExportPlan, draft: Path) -> None:
    (draft / "tests").mkdir()
    (draft / "artifacts").mkdir()
    files = code_files(plan)
    needed = imported_packages(files)
    versions = locked(needed)
    modules = sorted(name for name in files if "/" not in name)
    direct = {name: versions[name] for name in sorted(direct_names(needed))}
    texts = {
        **files,
        "README.md": readme(plan, files),
        "MODEL_CARD.md": model_card(plan),
        "pyproject.toml": pyproject(plan, direct, modules),
        "requirements.lock": lock_text(versions),
        "schema.json": schema_json(plan),
        "Dockerfile": dockerfile(needed),
        ".dockerignore": ".venv\n__pycache__\nartifacts_new\n",
    }
    for name, text in texts.items():
        (draft / name).write_text(text, encoding="utf-8")
    write_artifacts(plan, draft / "artifacts", function_modules())
    write_manifest(plan, draft, versions)
