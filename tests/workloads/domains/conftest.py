"""A small trained pipeline of names, made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from promise.data.source import open_source
from promise.data.synthetic import name_table
from promise.pipeline.order import Order, Outcome
from promise.workloads.domains.train import train_names


def train(rows: pa.Table, work: Path, **terms: Any) -> Outcome:
    """Train without registering."""
    work.mkdir(parents=True, exist_ok=True)
    return train_names(open_source(rows), Order("names", work, **terms), lambda _: None)


@pytest.fixture(scope="session")
def rows() -> pa.Table:
    """Return names whose category is known from a stem."""
    return name_table(2_000, n_classes=5)


@pytest.fixture(scope="session")
def outcome(rows: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Return what training on them gave."""
    return train(rows, tmp_path_factory.mktemp("names"))
