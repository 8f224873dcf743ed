"""Training of articles: a ladder that is measured, then the rung that was chosen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.answer import Answer, answer_from_json
from promise.data.columns import IntArray
from promise.data.source import Source
from promise.engine.memory import MemoryWatch
from promise.errors import ConfigError, near
from promise.pipeline.artifact import read_manifest, recipe_of
from promise.pipeline.order import Order, Outcome
from promise.workloads.articles.curve import look_ahead
from promise.workloads.articles.finish import Found, final_score, outcome_of
from promise.workloads.articles.ground import Ground, Tell, lay_ground
from promise.workloads.articles.kept import Kept
from promise.workloads.articles.ladder import Ladder, climb
from promise.workloads.articles.presets import means_tried, preset_named, restored
from promise.workloads.articles.rungs import Rung, Terms
from promise.workloads.articles.split import strata_of
from promise.workloads.articles.task import TEXT
from promise.workloads.articles.terms import Wishes
from promise.workloads.articles.ways import Setting, Way

LADDER_ROWS = 6_000
"""Rungs are compared on at most so many articles; the chosen one learns from all."""

_LADDER_SHARE = 0.6  # of the budget; learning from all and judging take the rest


def train_articles(source: Source, order: Order, tell: Tell) -> Outcome:
    """Train on articles: measure the ladder, learn the chosen rung from all, judge it.

    With `start` the version's own rung learns again, without comparing it with others.
    """
    watch = MemoryWatch(bound_mb=order.memory_mb)
    watch.start()
    try:
        wishes = Wishes.of(order.options)
        again = None if order.start is None else Again.of(order)
        ordered = order if again is None else again.ordered(order)
        ground = lay_ground(source, ordered, tell, None if again is None else again.answer)
        found, ways, kept = measure_ladder(ground, wishes, again, tell)
        score = final_score(ground, found.ladder.chosen, ways, kept, tell)
        tell(f"judging {len(ground.holdout):,} sealed articles")
        return replace(
            outcome_of(ground, found, score, watch.peak_mb), peak_memory_mb=watch.peak_mb
        )
    finally:
        watch.stop()


@dataclass(frozen=True)
class Again:
    """What is kept of a version that is trained again.

    Parameters
    ----------
    ways
        Its rung's ways, each with its setting.
    folder
        Where it lies.
    """

    ways: tuple[tuple[str, Setting], ...]
    answer: Answer
    recipe: dict[str, Any]
    folder: Path

    @classmethod
    def of(cls, order: Order) -> Again:
        """Read the version's recipe."""
        assert order.start is not None
        recipe = recipe_of(order.start)
        task = read_manifest(order.start)["task"]
        ways = tuple((one["way"], Setting(one["strength"], one["power"])) for one in recipe["ways"])
        return cls(ways, answer_from_json(task["answer"]), recipe, order.start)

    def ordered(self, order: Order) -> Order:
        """Return the order with the version's preset, columns and options where none are given."""
        columns = order.columns or {name: role for role, name in self.recipe["columns"].items()}
        options = {**restored(self.folder, self.recipe["options"]), **order.options}
        split = order.split
        rule = self.recipe["split"]
        if split is None and rule["rule"] != "random":
            split = f"{rule['rule']}:{rule['column']}"
        return replace(
            order, preset=self.recipe["preset"], columns=columns, options=options, split=split
        )

    def kept(self, ways: Sequence[Way]) -> list[Way]:
        """Return the rung's ways, each with its one setting."""
        known = {way.name: way for way in ways}
        found: list[Way] = []
        for name, setting in self.ways:
            if name not in known:
                raise ConfigError(
                    f"the version is made of {name!r}, which is not at hand here; "
                    f"{near(name, known)} Give its encoder by --set encoder=PATH, or train without "
                    "--from."
                )
            found.append(Fixed(known[name], setting))
        return found


@dataclass(frozen=True)
class Fixed:
    """A way whose setting is settled."""

    way: Way
    setting: Setting

    @property
    def name(self) -> str:
        """What it is called on the ladder."""
        return self.way.name

    @property
    def cost(self) -> int:
        """Its place on the ladder."""
        return self.way.cost

    def settings(self, imbalanced: bool) -> Sequence[Setting]:  # noqa: ARG002 — the way's signature
        """Return the one setting."""
        return (self.setting,)

    @property
    def read(self) -> Callable[..., Any]:
        """Make of all articles what no label is needed for."""
        return self.way.read


def measure_ladder(
    ground: Ground, wishes: Wishes, again: Again | None, tell: Tell
) -> tuple[Found, list[Way], Kept]:
    """Compare the ways on articles that are not sealed; look ahead."""
    order, job = ground.order, ground.job
    preset = preset_named(order.preset)
    ways = preset.ways(ground, tell)
    rows = some_rows(ground)
    articles, truth = ground.articles.take(rows), ground.named.truth[rows]
    # what the clock decides must not be told apart by the kept folder's name
    asked = {key: order.options.get(key) for key in ("encoder", "rules")}
    told = f"{order.seed} {order.preset} {asked}"
    kept = Kept.of(order.work, articles[TEXT].tolist(), truth, told)
    terms = Terms(
        # the rung of a version that is trained again kept its bound when it was chosen
        ground.named.answer, job, wishes.latency_ms if again is None else None,
        time.monotonic() + _LADDER_SHARE * order.budget_s,
    )  # fmt: skip
    tried = ways if again is None else again.kept(ways)
    means = means_tried if again is None else _mean_of_all
    # a rung that is trained again is judged as often as when it had rivals, to the same digits
    rivals = len(ways) > 1
    groups = ground.groups[rows]
    ladder = climb(tried, articles, truth, groups, terms, kept, tell, means, rivals=rivals)
    if again is not None:
        ladder = _only_rung(ladder)
    outlook = None
    if preset.looks_ahead:
        tell("measuring the learning curve")
        outlook = look_ahead(ladder, truth, len(ground.rows), terms, kept)
    return Found(ladder, outlook, wishes), ways, kept


def _mean_of_all(rungs: Sequence[Rung]) -> list[Sequence[Rung]]:
    return [rungs] if len(rungs) > 1 else []


def _only_rung(ladder: Ladder) -> Ladder:
    """Choose the version's own rung, the one of most ways."""
    last = ladder.rungs[-1]
    chosen = replace(last, status="chosen")
    rungs = tuple(
        replace(rung, status="tried") if rung.status == "chosen" else rung
        for rung in ladder.rungs[:-1]
    )
    reason = "it is the rung of the version that is trained again"
    return replace(ladder, rungs=(*rungs, chosen), chosen=chosen, reason=reason)


def some_rows(ground: Ground) -> IntArray:
    """Return the articles that rungs are compared on: all, or a part with every class in it."""
    train = ground.train
    if len(train) <= LADDER_ROWS:
        return train
    rng = ground.job.child("ladder-rows").rng()
    drawn = rng.permutation(train)
    strata = strata_of(ground.named.truth[drawn])
    place = np.empty(len(drawn), dtype=np.float64)
    for code in np.unique(strata):
        of_class = np.flatnonzero(strata == code)
        # the first five of a class come first, then classes by their shares
        place[of_class] = np.where(
            np.arange(len(of_class)) < 5, -1.0, np.arange(len(of_class)) / len(of_class)
        )
    return np.sort(drawn[np.argsort(place, kind="stable")[:LADDER_ROWS]])
