"""Serve a LightGBM model by MLflow: python mlflow_peer.py MODEL PORT FOLDER.

Runs in MLflow's own environment: saves the model in MLflow's format, then becomes
`mlflow models serve` with one worker.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import lightgbm
import mlflow.lightgbm
import numpy as np
import pandas as pd
from mlflow.models import infer_signature


def main(model: str, port: str, folder: str) -> None:
    """Save and serve."""
    booster = lightgbm.Booster(model_file=model)
    names = [f"feature_{i}" for i in range(booster.num_feature())]
    rows = pd.DataFrame(np.zeros((2, len(names))), columns=names)
    signature = infer_signature(rows, booster.predict(rows.to_numpy()))
    mlflow.lightgbm.save_model(booster, folder, signature=signature)
    mlflow_command = Path(sys.executable).with_name("mlflow")
    os.environ["OMP_NUM_THREADS"] = "1"
    os.execv(
        mlflow_command,
        [
            str(mlflow_command), "models", "serve", "-m", folder, "-p", port,
            "--env-manager", "local", "--workers", "1",
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
