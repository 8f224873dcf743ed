"""Updates: new names and new classes into a version, without losing what it knew.

The weights go on from where they are, over the new names and a sample of the old ones. The new
version is refused where it answers the old or the new sealed names worse than its parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.columns import Array, Columns
from promise.data.source import Source
from promise.engine.memory import MemoryWatch
from promise.errors import ConfigError, FitFailed
from promise.features.names_rules import Rules, SuffixRules
from promise.models.hashed import HashedLinear, Kept, Terms
from promise.models.hashed_growth import grown
from promise.pipeline.artifact import load_pipeline, recipe_of
from promise.pipeline.order import Order, Outcome
from promise.pipeline.pipeline import Pipeline
from promise.workloads.domains.assembly import assembled, rejected_of, rules_of
from promise.workloads.domains.calibration import UNKNOWN_SHARE, calibrated
from promise.workloads.domains.contents import outcome_of
from promise.workloads.domains.evaluate import BLOCK, Judged, Suffixes, joined, judge
from promise.workloads.domains.fitting import Fitted, learned
from promise.workloads.domains.ground import Ground, Tell, settled
from promise.workloads.domains.held import held_out, names_of, part_of, sample, taken_batch
from promise.workloads.domains.levels import levels_of
from promise.workloads.domains.naming import Level, Naming
from promise.workloads.domains.parts import Part, joined_endings, parts_of
from promise.workloads.domains.rules import candidates
from promise.workloads.domains.split import (
    CALIBRATE,
    CLASSLESS,
    LEARNED,
    OF_NO_CLASS,
    RULES,
    STRANGE,
    TRAIN,
    NameSplit,
    Rule,
)
from promise.workloads.domains.spool import Spool, spool_rows
from promise.workloads.domains.task import Sheet

TERMS = Terms(passes=2, step=0.3)
"""Steps are smaller than in a first training: most of what there is to know is known."""

REPLAYED = 1.0
"""So many old names are learned again beside each new one."""

ENOUGH_HELD = 300
"""So many new held-out names say more of temperature and threshold than the parent does."""

FIXED = ("background", "unknown_share", "company", "category")
"""Options that an update has from its parent."""

MARGIN = 0.01
"""So much accuracy may be lost on sealed names before an update is refused."""


@dataclass(frozen=True)
class Parent:
    """The version that is updated.

    Parameters
    ----------
    kept
        A sample of the names behind it, with their purposes.
    """

    pipeline: Pipeline
    score: HashedLinear
    rules: Rules
    threshold: float
    levels: tuple[Level, ...]
    kept: Kept
    classes: tuple[str, ...]
    split: NameSplit
    sheet: Sheet

    def answers(self, texts: list[str]) -> Array:
        """Return the code of the likeliest class of each name."""
        field = self.pipeline.task.request.names[0]
        codes = [np.empty(0, np.int64)]
        for first in range(0, len(texts), BLOCK):
            names = np.array(texts[first : first + BLOCK], dtype=object)
            codes.append(self.pipeline.output(Columns({field: names})).argmax(axis=1))
        return np.concatenate(codes)


def update_names(source: Source, order: Order, tell: Tell, watch: MemoryWatch) -> Outcome:
    """Train a version on further names; its split stays, so that no sealed name is learned.

    Raises
    ------
    FitFailed
        When the update answers sealed names worse than its parent.
    """
    parent, asked = read_parent(order), order
    order = _on_its_terms(asked)
    spool = spool_rows(source, parent.sheet, order.work / "parts", order.seed, tell, parent.classes)
    added = tuple(sorted(set(spool.tally.labels) - set(parent.classes)))
    classes = (*parent.classes, *added)
    ground = settled(source, order, parent.sheet, spool, parent.split, classes, tell)
    old = _unclaimed(part_of(parent.kept, len(classes)), spool)
    given = rules_of(asked, classes)
    pipeline, told = _updated(ground, parent, old, len(added), given, tell)
    tell("judging")
    suffixes = Suffixes.learned(chain(parts_of(spool), [old]), len(classes))
    both = judge(pipeline, parts_of(spool), suffixes), judge(pipeline, [old], suffixes)
    judged = {
        rule: joined([one[rule] for one in both if rule in one])
        for rule in RULES
        if any(rule in one for one in both)
    }
    gates = _gates(parent, judged, ground)
    told |= {"update": {"parent_classes": len(parent.classes), "new_classes": list(added),
                        "gates": gates}}  # fmt: skip
    return outcome_of(ground, pipeline, judged, suffixes, told, watch)


def read_parent(order: Order) -> Parent:
    """Return the version that an order starts from.

    Raises
    ------
    ConfigError
        When it cannot be updated, or the order asks for another split than it has.
    """
    if order.start is None:
        raise ConfigError("an update starts from a version: --from NAME@V.")
    pipeline, recipe = load_pipeline(order.start), recipe_of(order.start)
    score, rules, policy = pipeline.score, pipeline.retrieve, pipeline.decide
    if (
        not isinstance(score, HashedLinear)
        or score.kept is None
        or not isinstance(rules, SuffixRules)
        or not isinstance(policy, Naming)
    ):
        raise ConfigError(
            f"a version of the preset {recipe.get('preset', 'default')!r} cannot be updated; train "
            "it anew on all rows, or update one of the preset default."
        )
    split = NameSplit(**recipe["split"])
    if order.split is not None:
        if order.split not in RULES:
            NameSplit.of(order.split, n_rows=1, seed=1)
        split = replace(split, rule=order.split)  # type: ignore[arg-type]
    told = recipe["sheet"]
    sheet = Sheet(told["domain"], told["label"], tuple(told["levels"]))
    return Parent(
        pipeline,
        score,
        rules.rules,
        policy.threshold,
        policy.levels,
        score.kept,
        policy.answer.classes,
        split,
        sheet,
    )


def _on_its_terms(order: Order) -> Order:
    """Return the order with the parent's options: a training from the beginning follows them.

    Raises
    ------
    ConfigError
        For a preset or an option that only a first training follows.
    """
    if order.preset != Order.preset:
        raise ConfigError(
            f"--preset {order.preset}: an update goes on from its parent's weights; leave it out, "
            "or train anew without --from."
        )
    fixed = [key for key in FIXED if key in order.options]
    if fixed:
        raise ConfigError(
            f"--set {fixed[0]}: an update keeps its parent's; leave it out, or train anew on old "
            "and new rows together."
        )
    before = {} if order.start is None else restored(order.start, {})
    return replace(order, options={**before, **order.options})


def restored(folder: Path, options: Mapping[str, str]) -> dict[str, str]:
    """Return a version's options, those among them that it has from its parents."""
    return {**recipe_of(folder).get("options", {}), **options}


