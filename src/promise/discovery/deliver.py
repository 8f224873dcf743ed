"""What a finished race becomes: leaderboard, registered version, verified export, report."""

from __future__ import annotations

import contextlib
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from typing import Any

from promise.clock import Clock, SystemClock
from promise.data.answer import Class
from promise.discovery.diagnostics import diagnose
from promise.discovery.export import verify
from promise.discovery.found import Found
from promise.discovery.ground import Ground
from promise.discovery.handoff import export_version
from promise.discovery.importance import permutation_importance
from promise.discovery.options import Options
from promise.discovery.report import render
from promise.discovery.timing import Plan
from promise.discovery.watch import Recorded
from promise.engine.local import LocalEngine
from promise.engine.memory import MemoryWatch, give_back
from promise.errors import ArtifactError, FitFailed, PromiseError, disk_is_full
from promise.job import Job
from promise.metrics.pointwise import all_metrics
from promise.pipeline.artifact import save_pipeline
from promise.registry.registry import Registry
from promise.registry.versions import Version
from promise.selection.board import BASELINE
from promise.selection.curve import learning_curve, tidy_curve
from promise.selection.leaderboard import Leaderboard, build_leaderboard
from promise.selection.limits import handover_seconds
from promise.state.files import plain, write_json, write_text
from promise.workloads.tabular.contents import contents_of
from promise.workloads.tabular.learn import Learned

_LIBRARIES = ("promise-ml", "numpy", "scikit-learn", "lightgbm", "xgboost-cpu", "pyarrow", "torch")


def deliver(
    learned: Learned,
    ground: Ground,
    options: Options,
    plan: Plan,
    engine: LocalEngine,
    job: Job,
    watcher: Recorded,
    clock: Clock | None = None,
) -> Found:
    """Judge, explain, register, export, verify and report; each file is whole or absent."""
    clock = clock or SystemClock()
    watcher.step("judging on the holdout")
    board = judge(learned, options.seed)
    story = begin_story(learned, ground, options, board, clock, watcher)
    if not learned.listed:
        return _without_model(story, board, options, plan, engine, watcher)
    story["diagnostics"] = diagnose(
        learned.table.answer, learned.sealed_y, learned.best.output, learned.best.multipliers
    )
    plan = plan.sparing(handover_seconds(learned.best, len(learned.table.holdout), answers=1))
    watcher.step("asking which columns matter")
    story["importance"] = _importance(learned, plan, job)
    watcher.step("asking how much data is enough")
    story["curve"] = _curve(learned, plan, engine, job)
    engine.close()  # nothing is fitted any more: what its processes hold is free for the rest
    give_back()
    with _watched() as watch:
        watcher.step("registering and exporting")
        version = _register(learned, board, story, ground, options)
        story["version"] = str(version)
        export, failure = _export(version, learned, ground, options, watcher)
    story["export"] = export
    _close(story, board, options, plan, max(engine.peak_mb, watch.peak_mb), watcher)
    if failure is not None:
        raise failure
    watcher.step("done")
    return Found(options.out, plain(story), version)


@contextlib.contextmanager
def _watched() -> Iterator[MemoryWatch]:
    """Watch the memory of this process and its children, after the engine has ended."""
    watch = MemoryWatch()
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def judge(learned: Learned, seed: int) -> Leaderboard:
    """Read the holdout once: every listed model's score beside its validation score."""
    return build_leaderboard(
        learned.result,
        learned.metric,
        learned.table.answer,
        target=learned.table.target,
        split=learned.table.split.describe(),
        y_holdout=learned.sealed_y,
        best=learned.listed[0].name if learned.listed else None,
        outputs={listed.name: listed.output for listed in learned.listed},
        refits=learned.refits,
        seed=seed,
        predict_ms={listed.name: listed.predict_ms for listed in learned.listed},
        groups=learned.table.groups(learned.table.holdout),
    )


