"""The fitted model, the sealed rows and the golden answers, as files that nothing executes."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow.parquet as pq

from promise.discovery.export.plan import ExportPlan
from promise.discovery.export.sealed import row_digests
from promise.discovery.export.values import digest_columns
from promise.discovery.export.views import views_of
from promise.kernels.encoding import load_encoding


def write_artifacts(plan: ExportPlan, folder: Path, modules: dict[str, str]) -> None:
    """Fill the folder `artifacts/`.

    Parameters
    ----------
    modules
        Kernel function name to kernel module.
    """
    views, _ = views_of(plan.members)
    for number, view in enumerate(views):
        shutil.copytree(view.folder, folder / f"features-{number}")
    for number, member in enumerate(plan.members):
        shutil.copytree(member.fitted_folder, folder / f"model-{number}")
    state = {
        "encodings": [load_encoding(view.folder) for view in views],
        "members": [
            _kernel(f"load_{m.family}", modules)(folder / f"model-{number}")
            for number, m in enumerate(plan.members)
        ],
    }
    joblib.dump(state, folder / "model.joblib", compress=1)
    np.save(folder / "train_rows.npy", np.asarray(plan.train_rows, dtype=np.int64))
    digests = np.zeros(0, dtype=np.uint64)
    if plan.holdout is not None:
        digests = row_digests(dict(plan.holdout), digest_columns(plan))
    rows = np.asarray(plan.holdout_rows, dtype=np.int64)
    np.savez_compressed(folder / "holdout.npz", rows=rows, digests=digests)
    pq.write_table(plan.golden, folder / "golden.parquet")
    np.save(folder / "golden.npy", np.asarray(plan.golden_output, dtype=np.float64))


def _kernel(name: str, modules: dict[str, str]) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(
        importlib.import_module(f"promise.kernels.{modules[name]}"), name
    )
    return function
