"""One member of a pipeline, learned from chunks: exactly where its family can, else as it says."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promise.data.answer import Answer, Class
from promise.job import Job
from promise.kernels.chunked import Chunks
from promise.kernels.chunked_fit import fit_chunked, substitute
from promise.models.base import Fitted
from promise.models.blend import load_fitted

_BINNED = ("xgboost", "lightgbm")
_BINS_OVERHEAD = 1.4  # bins, gradients and the copy while they are built, per value
_BASE_MB = 400.0  # interpreter, libraries and one chunk in flight
_SAMPLED = ("decision_tree", "mlp", "lstm")
_KERNELS = {"xgboost": "boosting_xgboost", "lightgbm": "boosting_lightgbm"}


@dataclass(frozen=True)
class Learnt:
    """A member trained on chunks.

    Parameters
    ----------
    family
        What was learned; XGBoost stands in for LightGBM when its bins must stay on disk.
    note
        What a reader must know: empty where every row was learned from as in memory.
    """

    family: str
    fitted: Fitted
    note: str


def fit_member(
    entry: dict[str, Any],
    chunks: Chunks,
    answer: Answer,
    *,
    rows: int,
    columns: int,
    categorical: tuple[int, ...],
    work: Path,
    job: Job,
    tell: Callable[[str], None],
) -> Learnt:
    """Learn one member of a recipe from chunks of its matrix.

    Parameters
    ----------
    entry
        Of the recipe: name, family, params, seed.
    rows, columns
        Size of the matrix that the chunks make up.
    work
        Folder for checkpoints and bins; a finished member is kept there, so that a resumed run
        does not learn it again.
    """
    finished, fitted = work / "finished.json", work / "fitted"
    if not finished.exists():
        work.mkdir(parents=True, exist_ok=True)
        family, model = fit_chunked(
            entry["family"],
            chunks,
            answer.n_classes if isinstance(answer, Class) else 0,
            entry["params"],
            categorical=categorical,
            seed=entry["seed"],
            threads=job.threads,
            checkpoint=work / "checkpoint",
            external=work / "bins" if _needs_disk(entry["family"], rows, columns, job) else None,
            progress=lambda done, total: tell(f"{entry['name']}: {done} of {total}"),
        )
        shutil.rmtree(fitted, ignore_errors=True)
        fitted.mkdir()
        kernel = importlib.import_module(f"promise.kernels.{_KERNELS.get(family, family)}")
        getattr(kernel, f"save_{family}")(model, fitted)
        about = {"family": family, "note": _note(entry, family)}
        finished.write_text(json.dumps(about), encoding="utf-8")
    about = json.loads(finished.read_text(encoding="utf-8"))
    return Learnt(about["family"], load_fitted(about["family"], fitted), about["note"])


def _needs_disk(family: str, rows: int, columns: int, job: Job) -> bool:
    """Whether one byte for each value is more than the memory bound leaves."""
    if family not in _BINNED or job.memory_mb is None:
        return False
    return rows * columns * _BINS_OVERHEAD / 2**20 + _BASE_MB > job.memory_mb


def _note(entry: dict[str, Any], family: str) -> str:
    if family != entry["family"]:
        return (
            f"{entry['name']}: its bins do not fit in memory, so {family} learned in its place, "
            "with the bins on disk."
        )
    how = substitute(family)[1]
    return f"{entry['name']}: {how}" if family in (*_SAMPLED, "random_forest") else ""
