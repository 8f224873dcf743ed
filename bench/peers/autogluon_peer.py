"""Run AutoGluon on one table: python autogluon_peer.py TRAIN TEST TARGET KIND BUDGET SEED OUT.

Runs in AutoGluon's own environment, with the preset `medium_quality`. AutoGluon takes no seed; its
own default is used. The last line printed is a JSON object; the predictions are written as a CSV.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time

import pandas as pd
from autogluon.tabular import TabularPredictor


def main(
    train_path: str, test_path: str, target: str, kind: str, budget: str, seed: str, out: str
) -> None:
    """Fit, predict and tell."""
    del seed
    train, test = pd.read_parquet(train_path), pd.read_parquet(test_path)
    problem = "regression"
    if kind == "class":
        problem = "binary" if train[target].nunique() == 2 else "multiclass"
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        model = TabularPredictor(
            label=target,
            problem_type=problem,
            eval_metric="accuracy" if kind == "class" else "r2",
            path=folder,
            verbosity=0,
        ).fit(train, presets="medium_quality", time_limit=float(budget), num_cpus=2, num_gpus=0)
        fitted = time.monotonic()
        found = model.predict(test.drop(columns=[target], errors="ignore"))
        ended = time.monotonic()
        best = str(model.model_best)
    pd.DataFrame({"prediction": found.to_numpy()}).to_csv(out, index=False)
    told = {"seconds": fitted - began, "predict_seconds": ended - fitted, "best": best}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
