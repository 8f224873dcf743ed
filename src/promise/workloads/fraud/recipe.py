"""What a fraud model is made of: members, their scale, and how training rows are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from promise.metrics.costs import Cuts
from promise.models.base import Estimator
from promise.models.calibrate import Scale
from promise.models.smote import Smote
from promise.selection.candidates import estimator_from, estimator_params


@dataclass(frozen=True)
class Part:
    """One estimator of the blend.

    Parameters
    ----------
    kind, params
        Its entry-point name, and its parameters where they differ from its defaults.
    weight
        Its share; None: measured on the calibration block.
    """

    kind: str
    params: Mapping[str, Any] = field(default_factory=dict)
    weight: float | None = None

    @property
    def estimator(self) -> Estimator:
        """The configured estimator."""
        return estimator_from(self.kind, self.params)


@dataclass(frozen=True)
class Recipe:
    """How members are trained and joined.

    Parameters
    ----------
    scale
        Whether log-odds or probabilities are averaged.
    smote
        How frauds are made up in the training part; None: not at all.
    cuts
        Fixed thresholds; None: the actions of least expected cost.
    train_rows
        Most training rows: every fraud, and others by their hash. None: all.
    watch_rows
        Most rows of the calibration block that stop members early; None: all.
    """

    parts: tuple[Part, ...]
    scale: Scale = "logit"
    smote: Smote | None = None
    cuts: Cuts | None = None
    train_rows: int | None = None
    watch_rows: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready description, as a version's recipe keeps it."""
        return {
            "parts": [
                {
                    "kind": part.kind,
                    "params": estimator_params(part.estimator),
                    "weight": part.weight,
                }
                for part in self.parts
            ],
            "scale": self.scale,
            "smote": None if self.smote is None else asdict(self.smote),
            "cuts": None if self.cuts is None else asdict(self.cuts),
            "train_rows": self.train_rows,
            "watch_rows": self.watch_rows,
        }


DEFAULT = Recipe(
    parts=(
        Part("lightgbm", {"leaves": 15, "min_leaf": 100, "column_sample": 0.5}),
        Part(
            "xgboost",
            {
                "max_depth": 5,
                "learning_rate": 0.1,
                "min_leaf": 5.0,
                "subsample": 0.8,
                "column_sample": 0.5,
            },
        ),
    )
)
"""What measured best under a temporal split with label delay; see docs/benchmarks.md."""