def begin_story(
    learned: Learned,
    ground: Ground,
    options: Options,
    board: Leaderboard,
    clock: Clock,
    watcher: Recorded,
) -> dict[str, Any]:
    """Return the parts of the story that are known when the race has ended."""
    table, answer = learned.table, learned.table.answer
    size = ground.source.size()
    return {
        "name": ground.name,
        "version": None,
        "created": clock.now().isoformat(timespec="seconds"),
        "source": {
            "name": ground.source.name,
            "rows": table.n_source_rows,
            "rows_exact": True,
            "bytes": size.bytes,
            "bad_rows": ground.source.bad_rows.count,
            "fingerprint": ground.source.fingerprint(),
        },
        "task": {
            "target": table.target,
            "kind": "class" if isinstance(answer, Class) else "number",
            "classes": list(answer.classes) if isinstance(answer, Class) else [],
            "metric": learned.metric.name,
            "greater_is_better": learned.metric.greater_is_better,
        },
        "sample": {
            "rows_used": table.columns.n_rows,
            "n_source_rows": table.n_source_rows,
            "unlabelled": table.unlabelled,
            "strategy": options.strategy,
            "sentence": next((w for w in ground.warnings if w.startswith("Training on")), None),
        },
        "split": {
            "kind": table.split.kind,
            "sentence": table.split.describe(),
            "train_rows": len(table.train),
            "holdout_rows": len(table.holdout),
        },
        "preflight": {**ground.preflight.to_json(), "sentences": ground.preflight.describe()},
        "profile": ground.profile.to_json(),
        "findings": [vars(f) for f in ground.findings],
        "leaderboard": board.to_json(),
        "recommendation": list(board.recommendation),
        "race": {
            "trials": len(learned.result.trials),
            "seconds": watcher.seconds,
            "history": watcher.history,
        },
        "warnings": list(ground.warnings),
        "options": options.to_json(),
        "seed": options.seed,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _importance(learned: Learned, plan: Plan, job: Job) -> list[dict[str, Any]]:
    rows = permutation_importance(
        learned.best.pipeline,
        learned.metric,
        learned.sealed,
        learned.sealed_y,
        job=job.child("importance", deadline_s=plan.importance),
        multipliers=learned.best.multipliers,
    )
    return [row.to_json() for row in rows]


def _curve(learned: Learned, plan: Plan, engine: LocalEngine, job: Job) -> dict[str, Any] | None:
    sampled = learned.table.columns.n_rows < learned.table.n_source_rows
    try:
        curve = learning_curve(
            learned.result,
            job=job,
            engine=engine,
            deadline_s=plan.curve,
            total_rows=learned.table.n_source_rows if sampled else None,
        )
    except FitFailed:
        return None
    tidy_curve(learned.result.grounds.folder)
    return curve.to_json()


def _register(
    learned: Learned, board: Leaderboard, story: dict[str, Any], ground: Ground, options: Options
) -> Version:
    best, row = learned.best, board.row(learned.best.name)
    trivial = next((r.score for r in board.models if r.family == BASELINE), None)
    metrics = {
        "metric": board.metric,
        "score": row.score,
        "ci": list(row.ci or (float("nan"), float("nan"))),
        "baseline": trivial,
        "rows": board.holdout_rows,
        "split": board.split,
        "all": all_metrics(learned.table.answer, learned.sealed_y, best.output, best.multipliers),
    }
    notes = {key: story[key] for key in ("leaderboard", "findings", "importance", "curve")}
    contents = contents_of(
        learned, best, metrics=plain(metrics), seed=options.seed, notes=plain(notes)
    )
    kept = replace(contents, lineage={**contents.lineage, "order": ground.order})
    return Registry.open().register(
        ground.name, lambda folder: save_pipeline(best.pipeline, folder, kept)
    )


def _export(
    version: Version, learned: Learned, ground: Ground, options: Options, watcher: Recorded
) -> tuple[dict[str, Any] | None, ArtifactError | None]:
    """Export and verify; an export that does not give the same digits is removed, not offered."""
    folder, table = options.out / "export", learned.table
    reader = ground.source.reader
    try:
        export_version(version, folder, holdout=table.columns.take(table.holdout))
        watcher.step("verifying the export in a fresh interpreter")
        parity = verify(
            folder,
            expected_score=version.metrics["score"],
            data=None if reader is None else reader["paths"],
        )
        if not parity.ok:
            raise ArtifactError(f"the export does not repeat the model: {parity.sentence}")
    except (PromiseError, OSError) as error:
        if not (isinstance(error, ArtifactError) or disk_is_full(error)):
            raise
        shutil.rmtree(folder, ignore_errors=True)
        why = f"{version} is registered and the report is written, but no export is offered: "
        then = f"the disk is full; free some space, then `promise export {version} --to {folder}`."
        return None, ArtifactError(why + (then if disk_is_full(error) else str(error)))
    return {"folder": str(folder), "parity": parity.sentence}, None


def _close(
    story: dict[str, Any],
    board: Leaderboard,
    options: Options,
    plan: Plan,
    peak_mb: float,
    watcher: Recorded,
) -> None:
    story["seconds"] = time.monotonic() - plan.start
    story["peak_memory_mb"] = peak_mb
    late = plan.late_by(story["seconds"])
    if late is not None:
        story["warnings"].append(late)
        watcher.warn(late)
    write_text(options.out / "report.html", render(plain(story)))
    write_json(options.out / "leaderboard.json", board.to_json())


def _without_model(
    story: dict[str, Any],
    board: Leaderboard,
    options: Options,
    plan: Plan,
    engine: LocalEngine,
    watcher: Recorded,
) -> Found:
    """Tell how far an interrupted race came, by validation scores alone."""
    watcher.warn("no model was trained on all rows; go on with --resume to finish.")
    _close(story, board, options, plan, engine.peak_mb, watcher)
    return Found(options.out, plain(story), None)
