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
from promise.workloads.domains.calibration import UNKNOWN_SHARE
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
    """Return the names of no class that the user gave, or None.

    Raises
    ------
    ConfigError
        When their share in the stream is stated, but none are given.
    """
    path = order.options.get("background")
    if path is not None:
        return read_background(Path(path), parts, n_classes)
    if "unknown_share" in order.options:
        raise ConfigError(
            "--set unknown_share: nothing tells unknown names apart; give some by --set "
            "background=FILE, or leave the share out."
        )
    return None


def rules_of(order: Order, classes: tuple[str, ...]) -> Rules:
    """Return the rules that the user gave."""
    path = order.options.get("rules")
    known = {name: code for code, name in enumerate(classes)}
    return NO_RULES if path is None else given_rules(Path(path), known)


def rejected_of(order: Order) -> float:
    """Return the share of known names that may be rejected."""
    share = _share(order, "reject", REJECTED)
    if not 0.0 <= share < 1.0:
        raise ConfigError(f"--set reject={share:g}: expected a share from 0 up to 1, e.g. 0.08.")
    return share


def unknown_share_of(order: Order) -> float:
    """Return the share of unknown names among those that will be asked."""
    share = _share(order, "unknown_share", UNKNOWN_SHARE)
    if not 0.0 < share < 1.0:
        raise ConfigError(
            f"--set unknown_share={share:g}: expected a share above 0 and below 1, e.g. 0.8."
        )
    return share


def check_shares(order: Order) -> None:
    """Refuse wrong shares before anything is learned."""
    rejected_of(order)
    unknown_share_of(order)


def _share(order: Order, key: str, default: float) -> float:
    text = order.options.get(key, str(default))
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"--set {key}={text}: expected a share, e.g. {default:g}.") from None
