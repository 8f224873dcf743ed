"""Small trained pipelines of articles, made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from promise.data.source import open_source
from promise.data.synthetic_articles import article_table
from promise.pipeline.order import Order, Outcome
from promise.workloads.articles.train import train_articles

TERMS = {"encoder": "none", "baselines": "no"}


def train(
    rows: pa.Table,
    work: Path,
    *,
    tell: Callable[[str], None] = lambda _: None,
    options: dict[str, str] | None = None,
    **terms: Any,
) -> Outcome:
    """Train without registering, on terms alone unless an encoder is given."""
    work.mkdir(parents=True, exist_ok=True)
    order = Order("news", work, options=TERMS | (options or {}), threads=1, **terms)
    return train_articles(open_source(rows), order, tell)


@pytest.fixture(scope="session")
def rows() -> pa.Table:
    """Return articles of four topics."""
    return article_table(120)


@pytest.fixture(scope="session")
def outcome(rows: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Return what training on them gave."""
    return train(rows, tmp_path_factory.mktemp("news"))


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Return what training on articles of several topics each gave."""
    work = tmp_path_factory.mktemp("several")
    return train(article_table(150, several=True, clarity=0.4), work)


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table of word vectors in which words of one topic lie together."""
    words = sorted(
        {word for row in article_table(400, seed=3)["body"].to_pylist() for word in _words(row)}
    )
    counts = {topic: dict.fromkeys(words, 0) for topic in ("business", "culture", "politics")}
    for body, topic in zip(*_columns(article_table(400, seed=3)), strict=True):
        for word in _words(body) if topic in counts else ():
            counts[topic][word] += 1
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("vectors") / "words.txt"
    lines = []
    for word in words:
        seen = np.array([counts[topic][word] for topic in counts], dtype=float)
        told = np.concatenate([seen / max(1.0, seen.sum()), rng.normal(0, 0.05, 5)])
        lines.append(" ".join([word, *(f"{value:.4f}" for value in told)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _words(text: str) -> list[str]:
    return text.lower().replace(".", " ").split()


def _columns(table: pa.Table) -> tuple[list[str], list[str]]:
    return table["body"].to_pylist(), table["topic"].to_pylist()
