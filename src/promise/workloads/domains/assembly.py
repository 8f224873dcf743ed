"""What was learned as one pipeline, on the terms that the order's options set."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from promise.data.answer import Class
from promise.errors import ConfigError
from promise.features.names_parts import NameParts
from promise.features.names_rules import NO_RULES, Rules, SuffixRules, given_rules
from promise.pipeline.order import Order
from promise.pipeline.pipeline import Pipeline
from promise.pipeline.task import Task
from promise.workloads.domains.background import Background, read_background
from promise.workloads.domains.fitting import REJECTED, Fitted
from promise.workloads.domains.ground import Ground
from promise.workloads.domains.naming import UNKNOWN, Level, Naming
from promise.workloads.domains.parts import Part
from promise.workloads.domains.task import names_task


def assembled(ground: Ground, fitted: Fitted, levels: tuple[Level, ...]) -> Pipeline:
    """Return rules, model and abstention as one pipeline."""
    answer = Class(ground.classes, unknown=UNKNOWN)
    return Pipeline(
        task=task_of(ground),
        retrieve=SuffixRules(ground.sheet.domain, fitted.rules),
        featurize=NameParts(),
        score=fitted.score,
        decide=Naming(answer, fitted.threshold, levels),
    )


def task_of(ground: Ground) -> Task:
    """Return the task; its last resort is the share of each class."""
    prior = ground.learned / max(1, ground.learned.sum())
    return names_task(ground.sheet, ground.classes, UNKNOWN, ground.split, tuple(prior.tolist()))


def background_of(order: Order, parts: Iterable[Part], n_classes: int) -> Background | None:
    """Return the names of no class that the user gave, or None."""
    path = order.options.get("background")
    return None if path is None else read_background(Path(path), parts, n_classes)


def rules_of(order: Order, classes: tuple[str, ...]) -> Rules:
    """Return the rules that the user gave."""
    path = order.options.get("rules")
    known = {name: code for code, name in enumerate(classes)}
    return NO_RULES if path is None else given_rules(Path(path), known)


def rejected_of(order: Order) -> float:
    """Return the share of known names that may be rejected."""
    text = order.options.get("reject", str(REJECTED))
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 <= share < 1.0:
        raise ConfigError(f"--set reject={text}: expected a share from 0 up to 1, e.g. 0.08.")
    return share
