"""The first design's fraud model, as data: every number that it named."""

from __future__ import annotations

from promise.metrics.costs import Cuts
from promise.models.smote import Smote
from promise.workloads.fraud.recipe import Part, Recipe

REFERENCE = Recipe(
    parts=(
        Part(
            "xgboost",
            {
                "rounds": 500,
                "max_depth": 8,
                "learning_rate": 0.05,
                "subsample": 0.8,
                "column_sample": 0.8,
                "min_leaf": 5.0,
                "early_stopping": 50,
            },
            weight=0.6,
        ),
        # width 64 is attention of 64 and gated layers of 128; momentum is PyTorch's convention
        Part(
            "tabnet",
            {"steps": 6, "width": 64, "learning_rate": 0.02, "momentum": 0.02},
            weight=0.4,
        ),
    ),
    scale="probability",
    smote=Smote(ratio=1.0),
    cuts=Cuts(review=0.2, decline=0.7),
    train_rows=150_000,
    watch_rows=50_000,
)
"""0.6 × XGBoost + 0.4 × TabNet on probabilities, SMOTE on the training part, then Platt."""
