"""An installation with registered versions and a log, to collect from."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from promise.clock import ManualClock
from promise.data.answer import Answer, Class
from promise.data.schema import Field, Schema
from promise.metrics.drift import add_counts
from promise.monitoring.collect import Collected, Collector
from promise.pipeline.task import Task
from promise.records.evidence import EvidenceStore
from promise.records.labels import Labels
from promise.records.machine import home_slot
from promise.records.predictions import PredictionLog
from promise.registry.registry import Registry
from promise.settings import Settings
from promise.state.database import Database
from promise.state.files import write_json
from promise.workloads.tabular.contents import edges, score_reference

SCHEMA = Schema(
    (
        Field("age", "number"),
        Field("city", "category"),
        Field("sex", "category", role="protected"),
    )
)
CITIES = ("lyon", "nice")


@dataclass
class House:
    """An installation with registered versions, a log and everything that reads it."""

    settings: Settings
    clock: ManualClock
    database: Database

    def __post_init__(self) -> None:
        self.registry = replace(Registry.open(self.settings), clock=self.clock)
        self.evidence = EvidenceStore(self.database, self.clock)
        self.labels = Labels(self.database, self.clock)

    def register(self, name: str = "churn", answer: Answer = Class(("no", "yes"))) -> int:  # noqa: B008
        rng = np.random.default_rng(7)
        output = rng.random(1000)
        wide = np.column_stack([1 - output, output]) if isinstance(answer, Class) else output
        reference = {
            "age": edges(rng.normal(40, 10, 1000)),
            "city": edges(rng.choice(np.array(CITIES, dtype=object), 1000)),
            "sex": edges(rng.choice(np.array(["f", "m"], dtype=object), 1000)),
        } | score_reference(wide)
        task = Task("tabular", SCHEMA, answer, "label", "accuracy")

        def write(folder: Path) -> None:
            write_json(folder / "reference.json", reference)
            manifest = {
                "format": 1,
                "stages": {},
                "task": task.to_json(),
                "views": {},
                "lineage": {},
                "metrics": {},
                "digests": {},
            }
            write_json(folder / "manifest.json", manifest)

        return self.registry.register(name, write).number

    def log(self, slot: str = "0") -> PredictionLog:
        return PredictionLog(
            self.settings.records, home_slot(self.settings, slot), flush_s=60, clock=self.clock
        )

    def answer(
        self, log: PredictionLog, n: int, *, version: int = 1, shift: float = 0.0, **more: Any
    ) -> list[str]:
        rng = np.random.default_rng(n + version)
        ids = [log.new_id() for _ in range(n)]
        for i, prediction_id in enumerate(ids):
            share = float(rng.random())
            line = {
                "id": prediction_id,
                "model": "churn",
                "version": version,
                "arm": "live",
                "at": self.clock.now().timestamp(),
                "ms": 1.0,
                "entity": None,
                "row": {
                    "age": float(rng.normal(40 + shift, 10)),
                    "city": str(rng.choice(CITIES)),
                    "sex": "fm"[i % 2],
                },
                "answer": {"prediction": "yes", "probability": {"no": 1 - share, "yes": share}},
                "source": "model",
            } | more
            log.append("churn", json.dumps(line).encode())
        return ids

    def collect(self, **given: Any) -> Collected:
        collector = Collector(self.settings, self.clock, **given)
        try:
            return collector.collect()
        finally:
            collector.close()

    def label(self, ids: list[str], value: Any, **more: Any) -> None:
        self.labels.add([{"prediction_id": i, "label": value, **more} for i in ids])

    def outcomes(self, version: int = 1) -> list[Any]:
        seen = self.evidence.observed("churn", version, "outcome")
        return [y for observed in seen for y in observed.payload["y"]]

    def counted(self, version: int = 1) -> dict[str, int]:
        """Rows by feature over all hours and machines."""
        found: dict[str, Any] = {}
        for observed in self.evidence.observed("churn", version, "psi"):
            feature, counts = observed.payload["feature"], observed.payload["counts"]
            counts = counts[0] if isinstance(counts, list) else counts
            found[feature] = add_counts(found[feature], counts) if feature in found else counts
        return {
            feature: sum(counts["bins"]) + counts["unseen"] + counts["missing"]
            for feature, counts in found.items()
        }
