"""Which rows a training on other data may not see, by the version's own rule drawn anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from promise.data.answer import Class
from promise.data.schema import Field, Schema
from promise.data.source import Source, open_source
from promise.data.split import Split
from promise.errors import ConfigError
from promise.pipeline.order import Order
from promise.pipeline.task import Task
from promise.workloads.tabular.full import _same_rule
from promise.workloads.tabular.sealing import Seal, seal

DAYS = np.arange("2026-01-01", "2026-04-11", dtype="M8[D]")


def task(split: Split) -> Task:
    request = Schema((Field("age", "number"),))
    return Task("tabular", request, Class(("no", "yes")), "target", "accuracy", split.to_json())


def sealed(source: Source, split: Split, field: Field, *, anew: bool) -> Seal:
    lineage = {"schema": Schema((field,)).to_json(), "fingerprint": "of other data"}
    return seal(source, task(split), lineage, Path(), seed=7, anew=anew)


def test_a_cutoff_moves_along_with_data_that_goes_on() -> None:
    source = open_source(pa.table({"day": DAYS.astype("M8[us]")}))
    split = Split("temporal", 0.2, 7, "day", "2026-01-11")
    field = Field("day", "date", role="time")
    assert len(sealed(source, split, field, anew=False).judged) == 90
    found = sealed(source, split, field, anew=True)
    assert found.judged.tolist() == list(range(80, 100))
    assert found.rule is not None
    assert found.rule.split.cutoff == "2026-03-22"


def test_groups_are_drawn_anew_where_the_sealed_ones_are_gone() -> None:
    shops = np.array([f"s{i}" for i in range(200)], dtype=object)
    split, field = Split("grouped", 0.2, 7, "shop"), Field("shop", "category", role="group")
    everything: Any = open_source(pa.table({"shop": shops}))
    old = sealed(everything, split, field, anew=False).judged
    rest = np.delete(shops, old)
    found = sealed(open_source(pa.table({"shop": rest})), split, field, anew=True)
    assert 0.1 < len(found.judged) / len(rest) < 0.3


def test_only_the_versions_own_kind_of_split_can_be_drawn_anew() -> None:
    order = Order("churn", Path())
    split = Split("temporal", 0.2, 7, "day", "2026-01-11")
    for text in (None, "temporal:day"):
        _same_rule(replace(order, split=text), task(split))
    with pytest.raises(ConfigError, match="is split as it was, temporal:day"):
        _same_rule(replace(order, split="temporal:hour"), task(split))
    _same_rule(replace(order, split="random"), task(Split("random", 0.2, 7)))
