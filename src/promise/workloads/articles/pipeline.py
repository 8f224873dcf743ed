"""The articles workload: title, body, source → a class or labels, or a person's look."""

from __future__ import annotations

from promise.pipeline.order import Workload
from promise.promises.spec import Promise
from promise.workloads.articles.evaluate import measure
from promise.workloads.articles.one import one_article
from promise.workloads.articles.presets import PRESETS, restored
from promise.workloads.articles.task import METRIC, NAME_OF_WORKLOAD
from promise.workloads.articles.terms import OPTIONS
from promise.workloads.articles.train import train_articles

LEAST_F1, MOST_DRIFT = 0.85, 0.1

PROMISED = (
    Promise("quality", METRIC, at_least=LEAST_F1, due="gate", on_break=("retrain",)),
    Promise("drift", "psi", at_most=MOST_DRIFT, due="live", on_break=("alert",)),
)
"""So good a first version must be, and so little its answers may shift, unless said otherwise."""

RETRAIN = {"every_rows": 200, "schedule": "sun 02:00", "on_drift": True}

WORKLOAD = Workload(
    name=NAME_OF_WORKLOAD,
    summary="an article's title and body → a class or labels, or a person's look",
    presets=tuple(PRESETS),
    train=train_articles,
    cache_s=3600.0,
    options=OPTIONS,
    paths=("encoder", "rules"),
    again=True,
    climbs=True,
    by_content=True,
    restored=restored,
    one=one_article,
    measure=measure,
    bulk_rows=2048,
    promised=PROMISED,
    retrain=RETRAIN,
)