def _updated(
    ground: Ground, parent: Parent, old: Part, added: int, given: Rules, tell: Tell
) -> tuple[Pipeline, dict[str, Any]]:
    """Return the parent's pipeline after the new names."""
    spool, n_rows = ground.spool, int(ground.learned.sum())
    model = grown(parent.score, ground.found.terms, n_rows, added)
    beside = _replay(old, n_rows)
    model = learned(model, spool, beside, n_rows, TERMS, ground.job, tell)
    model, threshold = _settled(model, spool, parent, old, ground.order)
    found = candidates(joined_endings(ground.found.endings))
    rules = given.before(_merged(parent.rules, found))
    parts = chain(parts_of(spool), [replace(old, codes=_signed(old))])
    told = {
        "rules": {"learned": int((rules.rows > 0).sum()), "given": int((rules.rows == 0).sum())},
        "temperature": model.temperature,
        "unknown": {"threshold": threshold}
        | ({} if model.unknown_share is None else {"share": model.unknown_share}),
        "passes": TERMS.passes,
        "replayed": len(beside.codes),
    }
    kept = sample(parts)
    fitted = Fitted(replace(model, kept=kept), rules, threshold, told)
    pipeline = assembled(ground, fitted, _levels(parent, ground))
    prior = _prior(kept, len(ground.classes))
    return replace(pipeline, task=replace(pipeline.task, heuristic=prior)), told


def _prior(kept: Kept, n_classes: int) -> tuple[float, ...]:
    """Return the share of each class among old and new names: the new ones may be of one alone."""
    counts = np.bincount(kept.batch.codes[kept.sides == TRAIN], minlength=n_classes)
    return tuple((counts / max(1, counts.sum())).tolist())


def _settled(
    model: HashedLinear, spool: Spool, parent: Parent, old: Part, order: Order
) -> tuple[HashedLinear, float]:
    """Return calibration and threshold by new held-out brands; the parent's where these are few.

    Brands that the parent held out will not do: its final weights were learned from them.
    """
    apart = held_out(parts_of(spool), CALIBRATE)
    known = names_of(parent.kept.batch).brand_hashes[parent.kept.sides == CALIBRATE]
    fresh = np.flatnonzero(~np.isin(names_of(apart).brand_hashes, known))
    apart = taken_batch(apart, fresh)
    if len(apart.codes) < ENOUGH_HELD:
        return model, parent.threshold
    share = parent.score.unknown_share or UNKNOWN_SHARE
    model = calibrated(model, apart, held_out([old], STRANGE), share)
    confidence = model.of(apart)[:, : model.n_classes].max(axis=1)
    return model, float(np.quantile(confidence, rejected_of(order)))


