"""Training of names: one model, judged on three sealed parts."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, pairwise
from typing import Any

import numpy as np

from promise.data.answer import Class
from promise.data.columns import IntArray
from promise.data.source import Source
from promise.engine.memory import MemoryWatch
from promise.features.names_rules import SuffixRules
from promise.metrics.pointwise import metric_named
from promise.models.hashed import Terms
from promise.models.hashed_growth import empty_model
from promise.pipeline.order import Order, Outcome
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.stages import Score
from promise.workloads.domains.assembly import (
    assembled,
    background_of,
    rejected_of,
    rules_of,
    task_of,
)
from promise.workloads.domains.contents import outcome_of
from promise.workloads.domains.evaluate import Suffixes, judge
from promise.workloads.domains.fitting import Evidence, finish, learned
from promise.workloads.domains.ground import Ground, Tell, lay_ground
from promise.workloads.domains.held import held_out, sample
from promise.workloads.domains.levels import levels_of
from promise.workloads.domains.naming import UNKNOWN, Naming
from promise.workloads.domains.parts import joined_endings, parts_of
from promise.workloads.domains.presets import PRESETS
from promise.workloads.domains.rules import candidates
from promise.workloads.domains.split import CALIBRATE, LEARNED, TUNE
from promise.workloads.domains.update import update_names


def train_names(source: Source, order: Order, tell: Tell) -> Outcome:
    """Train a preset on names, or a version on further ones."""
    watch = MemoryWatch()
    watch.start()
    try:
        if order.start is not None:
            return update_names(source, order, tell, watch)
        ground = lay_ground(source, order, tell)
        pipeline, told = (
            fit_preset(ground, tell) if order.preset in PRESETS else fit_default(ground, tell)
        )
        tell("judging")
        suffixes = Suffixes.learned(parts_of(ground.spool), len(ground.classes))
        judged = judge(pipeline, parts_of(ground.spool), suffixes)
        return outcome_of(ground, pipeline, judged, suffixes, told, watch)
    finally:
        watch.stop()


def fit_default(ground: Ground, tell: Tell) -> tuple[Pipeline, dict[str, Any]]:
    """Learn n-gram weights from a stream of parts, then rules, calibration and `unknown`."""
    n_rows, n_all = int(ground.learned.sum()), int(ground.unsealed.sum())
    n_classes, spool = len(ground.classes), ground.spool
    background = background_of(ground.order, parts_of(spool), n_classes)
    terms, of_none = Terms.of(n_all), background is not None
    empty = empty_model(ground.found.terms, n_rows, n_classes, background=of_none)
    beside = None if background is None else background.learned
    model = learned(empty, spool, beside, n_rows, terms, ground.job, tell)
    tell("calibrating")
    evidence = Evidence(
        apart=held_out(parts_of(spool), CALIBRATE),
        tune=held_out(parts_of(spool), TUNE),
        of_no_class=None if background is None else background.held,
        rejected=rejected_of(ground.order),
        counts=ground.learned if beside is None else np.append(ground.learned, len(beside.codes)),
    )
    rules = candidates(joined_endings(ground.found.endings))
    fitted = finish(model, rules, rules_of(ground.order, ground.classes), evidence)
    # what was held out has told temperature, rules and threshold: now it is learned from as well
    terms_of_all = ground.found.terms + ground.found.held_terms
    empty = empty_model(terms_of_all, n_all, n_classes, background=of_none)
    model = learned(empty, spool, beside, n_all, terms, ground.job, tell, LEARNED)
    parts = chain(parts_of(spool), () if background is None else [background.part])
    if background is not None:
        fitted.told["unknown"]["background_left_out"] = background.overlap
    settled = fitted.score
    calibrated = replace(model, temperature=settled.temperature, lift=settled.lift)
    final = replace(calibrated, kept=sample(parts))
    fitted = replace(fitted, score=final)
    return assembled(ground, fitted, levels_of(ground)), {**fitted.told, "passes": terms.passes}


def fit_preset(ground: Ground, tell: Tell) -> tuple[Pipeline, dict[str, Any]]:
    """Let a preset learn from the names as a list."""
    preset, job = PRESETS[ground.order.preset], ground.job
    texts, codes = training_list(ground)
    featurize, score = preset.fit(texts, codes, ground.classes, job, tell)
    others: dict[str, Score] = {}
    if preset.beside is not None:
        others = preset.beside(featurize, texts, codes, ground.classes, job, tell)
    pipeline = Pipeline(
        task=task_of(ground),
        retrieve=SuffixRules(ground.sheet.domain),
        featurize=featurize,
        score=score,
        decide=Naming(Class(ground.classes, unknown=UNKNOWN), levels=levels_of(ground)),
    )
    return pipeline, {
        "beside": {name: _beside(ground, pipeline, one) for name, one in others.items()}
    }


def _beside(ground: Ground, pipeline: Pipeline, score: Score) -> dict[str, float]:
    """Return how another score over the same features fares on the chosen sealed names."""
    other = replace(pipeline, score=score)
    suffixes = Suffixes({}, 0)
    judged = judge(other, parts_of(ground.spool), suffixes)[ground.split.rule]
    return {
        name: metric_named(name, pipeline.task.answer).score(judged.codes, judged.output)
        for name in ("accuracy", "f1_macro")
    }


def training_list(ground: Ground) -> tuple[list[str], IntArray]:
    """Return the names to learn from and their classes, shuffled by the seed."""
    texts: list[str] = []
    codes = []
    for part in parts_of(ground.spool):
        batch = part.of(*LEARNED)
        whole, ends = batch.data.tobytes().decode("ascii"), batch.offsets.tolist()
        texts += [whole[a:b] for a, b in pairwise(ends)]
        codes.append(batch.codes)
    order = ground.job.child("order").rng().permutation(len(texts))
    return [texts[i] for i in order.tolist()], np.concatenate(codes)[order]
