"""A small world of transactions, trained on once for all tests of this folder."""

from __future__ import annotations

import pyarrow as pa
import pytest

from promise.data.source import open_source
from promise.data.synthetic_events import World, fraud_events
from promise.pipeline.order import Order, Outcome
from promise.workloads.fraud.pipeline import train_fraud

SMALL = World(days=60, per_day=200, cards=300, shops=60)


@pytest.fixture(scope="session")
def events() -> pa.Table:
    """Return 12,000 transactions with planted frauds."""
    return fraud_events(SMALL)


@pytest.fixture(scope="session")
def order(tmp_path_factory: pytest.TempPathFactory) -> Order:
    """Return the terms of a plain training on one thread."""
    return Order(name="guard", work=tmp_path_factory.mktemp("work"), threads=1)


@pytest.fixture(scope="session")
def outcome(events: pa.Table, order: Order) -> Outcome:
    """Return what a plain training leaves."""
    return train_fraud(open_source(events), order, lambda _: None)
