"""The presets: which ways the ladder has, and which of them are averaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from promise.errors import ConfigError, MissingExtra
from promise.features.text_cache import CachedEncoder
from promise.features.text_cache_disk import DiskEntries
from promise.features.text_groups import Group
from promise.models.encoder import SentenceEncoder, open_encoder
from promise.models.encoder_distilled import DistilledEncoder
from promise.models.encoder_files import located
from promise.pipeline.order import Order
from promise.workloads.articles.ground import Ground
from promise.workloads.articles.group_ways import GroupsWay
from promise.workloads.articles.reference_tiers import ENCODER, SMALLEST, reference_groups
from promise.workloads.articles.rungs import Rung
from promise.workloads.articles.ways import (
    SENTENCES_FROM,
    TABLES_FROM,
    TERMS_BELOW,
    EncoderWay,
    TermsWay,
    Way,
)

Tell = Callable[[str], None]
_BEFORE_EMBEDDINGS = 799
FEW = 1_000
"""With fewer articles a sentence encoder's vectors are tuned, too."""


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
    """Return terms, dense groups, then encoders as far as they are at hand."""
    order, n_rows = ground.order, len(ground.train)
    found: list[Way] = [TermsWay(grams=False), TermsWay(grams=True)]
    if n_rows >= SMALLEST and order.options.get("groups") != "no":
        found.append(
            GroupsWay("feature groups", 3, ground.named.names, _small_groups, boosted=True)
        )
    for name in _encoders_asked(order, tell):
        found += _encoder_ways(name, order, n_rows, [way.name for way in found], tell)
    return sorted(found, key=lambda way: way.cost)


def restored(folder: Path, options: Mapping[str, str]) -> dict[str, str]:
    """Return a version's options; where an encoder is gone, the version's own copies stand in.

    Parameters
    ----------
    folder
        Of the version. A rung without an encoder keeps no copy: the ladder is shorter then.
    """
    asked, given = _encoders_told(options), "encoder" in options
    there = [name for name in asked if _is_there(name)]
    copies = sorted(str(path) for path in (folder / "weights").glob("**/encoder"))
    if there == asked and (asked or given or not copies):
        return dict(options)
    return {**options, "encoder": ",".join([*there, *copies]) or "none"}


def _is_there(encoder: str) -> bool:
    try:
        located(encoder)
    except ConfigError:
        return False
    return True


def _encoders_told(options: Mapping[str, str]) -> list[str]:
    """Return the encoders that were asked for, or the one that is installed."""
    asked = options.get("encoder")
    if asked is not None:
        names = dict.fromkeys(name.strip() for name in asked.split(","))
        return [name for name in names if name not in ("", "none")]
    return [ENCODER] if find_spec(ENCODER.replace("-", "_")) is not None else []


def _encoders_asked(order: Order, tell: Tell) -> list[str]:
    """Return the encoders to try; it is said where there is none, though none was not asked for."""
    found = _encoders_told(order.options)
    if found or "encoder" in order.options:
        return found
    tell(
        "no sentence encoder is at hand, so the ladder is shorter; give one by "
        f"--set encoder=PATH, or install {ENCODER}"
    )
    return []


def _encoder_ways(
    asked: str, order: Order, n_rows: int, taken: Sequence[str], tell: Tell
) -> Sequence[Way]:
    """Return an encoder's ways; of a sentence encoder also its table, and few-shot tuning."""
    device, threads = order.options.get("device", "cpu"), order.threads
    try:
        encoder = open_encoder(asked, device=device, threads=threads)
    except MissingExtra as error:
        tell(f"the ladder is shorter: {error}")
        return []
    kept = order.work.parent
    ways = []
    if isinstance(encoder, SentenceEncoder):
        table = DistilledEncoder(encoder, kept / "static-tables")
        ways.append(EncoderWay(table, _free("static vectors", asked, taken)))
    kind = f"{encoder.kind} vectors"
    cached = CachedEncoder.over(encoder, DiskEntries(kept / "text-vectors"))
    ways.append(EncoderWay(cached, _free(kind, asked, taken)))
    if isinstance(encoder, SentenceEncoder) and (n_rows < FEW or order.start is not None):
        ways.append(EncoderWay(cached, _free(f"tuned {kind}", asked, taken), tuned=True))
    return ways


def _free(name: str, asked: str, taken: Sequence[str]) -> str:
    """Return the name, with the encoder's where another encoder has it already."""
    if name not in taken:
        return name
    longer = f"{name} of {Path(asked).name}"
    return longer if longer not in taken else f"{name} of {asked}"


def _small_groups(n_rows: int) -> Sequence[Group]:
    """Return the groups of the first design that need no embeddings."""
    return reference_groups(min(max(n_rows, SMALLEST), _BEFORE_EMBEDDINGS)).groups


def reference_ways(ground: Ground, tell: Tell) -> list[Way]:
    """Return the first design: the feature set of so many articles, logistic regression."""
    order, n_rows = ground.order, len(ground.rows)
    if n_rows < SMALLEST:
        tell(f"{n_rows} articles are fewer than the {SMALLEST} that the first design is made for")
    asked = order.options.get("encoder")
    rules, device = _rules(order.options.get("rules")), order.options.get("device", "cpu")
    encoder = None
    if asked not in (None, "none"):
        store = DiskEntries(order.work.parent / "text-vectors")
        encoder = CachedEncoder.over(
            open_encoder(asked, device=device, threads=order.threads), store
        )
    tier = reference_groups(max(n_rows, SMALLEST), rules=rules, encoder=encoder, device=device)
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


def means_tried(rungs: Sequence[Rung]) -> list[Sequence[Rung]]:
    """Return what is averaged: the best way of terms with each of the others, the two best others.

    Where terms, a table and a sentence encoder are at hand, the best of each are averaged, too.
    Vectors and the same vectors tuned have nothing to tell one another.
    """
    ranked = sorted(rungs, key=lambda rung: -rung.score)
    of_terms = [rung for rung in ranked if rung.cost < TERMS_BELOW]
    others = [rung for rung in ranked if rung.cost >= TERMS_BELOW]
    found: list[Sequence[Rung]] = [(best, each) for best in of_terms[:1] for each in others[:3]]
    if len(others) > 1:
        first, second = sorted(others[:2], key=lambda rung: rung.cost)
        if first.name != second.name.removeprefix("tuned "):
            found.append((first, second))
    tables = [rung for rung in others if TABLES_FROM <= rung.cost < SENTENCES_FROM]
    sentences = [rung for rung in others if rung.cost >= SENTENCES_FROM]
    if of_terms and tables and sentences:
        found.append((of_terms[0], tables[0], sentences[0]))
    return found


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
