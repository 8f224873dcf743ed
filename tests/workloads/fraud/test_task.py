from __future__ import annotations

from promise.data.answer import Decision
from promise.data.schema import Field, Schema
from promise.pipeline.holdout import HoldoutRule
from promise.pipeline.task import Task
from promise.training.evaluate import known_at_field
from promise.workloads.fraud.task import fraud_task

ROLES = {
    "id": "n", "time": "when", "entity": "card", "other": "shop", "amount": "eur",
    "label": "fraud", "known_at": "told",
}  # fmt: skip


def test_keys_are_text_whatever_they_look_like() -> None:
    formats = {"card": Field("card", "number"), "eur": Field("eur", "number", decimal=",")}
    task = fraud_task(ROLES, formats=formats, numbers=("age",))
    kinds = {field.name: (field.type, field.role) for field in task.request}
    assert kinds["card"] == ("category", "entity")
    assert kinds["age"] == ("number", "input")
    assert task.request["eur"].decimal == ","
    assert "fraud" not in kinds
    assert "told" not in kinds


def test_a_task_survives_its_json() -> None:
    task = fraud_task(ROLES, label_delay="3d", answer=Decision(outcomes=("ok", "bad")))
    assert Task.from_json(task.to_json()) == task
    assert task.label_delay_s == 3 * 86400
    assert fraud_task(ROLES, prevalence=0.25).heuristic == (0.75, 0.25)


def test_the_rule_of_the_holdout_is_read_back_beside_the_fields_it_keeps() -> None:
    rule = {
        "kind": "temporal",
        "fraction": 0.2,
        "seed": 7,
        "column": "when",
        "cutoff": "2024-01-01",
    }
    task = fraud_task(ROLES, split=rule)
    fields = Schema((Field("when", "date"),)).to_json()
    found = HoldoutRule.of(task, {"schema": fields})
    assert found is not None
    assert found.split.cutoff == "2024-01-01"
    late = known_at_field(task)
    assert late is not None
    assert (late.name, late.type) == ("told", "date")
    assert known_at_field(fraud_task({k: v for k, v in ROLES.items() if k != "known_at"})) is None
