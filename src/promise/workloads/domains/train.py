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
from promise.errors import ConfigError
from promise.features.names_rules import SuffixRules
from promise.metrics.pointwise import metric_named
from promise.models.hashed import Batch, HashedLinear, Terms, counted
from promise.models.hashed_growth import empty_model
from promise.pipeline.order import Order, Outcome
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.stages import Score
from promise.workloads.domains.assembly import (
    assembled,
    background_of,
    check_shares,
    rejected_of,
    rules_of,
    task_of,
    unknown_share_of,
)
from promise.workloads.domains.contents import outcome_of
from promise.workloads.domains.evaluate import Suffixes, judge
from promise.workloads.domains.fitting import Evidence, finish, learned, settled_on
from promise.workloads.domains.ground import Ground, Tell, lay_ground
from promise.workloads.domains.held import held_out, sample
from promise.workloads.domains.levels import levels_of
from promise.workloads.domains.naming import UNKNOWN, Naming
from promise.workloads.domains.parts import joined_endings, parts_of
from promise.workloads.domains.presets import PRESETS
from promise.workloads.domains.rules import candidates
from promise.workloads.domains.split import CALIBRATE, LEARNED, TUNE
from promise.workloads.domains.update import update_names

DEFAULT_ONLY = ("rules", "background", "unknown_share", "reject")
"""Options that only the default preset follows."""


def train_names(source: Source, order: Order, tell: Tell) -> Outcome:
    """Train a preset on names, or a version on further ones."""
    watch = MemoryWatch()
    watch.start()
    try:
        check_shares(order)
        if order.start is not None:
            return update_names(source, order, tell, watch)
        _check_options(order)
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


def _check_options(order: Order) -> None:
    """Refuse an option that the preset does not follow."""
    strange = [key for key in DEFAULT_ONLY if key in order.options]
    if strange and order.preset in PRESETS:
        raise ConfigError(
            f"--set {strange[0]}: the preset {order.preset!r} has neither rules nor unknown names; "
            "leave it out, or train --preset default."
        )


def fit_default(ground: Ground, tell: Tell) -> tuple[Pipeline, dict[str, Any]]:
    """Learn n-gram weights from a stream of parts, then rules, calibration and `unknown`."""
    spool, order = ground.spool, ground.order
    background = background_of(order, parts_of(spool), len(ground.classes))
    beside = None if background is None else background.learned
    n_beside = 0 if beside is None else len(beside.codes)
    terms = Terms.of(int(ground.unsealed.sum()) + n_beside)
    model = _empty(ground, beside, final=False)
    n_rows = int(ground.learned.sum())
    model = learned(model, spool, beside, n_rows, terms, ground.job, tell)
    tell("calibrating")
    evidence = Evidence(
        apart=held_out(parts_of(spool), CALIBRATE),
        tune=held_out(parts_of(spool), TUNE),
        of_no_class=None if background is None else background.held,
        rejected=rejected_of(order),
        unknown_share=unknown_share_of(order),
        counts=ground.learned if beside is None else np.append(ground.learned, n_beside),
    )
    rules = candidates(joined_endings(ground.found.endings))
    fitted = finish(model, rules, rules_of(order, ground.classes), evidence)
    # what was held out has told temperature, rules and threshold: now it is learned from as well
    model, n_rows = _empty(ground, beside, final=True), int(ground.unsealed.sum())
    model = learned(model, spool, beside, n_rows, terms, ground.job, tell, LEARNED)
    parts = chain(parts_of(spool), () if background is None else [background.part])
    if background is not None:
        fitted.told["unknown"]["background_left_out"] = background.overlap
    fitted = settled_on(model, fitted, evidence.of_no_class)
    fitted = replace(fitted, score=replace(fitted.score, kept=sample(parts)))
    return assembled(ground, fitted, levels_of(ground)), {**fitted.told, "passes": terms.passes}


def _empty(ground: Ground, beside: Batch | None, *, final: bool) -> HashedLinear:
    """Return a model with room for the terms of names of classes and of none.

    Terms that only names of no class have tell most of all that a name is of none.
    """
    sizes = ground.unsealed if final else ground.learned
    n_rows, counts = int(sizes.sum()), ground.found.terms
    if final:
        counts = counts + ground.found.held_terms
    if beside is not None:
        n_rows, counts = n_rows + len(beside.codes), counts + counted([beside])
    return empty_model(
        counts, n_rows, len(ground.classes), background=beside is not None, sizes=sizes
    )


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
