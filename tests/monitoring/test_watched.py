"""What a collector reads of decisions: their score, and labels however they are written."""

from __future__ import annotations

import pytest

from promise.data.answer import Class, Decision, Number
from promise.data.schema import Field, Schema
from promise.monitoring.watched import Watched

SCHEMA = Schema((Field("eur", "number"),))


@pytest.mark.parametrize(
    ("value", "code"),
    [("1", 1.0), (1, 1.0), (True, 1.0), ("true", 1.0), (0.0, 0.0), ("False", 0.0), ("maybe", None)],
)
def test_labels_of_decisions(value: object, code: float | None) -> None:
    assert Watched(SCHEMA, Decision(), {}).label(value) == code


def test_labels_of_others_stay_as_they_were() -> None:
    assert Watched(SCHEMA, Class(("no", "yes")), {}).label("yes") == 1.0
    assert Watched(SCHEMA, Class(("no", "yes")), {}).label(True) is None
    assert Watched(SCHEMA, Number(), {}).label("2.5") == 2.5
    named = Watched(SCHEMA, Decision(outcomes=("good", "fraud")), {})
    assert [named.label(value) for value in ("fraud", 1, "good", [1])] == [1.0, 1.0, 0.0, None]


def test_the_output_of_a_decision_is_its_score() -> None:
    """An answer of last resort has none, and is no evidence."""
    watched = Watched(SCHEMA, Decision(), {})
    answer = {"prediction": "review", "score": 0.25, "reasons": []}
    assert watched.output({"answer": answer, "source": "model"}) == [0.75, 0.25]
    assert watched.output({"answer": {"prediction": "review"}, "source": "heuristic"}) is None
    assert watched.output({"answer": {"prediction": "review"}, "source": "model"}) is None
    counted = watched.counted(watched.typed([{"row": {"eur": 3.0}}])[1], [[0.75, 0.25]])
    assert counted == {}
