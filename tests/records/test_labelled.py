"""How many rows got a label since: corrections and other models' labels do not count."""

from __future__ import annotations

from promise.clock import ManualClock
from promise.records.labelled import LabelCount
from promise.records.labels import Labels
from promise.state.database import Database


def test_only_first_labels_of_the_model_count(database: Database) -> None:
    clock = ManualClock()
    labels, counting = Labels(database, clock), LabelCount(database)
    assert counting.last() == counting.number_at(clock.now()) == 0

    def add(model: str, *ids: str, label: object = 1, source: str = "api") -> None:
        given = {"label": label, "model": model, "source": source}
        labels.add([{"prediction_id": id, **given} for id in ids])

    add("churn", "a", "b")
    add("fraud", "x")
    then = clock.now()
    clock.advance(10)
    assert counting.count("churn", 0) == 2
    add("churn", "a", label=0)  # a correction
    add("churn", "b", source="human")  # of a second source, for a row that is known
    add("churn", "c", "d")
    assert counting.number_at(then) == 3
    assert counting.count("churn", 3) == 3  # b by its other source, c and d
    assert counting.count("churn", 0) == 4
    assert counting.count("fraud", 3) == 0
