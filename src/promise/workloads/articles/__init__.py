"""Articles: which class or which labels, by a ladder that grows with the data."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promise.workloads.articles.reference import (
        AdaptiveFeatureExtractor as AdaptiveFeatureExtractor,
    )
    from promise.workloads.articles.reference_classifier import MLClassifier as MLClassifier
    from promise.workloads.articles.reference_classifier import (
        load_model_version as load_model_version,
    )
    from promise.workloads.articles.reference_monitor import ProductionMonitor as ProductionMonitor
    from promise.workloads.articles.reference_retraining import AutoRetrainer as AutoRetrainer

_HOMES = {
    "AdaptiveFeatureExtractor": "reference",
    "AutoRetrainer": "reference_retraining",
    "MLClassifier": "reference_classifier",
    "ProductionMonitor": "reference_monitor",
    "load_model_version": "reference_classifier",
}

__all__ = [
    "AdaptiveFeatureExtractor", "AutoRetrainer", "MLClassifier", "ProductionMonitor",
    "load_model_version",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a name of the reference preset at its first use: the workload itself stays light."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"{__name__} has no {name!r}; it has {', '.join(__all__)}.")
