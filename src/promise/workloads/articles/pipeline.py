"""The articles workload: title, body, source → a class or labels, or a person's look."""

from __future__ import annotations

from promise.pipeline.order import Workload
from promise.workloads.articles.evaluate import measure
from promise.workloads.articles.presets import PRESETS
from promise.workloads.articles.task import NAME_OF_WORKLOAD
from promise.workloads.articles.terms import OPTIONS
from promise.workloads.articles.train import train_articles

WORKLOAD = Workload(
    name=NAME_OF_WORKLOAD,
    summary="an article's title and body → a class or labels, or a person's look",
    presets=tuple(PRESETS),
    train=train_articles,
    cache_s=3600.0,
    options=OPTIONS,
    again=True,
    measure=measure,
    bulk_rows=2048,
)
