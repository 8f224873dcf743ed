"""A training anew keeps what the version before it was told, as far as nothing else is said."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from promise.data.source import open_source
from promise.pipeline.order import Order
from promise.workloads.fraud.plan import plan_of


def test_a_training_anew_may_name_another_column_for_a_role(
    events: pa.Table, tmp_path: Path
) -> None:
    columns = {"time": "when", "entity": "card", "other": "shop", "amount": "amount"}
    recipe = {"columns": {**columns, "label": "fraud"}, "options": {"cost_review": "2"}}
    (tmp_path / "pipeline.json").write_text(json.dumps({"recipe": recipe}))
    told = events.append_column("verdict", events["fraud"])
    order = Order("guard", tmp_path, start=tmp_path, columns={"device": "entity"})
    plan = plan_of(open_source(told), order)
    assert {role: plan.columns[role] for role in ("entity", "other", "label")} == {
        "entity": "device", "other": "shop", "label": "fraud",
    }  # fmt: skip
    assert plan.terms.costs.review == 2.0
    order = Order("guard", tmp_path, start=tmp_path, target="verdict")
    plan = plan_of(open_source(told), order)
    assert plan.columns["label"] == "verdict"
    assert plan.columns["entity"] == "card"
