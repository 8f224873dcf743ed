"""From a registered version to an export: code that runs without Promise, verified first."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from promise.clock import Clock, SystemClock
from promise.data.columns import Columns
from promise.data.schema import Schema
from promise.discovery.export import ExportPlan, Member, Order, export
from promise.discovery.export.plan import defined
from promise.errors import ConfigError
from promise.models.blend import Blend
from promise.pipeline.artifact import read_golden, read_manifest, recipe_of
from promise.pipeline.holdout import HoldoutRule
from promise.pipeline.task import Task
from promise.registry.versions import Version


def export_version(
    version: Version, folder: Path, *, holdout: Columns | None = None, clock: Clock | None = None
) -> Path:
    """Write the export of a version.

    Parameters
    ----------
    holdout
        Typed columns of the sealed rows, so that `evaluate.py` can tell a changed file; a version
        exported later has none and checks only the number of rows.
    """
    return export(plan_of(version, holdout, clock or SystemClock()), folder)


def plan_of(version: Version, holdout: Columns | None, clock: Clock) -> ExportPlan:
    """Gather what the export says and computes from the version's own folder."""
    manifest = read_manifest(version.folder)
    score = manifest["stages"]["score"]["kind"]
    if score != Blend.kind:
        raise ConfigError(
            f"{version} was not trained here (its scorer is {score!r}), so there is no training "
            "code to export; serve it, or take its files from `promise models show`."
        )
    task = Task.from_json(manifest["task"])
    lineage, metrics, recipe = manifest["lineage"], manifest["metrics"], recipe_of(version.folder)
    notes: dict[str, Any] = json.loads((version.folder / "notes.json").read_text(encoding="utf-8"))
    golden, output = read_golden(version.folder)
    time, entity = task.request.find("time"), task.request.find("entity")
    label = dict(task.split["label_field"])
    group = next((f["name"] for f in lineage["schema"] if f["role"] == "group"), None)
    rule = HoldoutRule.of(task, lineage)
    low, high = map(defined, metrics.get("ci") or (None, None))
    return ExportPlan(
        name=version.name,
        version=str(version),
        created=clock.now().isoformat(timespec="seconds"),
        answer=task.answer,
        target=str(task.label),
        metric=metrics["metric"],
        score=defined(metrics["score"]),
        ci=(low, high),
        validation_score=lineage.get("validation_score"),
        baseline_score=metrics.get("baseline"),
        rows_used=lineage["rows_used"],
        split_sentence=lineage["split"],
        seed=lineage["seed"],
        reader=lineage.get("reader"),
        schema=(*task.request.to_json(), label, *_split_fields(task, rule)),
        members=tuple(_members(version.folder, recipe)),
        train_rows=np.load(version.folder / "train_rows.npy"),
        holdout_rows=np.load(version.folder / "holdout_rows.npy"),
        n_source_rows=lineage["n_source_rows"],
        data_fingerprint=lineage["fingerprint"],
        golden=golden,
        golden_output=output[:, 0] if output.shape[1] == 1 else output,
        holdout=None if holdout is None else dict(holdout.arrays),
        temperature=recipe["temperature"],
        multipliers=None if recipe["multipliers"] is None else tuple(recipe["multipliers"]),
        order=None if time is None else Order(time.name, None if entity is None else entity.name),
        group=group,
        split=rule.split.to_json() if rule is not None and rule.field is not None else None,
        source_name=Path(lineage["source"]).name,
        leaderboard=notes.get("leaderboard", {}),
        findings=tuple(notes.get("findings", ())),
        importance=tuple(notes.get("importance", ())),
    )


def _split_fields(task: Task, rule: HoldoutRule | None) -> list[dict[str, Any]]:
    """Return the field that the split reads, where a request does not have it."""
    if rule is None or rule.field is None or rule.field.name in task.request.names:
        return []
    role = "ignore" if rule.field.role == "input" else rule.field.role
    return Schema((replace(rule.field, role=role),)).to_json()


def _members(folder: Path, recipe: dict[str, Any]) -> list[Member]:
    """Match the recipe's members with the weights that the version keeps."""
    views = json.loads((folder / "weights/featurize/views.json").read_text(encoding="utf-8"))
    found = []
    for number, entry in enumerate(recipe["members"]):
        home = folder / "weights/featurize" / f"view-{views.index(entry['view_id'])}"
        found.append(
            Member(
                family=entry["family"],
                params=entry["params"],
                seed=entry["seed"],
                weight=entry["weight"],
                features_folder=home,
                fitted_folder=folder / "weights/score" / f"member-{number}",
                rounds=entry["rounds"],
                refitted=entry["rows"] == entry["train_rows"],
            )
        )
    return found
