"""One member of a pipeline, learned from chunks: exactly where its family can, else on a sample."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promise.data.answer import Answer, Class
from promise.data.columns import Array, Columns
from promise.errors import MemoryRefused
from promise.job import Job
from promise.kernels.boosting_lightgbm import save_lightgbm
from promise.kernels.boosting_xgboost import save_xgboost
from promise.kernels.chunked import SAMPLE_ROWS, hash_sample
from promise.kernels.chunked_lightgbm import fit_lightgbm_chunked
from promise.kernels.chunked_linear import fit_linear_chunked
from promise.kernels.chunked_xgboost import fit_xgboost_chunked
from promise.kernels.linear import save_linear
from promise.models.base import ESTIMATORS, MATRIX, Examples, Fitted
from promise.models.blend import load_fitted

Chunks = Callable[[], Iterator[tuple[Array, ...]]]

_STREAMED: dict[str, tuple[Callable[..., Any], Callable[[Any, Path], None]]] = {
    "xgboost": (fit_xgboost_chunked, save_xgboost),
    "lightgbm": (fit_lightgbm_chunked, save_lightgbm),
    "linear": (fit_linear_chunked, save_linear),
}
_BINNED = ("xgboost", "lightgbm")
_BASE_MB = 400.0  # interpreter, libraries and one chunk in flight


@dataclass(frozen=True)
class Learnt:
    """A member trained on chunks.

    Parameters
    ----------
    note
        What a reader must know: empty where every row was learned from.
    """

    fitted: Fitted
    note: str = ""


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

    Boosting keeps one byte per value in shared bins, or on disk for XGBoost when even that does
    not fit; linear models sum over passes; other families learn from the largest fair sample.

    Parameters
    ----------
    entry
        Of the recipe: family, params, seed.
    rows, columns
        Size of the matrix that the chunks make up.
    work
        Folder for checkpoints and bins; a finished member is kept there too.
    """
    family = entry["family"]
    done = work / "fitted"
    note_file = work / "note.json"
    if not note_file.exists():
        work.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(done, ignore_errors=True)
        done.mkdir()
        note = (
            _streamed(entry, chunks, answer, rows, columns, categorical, work, job, tell, done)
            if family in _STREAMED
            else _sampled(entry, chunks, answer, rows, categorical, job, done)
        )
        note_file.write_text(json.dumps(note), encoding="utf-8")
    return Learnt(load_fitted(family, done), json.loads(note_file.read_text(encoding="utf-8")))


def _streamed(
    entry: dict[str, Any],
    chunks: Chunks,
    answer: Answer,
    rows: int,
    columns: int,
    categorical: tuple[int, ...],
    work: Path,
    job: Job,
    tell: Callable[[str], None],
    out: Path,
) -> str:
    family = entry["family"]
    fit, save = _STREAMED[family]
    terms: dict[str, Any] = {
        "seed": entry["seed"],
        "threads": job.threads,
        "checkpoint": work / "checkpoint",
        "progress": lambda done, total: tell(f"{entry['name']}: {done} of {total} rounds"),
    }
    if family in _BINNED:
        terms["categorical"] = categorical
        bins_mb = rows * columns / 2**20 * 1.4 + _BASE_MB
        if job.memory_mb is not None and bins_mb > job.memory_mb:
            if family == "lightgbm":
                raise MemoryRefused(
                    f"{entry['name']} keeps one byte for each of {rows:,} × {columns} values, about "
                    f"{bins_mb:,.0f} MB of the {job.memory_mb:,.0f} MB allowed; raise --memory, or "
                    "discover with --families xgboost, whose bins can stay on disk."
                )
            terms["external"] = work / "bins"
    n_classes = answer.n_classes if isinstance(answer, Class) else 0
    save(fit(chunks, n_classes, entry["params"], **terms), out)
    return ""


def _sampled(
    entry: dict[str, Any],
    chunks: Chunks,
    answer: Answer,
    rows: int,
    categorical: tuple[int, ...],
    job: Job,
    out: Path,
) -> str:
    x, y, numbers, *order = hash_sample(chunks, SAMPLE_ROWS, entry["seed"])
    estimator = ESTIMATORS.resolve(entry["family"])(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in entry["params"].items()}
    )
    train = Examples(
        columns=Columns({MATRIX: x}),
        y=y,
        answer=answer,
        rows=numbers,
        categorical=categorical,
        order=order[0] if order else None,
    )
    fitted = estimator.fit(train, None, Job(seed=entry["seed"], threads=job.threads))
    fitted.save(out)
    if len(y) >= rows:
        return ""
    return (
        f"{entry['name']} learned from a fair sample of {len(y):,} of {rows:,} rows: "
        f"{entry['family']} needs its rows at once."
    )
