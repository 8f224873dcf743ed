"""`promise train`: from data to a registered version, whatever the workload."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from promise.data.rows import OnBadRows
from promise.data.source import open_source
from promise.errors import ConfigError
from promise.pipeline.artifact import save_pipeline
from promise.pipeline.figures import figure
from promise.pipeline.order import Order, Outcome, workload_named
from promise.registry.registry import Registry
from promise.registry.versions import Version, check_name
from promise.settings import Settings
from promise.training.model import Model


@dataclass(frozen=True)
class Trained:
    """A new version and what is known of it."""

    version: Version
    outcome: Outcome
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return what `promise train --json` prints."""
        return {
            "version": str(self.version),
            "metrics": self.outcome.metrics,
            "split": self.outcome.split,
            "rows": self.outcome.rows,
            "seconds": self.seconds,
            "peak_memory_mb": self.outcome.peak_memory_mb,
        }

    def sentence(self) -> str:
        """Say what was made and how good it is."""
        metric = self.outcome.pipeline.task.metric
        score = figure(self.outcome.metrics.get(metric))
        return (
            f"registered {self.version}: {metric} {score} on {self.outcome.split}; "
            f"trained on {self.outcome.rows:,} rows in {self.seconds:.1f} s, "
            f"peak memory {self.outcome.peak_memory_mb:,.0f} MB"
        )


def train(
    workload: str,
    data: Any,
    *,
    name: str,
    start: str | None = None,
    on_bad_rows: OnBadRows = "fail",
    tell: Callable[[str], None] | None = None,
    **terms: Any,
) -> Model:
    """Train a version, register it under a name and return it ready to predict.

    Parameters
    ----------
    workload
        `"tabular"`, or another installed workload.
    data
        A path, URL or data frame.
    name
        The model's name.
    start
        `NAME@V` to train again; its views, estimators and rounds are kept.
    terms
        Further fields of `Order`: `target`, `preset`, `full`, `budget_s`, `trials`, `seed`, …

    Raises
    ------
    PromiseError
        For a user's error, in one sentence.
    """
    trained = train_version(
        workload, data, name=name, start=start, on_bad_rows=on_bad_rows, tell=tell, **terms
    )
    return Model(trained.version)


def train_version(
    workload: str,
    data: Any,
    *,
    name: str,
    start: str | None = None,
    on_bad_rows: OnBadRows = "fail",
    tell: Callable[[str], None] | None = None,
    **terms: Any,
) -> Trained:
    """Do what `train` does and return what is known of the new version."""
    begun = time.perf_counter()
    kind = workload_named(workload)
    registry = Registry.open()
    terms["threads"] = max(1, min(terms.get("threads") or 2, os.cpu_count() or 1))
    parent = None if start is None else registry.find(start)
    order = Order(
        name=check_name(name),
        work=Settings.load().home.absolute() / "work" / f"{workload}-{name}",
        start=None if parent is None else parent.folder,
        **terms,
    )
    if order.preset not in kind.presets:
        raise ConfigError(f"--preset {order.preset}: {workload} has {' and '.join(kind.presets)}.")
    if not order.resume:
        shutil.rmtree(order.work, ignore_errors=True)
    order.work.mkdir(parents=True, exist_ok=True)
    source = open_source(data, on_bad_rows=on_bad_rows)
    outcome = kind.train(source, order, tell or (lambda _: None))
    version = registry.register(
        name,
        lambda folder: save_pipeline(outcome.pipeline, folder, outcome.contents),
        parents=[] if parent is None else [str(parent)],
    )
    shutil.rmtree(order.work, ignore_errors=True)
    return Trained(version, outcome, time.perf_counter() - begun)
