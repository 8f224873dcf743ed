"""What a version keeps of events, read from its folder without loading its models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from promise.data.answer import Answer, truths
from promise.data.columns import Columns
from promise.data.infer import read_columns
from promise.data.schema import Field, Schema
from promise.data.source import Source
from promise.features.history import History
from promise.features.incoming import EventReader
from promise.features.keyed import Keyed
from promise.features.view import refuse_other_versions
from promise.kernels.parsing import label_codes
from promise.pipeline.artifact import read_manifest
from promise.pipeline.task import Task
from promise.state.files import check_digests

_STAGE = "featurize"


@dataclass(frozen=True)
class KeyedStage:
    """The keyed stage of a version, how it reads events, and what labels may say."""

    keyed: Keyed
    task: Task
    reader: EventReader

    @property
    def answer(self) -> Answer:
        """What the version answers."""
        return self.task.answer


def history_of(stage: KeyedStage, source: Source) -> History:
    """Return a file of events, in the order of their times, with the labels that it tells.

    Where the model was trained with a column of when labels became known, the file's is read too;
    labels without such a time become known after the model's delay.

    Raises
    ------
    DataError
        When a column that the model reads is missing, or an event has no time.
    """
    request, label, split = stage.task.request, stage.task.label, stage.task.split
    told = [label] if label is not None and label in source.columns else []
    kept = [split.get("label_field"), split.get("known_at_field")]
    field, late = [Schema.from_json([one]).fields[0] if one else None for one in kept]
    fields = [field or Field(name, "category") for name in told]
    if told and late is not None and late.name in source.columns:
        fields.append(late)
    table, _ = read_columns(source, Schema((*request.fields, *fields)))
    table = table.take(np.argsort(table[stage.keyed.columns["time"]], kind="stable"))
    if not told:
        return stage.keyed.history(table)
    codes = label_codes(table[told[0]], list(truths(stage.answer))).astype(np.float64)
    when = {"known_at": table[late.name]} if late is not None and late.name in table else {}
    labels = Columns({"label": np.where(codes < 0, np.nan, codes), **when})
    return stage.keyed.history(table, labels)


def keyed_stage(folder: Path) -> KeyedStage | None:
    """Return the keyed stage of a version; None where it reads no keyed features.

    Raises
    ------
    ArtifactError
        When the folder is damaged, or its views are not those that it was trained on.
    """
    manifest = read_manifest(folder)
    if manifest["stages"].get(_STAGE, {}).get("kind") != Keyed.kind:
        return None
    check_digests(folder, manifest["digests"])
    keyed = Keyed.load(folder / "weights" / _STAGE)
    refuse_other_versions(keyed.features.views, manifest["views"])
    task = Task.from_json(manifest["task"])
    return KeyedStage(keyed, task, EventReader(keyed, task.request))
