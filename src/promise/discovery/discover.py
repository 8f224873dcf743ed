"""The main job: from a table to a recommended model, a report and code that runs alone."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from promise.discovery.deliver import deliver
from promise.discovery.found import Found
from promise.discovery.ground import Ground, survey
from promise.discovery.options import Options, family_names, megabytes, sample_option, seconds
from promise.discovery.timing import Plan, pace_since
from promise.discovery.watch import Recorded, Silent, Watcher
from promise.discovery.workplace import workplace
from promise.engine.local import LocalEngine
from promise.engine.memory import give_back
from promise.job import Job
from promise.workloads.tabular.learn import Terms, learn


def discover(
    data: Any,
    target: str,
    *,
    budget: str | float = "10m",
    memory: str | float | None = None,
    sample: str | int = "auto",
    families: str | tuple[str, ...] | None = None,
    out: str | Path = "promise-out",
    watcher: Watcher | None = None,
    **options: Any,
) -> Found:
    """Learn which model is best for a table, how far to trust it, and take its code home.

    Parameters
    ----------
    data
        A file (CSV, Parquet, JSON Lines), a folder or glob, a SQL URL, an `s3://` path, or a
        pandas, Polars or Arrow table.
    target
        The column to predict.
    budget
        Wall-clock time for everything, such as `"60s"` or `"10m"`; or give `trials=N`.
    memory
        Bound on the memory of all processes, such as `"4GB"`.
    sample
        `"auto"`, `"full"` or a number of rows.
    families
        Which model families race, such as `"linear,lightgbm"`; default all of the preset.
    out
        Folder for `leaderboard.json`, `report.html`, `export/` and the run's journal.
    options
        Further fields of `Options`: `preset`, `trials`, `strategy`, `time`, `group`, `metric`,
        `threads`, `seed`, `name`, `on_bad_rows`, `resume`, `columns` (column to role, such as
        `{"duration": "ignore"}`), `reading`, `gap_s`, `latency_ms`, `replay`.

    Raises
    ------
    PromiseError
        For a user's error: one sentence that says what to do.
    """
    terms = Options(
        target=target,
        budget_s=seconds(budget),
        memory_mb=None if memory is None else megabytes(memory),
        sample=sample_option(sample),
        families=family_names(families),
        out=Path(out),
        **options,
    )
    return run(data, terms, watcher or Silent())


def run(data: Any, options: Options, watcher: Watcher, *, began: float | None = None) -> Found:
    """Carry out a discovery; `began` is when the user started to wait, in monotonic seconds."""
    began = time.monotonic() if began is None else began
    options = replace(options, threads=max(1, min(options.threads, os.cpu_count() or 1)))
    job = Job(seed=options.seed, memory_mb=options.memory_mb, threads=options.threads)
    journal = None if options.replay is None else options.replay.read_bytes()
    with (
        workplace(options) as work,
        LocalEngine(threads=options.threads, memory_mb=options.memory_mb) as engine,
    ):
        ground = survey(data, options, watcher, began=began)
        give_back()
        job = replace(job, threads=min(job.threads, ground.preflight.at_once))
        counted = options.trials is not None or journal is not None
        budget_s = None if counted else options.budget_s
        pace = pace_since(began)
        plan = Plan.make(began, time.monotonic(), budget_s, read_s=ground.read_s, pace=pace)
        watcher.step("racing")
        replayed = None if journal is None else _kept_journal(journal, work)
        terms = Terms(
            metric=ground.metric,
            preset=options.preset,
            families=options.families,
            refused=_refused(options, ground),
            latency_ms=options.latency_ms,
            replay=replayed,
            trials=options.trials or (1 if replayed is not None else None),
            race_deadline_s=plan.race,
            refit_deadline_s=plan.refit,
            resume=options.resume,
        )
        recorded = Recorded(watcher, time.monotonic())
        learned = learn(
            ground.table, terms, job=job, engine=engine, folder=work / "race",
            progress=recorded.race,
        )  # fmt: skip
        return deliver(learned, ground, options, plan, engine, job, recorded)


def _refused(options: Options, ground: Ground) -> dict[str, str]:
    """Return the families that the memory bound keeps from racing, and why."""
    if options.families is not None:
        return {}
    return {
        need.name: f"a fit needs {need.memory_mb:,.0f} MB of {ground.preflight.memory_mb:,.0f} MB"
        for need in ground.preflight.families
        if need.how == "refused"
    }


def _kept_journal(journal: bytes, work: Path) -> Path:
    """Return a copy of the journal to replay: it may have lain where this run writes its own."""
    kept = work / "replayed.jsonl"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(journal)
    return kept
