"""The tabular workload: how an order to train becomes a pipeline."""

from __future__ import annotations

import time
from collections.abc import Callable

from promise.data.infer import infer_schema
from promise.data.sample import sample_size
from promise.data.source import Source
from promise.engine.local import LocalEngine
from promise.errors import ConfigError, FitFailed
from promise.job import Job
from promise.metrics.intervals import bootstrap_interval
from promise.metrics.pointwise import all_metrics, default_metric
from promise.pipeline.order import Order, Outcome, Workload
from promise.workloads.tabular.contents import contents_of
from promise.workloads.tabular.full import train_again
from promise.workloads.tabular.label import read_label
from promise.workloads.tabular.learn import Learned, Terms, learn
from promise.workloads.tabular.table import Sampling, load_table, table_roles
from promise.workloads.tabular.task import NAME

_REFIT_SHARE = 0.2
_RULES = ("temporal", "grouped", "random", "stratified")


def train_table(source: Source, order: Order, tell: Callable[[str], None]) -> Outcome:
    """Train a table: a race of its own, or a version's pipeline again on every row."""
    if order.start is not None:
        return train_again(source, order, tell)
    if order.full:
        raise ConfigError(
            "--full trains a known pipeline on every row: say which by --from NAME@V."
        )
    if (order.split or "random").partition(":")[0] not in _RULES:
        raise ConfigError(
            f"--split {order.split}: expected temporal:COLUMN, grouped:COLUMN, random or "
            "stratified."
        )
    return _train_by_race(source, order, tell)


def _train_by_race(source: Source, order: Order, tell: Callable[[str], None]) -> Outcome:
    began = time.monotonic()
    target = order.target or next((c for c, r in order.columns.items() if r == "label"), None)
    if target is None:
        raise ConfigError("say which column holds the label: --target COL or --column label=COL.")
    tell("reading")
    schema = table_roles(infer_schema(source), order.columns, target)
    label = read_label(source, schema, target, seed=order.seed)
    named = {role: column for column, role in order.columns.items()}
    table = load_table(
        source,
        schema,
        target,
        label,
        Sampling(sample_size(label.n_labelled, "auto"), seed=order.seed),
        time=named.get("time"),
        group=named.get("group"),
        gap_s=order.gap_s,
    )
    for line in table.warnings:
        tell(line)
    end = None if order.trials is not None else began + order.budget_s
    terms = Terms(
        metric=default_metric(label.answer),
        preset=order.preset,
        trials=order.trials,
        race_deadline_s=None if end is None else end - _REFIT_SHARE * order.budget_s,
        refit_deadline_s=end,
        resume=order.resume,
    )
    job = Job(seed=order.seed, threads=order.threads, memory_mb=order.memory_mb)
    with LocalEngine(threads=order.threads, memory_mb=order.memory_mb) as engine:
        learned = learn(
            table,
            terms,
            job=job,
            engine=engine,
            folder=order.work / "race",
            progress=lambda p: tell(f"racing: {p.done} fits, best {p.best_name}"),
        )
        if not learned.listed:
            raise FitFailed("no model could be trained on all rows; give more time.", "deadline")
        return outcome_of(learned, order.seed, peak_mb=engine.peak_mb)


def outcome_of(learned: Learned, seed: int, *, peak_mb: float) -> Outcome:
    """Return the winner with everything that its version keeps."""
    best, table = learned.best, learned.table
    multipliers = best.multipliers
    metric, y = learned.metric, learned.sealed_y
    everything = all_metrics(table.answer, y, best.output, multipliers)
    low, high = bootstrap_interval(
        metric,
        y,
        best.output,
        seed=seed,
        multipliers=multipliers,
        groups=table.groups(table.holdout),
    )
    metrics = {
        "metric": metric.name,
        "score": metric.score(y, best.output, multipliers),
        "ci": [low, high],
        "rows": len(y),
        "split": table.split.describe(),
        "all": everything,
    }
    return Outcome(
        pipeline=best.pipeline,
        contents=contents_of(learned, best, metrics=metrics, seed=seed, notes={}),
        metrics=everything,
        split=table.split.describe(),
        rows=len(table.train),
        peak_memory_mb=peak_mb,
    )


WORKLOAD = Workload(
    name=NAME,
    summary="any table → a class or a number",
    presets=("default", "reference"),
    train=train_table,
    again=True,
)