def _unclaimed(old: Part, spool: Spool) -> Part:
    """Leave out names of no class whose brand has one by the new names."""
    claimed = np.zeros(len(old.codes), dtype=bool)
    for part in parts_of(spool):
        claimed |= np.isin(old.names.brand_hashes, part.names.brand_hashes)
    return old.only(np.flatnonzero(~(claimed & np.isin(old.sides, CLASSLESS))))


def _signed(old: Part) -> Array:
    """Return codes with -1 for names of no class, as samples keep them."""
    return np.where(np.isin(old.sides, CLASSLESS), -1, old.codes)


def _replay(old: Part, n_rows: int) -> Any:
    """Return an even sample of the old names, of no class included, as large as the new ones."""
    rows = np.flatnonzero(np.isin(old.sides, (*LEARNED, OF_NO_CLASS)))
    wanted = min(len(rows), int(REPLAYED * n_rows))
    places = rows[np.linspace(0, len(rows) - 1, wanted).astype(np.int64)] if wanted else rows[:0]
    return taken_batch(old.take(places), np.arange(len(places)))


def _merged(known: Rules, found: Rules) -> Rules:
    """Return the parent's rules and new ones of as many names; where they disagree, neither."""
    given, known = known.where(known.rows == 0), known.where(known.rows > 0)
    if not len(known):
        return given
    found = found.where(found.rows >= known.rows.min())
    found = Rules(found.hashes, found.codes, found.rows,
                  np.minimum(found.sure, np.median(known.sure)))  # fmt: skip
    mine = dict(zip(known.hashes.tolist(), known.codes.tolist(), strict=True))
    agreed = np.array(
        [mine.get(key, code) == code for key, code in
         zip(found.hashes.tolist(), found.codes.tolist(), strict=True)], dtype=bool,
    )  # fmt: skip
    lost = np.isin(known.hashes, found.hashes[~agreed])
    return given.before(known.where(~lost).before(found.where(agreed)))


def _levels(parent: Parent, ground: Ground) -> tuple[Level, ...]:
    """Return the parent's levels, with what the new classes belong to."""
    fresh = levels_of(ground)
    told = []
    for old, new in zip(parent.levels, fresh, strict=True):
        names = (*old.names, *(name for name in new.names if name not in old.names))
        place = {name: code for code, name in enumerate(names)}
        rest = new.of[len(parent.classes) :]
        of = (*old.of, *(place[new.names[code]] if code >= 0 else -1 for code in rest))
        told.append(Level(old.name, names, of))
    return tuple(told)


def _gates(parent: Parent, judged: dict[Rule, Judged], ground: Ground) -> dict[str, Any]:
    """Compare with the parent on old and on new sealed names; refuse what is worse on either."""
    everything = joined(list(judged.values()))
    told: dict[str, Any] = {}
    for which, rows in (
        ("old", np.flatnonzero(everything.rows < 0)),
        ("new", np.flatnonzero(everything.rows >= 0)),
    ):
        codes = everything.codes[rows]
        before = parent.answers([everything.texts[i] for i in rows.tolist()]) == codes
        after = everything.output[rows].argmax(axis=1) == codes
        told[which] = {"rows": len(rows), "before": _mean(before), "after": _mean(after)}
        _refuse(which, before, after, ground)
    return told


def _mean(right: Array) -> float | None:
    return float(right.mean()) if len(right) else None


def _refuse(which: str, before: Array, after: Array, ground: Ground) -> None:
    """Refuse a fall that is larger than the margin, and larger than chance makes it."""
    if not len(before):
        return
    change = after.astype(float) - before.astype(float)
    chance = 1.96 * float(change.std()) / np.sqrt(len(change))
    if change.mean() >= -MARGIN or change.mean() + chance >= 0.0:
        return
    raise FitFailed(
        f"the update is refused: on {len(before):,} sealed names of the {which} data accuracy "
        f"falls from {before.mean():.4f} to {after.mean():.4f}; train anew on old and new rows "
        f"together, or look at the labels of {ground.source.name}.",
        "error",
    )
