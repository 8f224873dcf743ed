"""Run FLAML on one table: python flaml_peer.py TRAIN TEST TARGET KIND BUDGET SEED PREDICTIONS.

Runs in FLAML's own environment. KIND is `class` or `number`; BUDGET is seconds of searching. The
last line printed is a JSON object; the predictions are written as a CSV.
"""

from __future__ import annotations

import json
import sys
import time

import pandas as pd
from flaml import AutoML


def main(
    train_path: str, test_path: str, target: str, kind: str, budget: str, seed: str, out: str
) -> None:
    """Search, predict and tell."""
    train, test = (_typed(pd.read_parquet(path), target) for path in (train_path, test_path))
    model = AutoML()
    began = time.monotonic()
    model.fit(
        X_train=train.drop(columns=[target]),
        y_train=train[target],
        task="classification" if kind == "class" else "regression",
        metric="accuracy" if kind == "class" else "r2",
        time_budget=float(budget),
        n_jobs=2,
        seed=int(seed),
        verbose=0,
        log_file_name="",
    )
    fitted = time.monotonic()
    found = model.predict(test.drop(columns=[target], errors="ignore"))
    ended = time.monotonic()
    pd.DataFrame({"prediction": found}).to_csv(out, index=False)
    told = {
        "seconds": fitted - began,
        "predict_seconds": ended - fitted,
        "best": str(model.best_estimator),
    }
    print(json.dumps(told))


def _typed(table: pd.DataFrame, target: str) -> pd.DataFrame:
    """Give texts the dtype that FLAML takes as categories."""
    texts = [
        name
        for name in table.columns
        if name != target
        and (pd.api.types.is_string_dtype(table[name]) or table[name].dtype == object)
    ]
    typed = table.astype(dict.fromkeys(texts, "category"))
    if target in typed and pd.api.types.is_string_dtype(typed[target]):
        typed[target] = typed[target].astype(object)
    return typed


if __name__ == "__main__":
    main(*sys.argv[1:])
