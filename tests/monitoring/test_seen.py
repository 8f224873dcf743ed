"""Drift of keyed features is counted as they were served, once, period by period."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.monitoring.house import House
from tests.serving.guards import train

from promise.features.event import Event
from promise.features.seen_log import SeenLog
from promise.monitoring.drift import summed_counts
from promise.pipeline.keyed_stage import keyed_stage
from promise.state.files import sha256
from promise.workloads.tabular.contents import edges


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("guards") / "guard", reasons=False)


@pytest.fixture
def names(house: House, folder: Path) -> tuple[str, ...]:
    """Register a version that reads keyed features, with frozen bins of two of them."""
    stage = keyed_stage(folder)
    assert stage is not None
    columns = stage.keyed.features.columns
    bins = {name: edges(np.arange(100, dtype=np.float64) % 10) for name in columns[:2]}

    def write(draft: Path) -> None:
        shutil.copytree(folder, draft, dirs_exist_ok=True)
        (draft / "reference.json").write_text(json.dumps(bins), encoding="utf-8")
        manifest = json.loads((draft / "manifest.json").read_text(encoding="utf-8"))
        manifest["digests"]["reference.json"] = sha256(draft / "reference.json")
        (draft / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")

    house.registry.register("guard", write)
    return columns


def note(log: SeenLog, names: tuple[str, ...], values: list[float], version: int = 1) -> None:
    for number, value in enumerate(values):
        vector = np.full(len(names), value)
        event = Event(f"e{number}", 0, {"entity": "a"})
        log.note("guard", f"p{number}", "event", event.packed(), {}, version=version, vector=vector)


@pytest.mark.slow
def test_served_features_are_counted_in_the_frozen_bins(
    house: House, names: tuple[str, ...]
) -> None:
    log = SeenLog(house.settings, "0", clock=house.clock)
    note(log, names, [0.0, 0.0, 9.0, np.nan])
    log.append("guard", {"id": "r", "kind": "reasons"})
    log.close()
    for _ in range(2):  # a second pass counts nothing twice
        house.collect()
    counts = summed_counts(house.evidence.observed("guard", 1, "psi"))
    assert counts.keys() == set(names[:2])
    found = counts[names[0]]
    assert (sum(found["bins"]), found["missing"]) == (3, 1)
    later = SeenLog(house.settings, "1", clock=house.clock)
    note(later, names, [5.0] * 7)
    later.close()
    house.collect()
    counts = summed_counts(house.evidence.observed("guard", 1, "psi"))
    assert sum(counts[names[1]]["bins"]) == 10


def test_vectors_of_another_width_are_left_out(house: House, names: tuple[str, ...]) -> None:
    log = SeenLog(house.settings, "0", clock=house.clock)
    note(log, names[:-1], [1.0])
    log.close()
    house.collect()
    assert house.evidence.observed("guard", 1, "psi") == []
