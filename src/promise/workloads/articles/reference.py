"""The first design's feature extractor: a feature set that grows with the number of articles."""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from promise.data.columns import Columns, FloatArray
from promise.errors import ArtifactError, ConfigError, DataError
from promise.features.text import BODY, SOURCE, TITLE, to_columns
from promise.features.text_cache import TextCache
from promise.features.text_groups import FittedGroup, TextGroups, fit_groups
from promise.features.text_vectors import FittedSentenceEmbeddings
from promise.job import Job
from promise.models.encoder import Encoder, SentenceEncoder, open_encoder
from promise.state.files import digests, whole_folder, write_json
from promise.workloads.articles.reference_tiers import TIERS, Tier, reference_groups

Article = Mapping[str, Any] | str
"""A text, or a mapping with a body (`body`, `content`, `text`), a title and a source."""

VERSION = 2
"""Of the extractor: raised whenever the same article gets other numbers, which empties caches."""


class AdaptiveFeatureExtractor:
    """Turns articles into the features of the tier that their number allows.

    Parameters
    ----------
    dataset_size
        How many labelled articles there are; None: as many as are fitted.
    enable_advanced
        Whether sentiment, entities and embeddings are extracted where the tier has them.
    enable_cache
        Whether features are kept by what an article says, up to 100 MB.
    use_gpu
        Whether sentence embeddings are computed on a GPU where there is one.
    rules, topics
        The user's keyword rules of each class, and words of each topic.
    encoder
        For sentence embeddings: open, or by path or name.

    Examples
    --------
    >>> articles = [{"title": "Cup won", "body": "A late goal."}, "Rates rise again."] * 100
    >>> extractor = AdaptiveFeatureExtractor().fit(articles, ["sport", "money"] * 100)
    >>> extractor.feature_config.name, extractor.feature_config.target_features
    ('conservative', 45)
    >>> extractor.n_features, extractor.transform("Rates fall.").shape
    (43, (43,))
    """

    def __init__(
        self,
        dataset_size: int | None = None,
        enable_advanced: bool = True,
        enable_cache: bool = True,
        use_gpu: bool = False,
        *,
        rules: Mapping[str, Sequence[str]] | None = None,
        topics: Mapping[str, Sequence[str]] | None = None,
        encoder: Encoder | Path | str | None = None,
        seed: int = 7,
    ) -> None:
        counts = isinstance(dataset_size, int | np.integer) and dataset_size >= 0
        if dataset_size is not None and not counts:
            raise ConfigError(
                f"dataset_size is how many labelled articles there are, not {dataset_size!r}; "
                "leave it out to go by the articles that are fitted."
            )
        self.dataset_size = dataset_size
        self.enable_advanced = enable_advanced
        self.enable_cache = enable_cache
        self.use_gpu = use_gpu
        self.rules, self.topics, self.encoder, self.seed = rules, topics, encoder, seed
        self._tier = None if dataset_size is None else self._chosen(dataset_size)
        self._groups: TextGroups | None = None
        self._cache: TextCache | None = None

    def _chosen(self, n_articles: int) -> Tier:
        return reference_groups(
            n_articles,
            rules=self.rules,
            topics=self.topics,
            encoder=self.encoder,
            device="auto" if self.use_gpu else "cpu",
            advanced=self.enable_advanced,
        )

    @property
    def feature_config(self) -> Tier:
        """The tier: `name`, `target_features`, and `left_out`, what cannot be built here and why.

        Raises
        ------
        ConfigError
            Before the number of articles is known.
        """
        if self._tier is None:
            raise ConfigError(
                "the features follow from the number of articles: give `dataset_size`, or fit."
            )
        return self._tier

    @property
    def groups(self) -> TextGroups:
        """The fitted groups.

        Raises
        ------
        ConfigError
            Before `fit`.
        """
        if self._groups is None:
            raise ConfigError("the extractor has learned nothing yet; call `fit` first.")
        return self._groups

    @property
    def fitted(self) -> bool:
        """Whether the extractor has learned."""
        return self._groups is not None

    @property
    def n_features(self) -> int:
        """How many numbers an article becomes: the true sum of the fitted groups."""
        return self.groups.n_features

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name for each number."""
        return self.groups.feature_names

    def fit(self, articles: Sequence[Article], labels: Sequence[Any]) -> Self:
        """Learn the groups of the tier, and return the extractor.

        Raises
        ------
        DataError
            When there are no articles, or not one label for each.
        """
        if not len(articles) or len(articles) != len(labels):
            raise DataError(
                f"{len(articles)} articles came with {len(labels)} labels; "
                "give at least one article, and one label for each."
            )
        if self._tier is None or self.dataset_size is None:
            self._tier = self._chosen(len(articles))
        job = Job(seed=self.seed).child("articles")
        groups = fit_groups(self._tier.groups, to_columns(articles), labels, job)
        bare = [group.name for group in self._tier.groups if group.name not in groups.sizes]
        reasons = dict.fromkeys(bare, "these articles hold nothing to learn them from")
        self._tier = replace(self._tier, left_out={**(self._tier.left_out or {}), **reasons})
        for name, reason in (self._tier.left_out or {}).items():
            warnings.warn(f"{name} are left out: {reason}", UserWarning, stacklevel=2)
        self._use(groups)
        return self

    def _use(self, groups: TextGroups) -> None:
        self._groups, self._cache = groups, None
        if self.enable_cache:
            self._cache = TextCache(
                "articles.reference",
                VERSION,
                {"tier": self.feature_config.name, "features": list(groups.feature_names)},
                _hash_of(groups),
                normalise=str,
            )

    def transform(self, article: Article) -> FloatArray:
        """Return one article's features, float32 (n_features,)."""
        row: FloatArray = self._rows(to_columns([article]))[0]
        return row

    def transform_batch(
        self, articles: Sequence[Article], batch_size: int = 50, show_progress: bool = True
    ) -> FloatArray:
        """Return the features of many articles, float32 (n, n_features); the same as one by one.

        Parameters
        ----------
        show_progress
            Whether a bar on standard error shows how far it is, after two seconds.
        """
        if batch_size < 1:
            raise ConfigError(f"a batch has at least one article, not {batch_size}.")
        columns = to_columns(articles)
        found = np.empty((len(articles), self.n_features), np.float32)
        with _progress(len(articles), shown=show_progress) as advance:
            for start in range(0, len(articles), batch_size):
                rows = np.arange(start, min(start + batch_size, len(articles)))
                found[rows] = self._rows(columns.take(rows))
                advance(len(rows))
        return found

    def _rows(self, columns: Columns) -> FloatArray:
        groups = self.groups
        if self._cache is None:
            return groups.transform(columns)
        cells = zip(*(columns[name].tolist() for name in (TITLE, BODY, SOURCE)), strict=True)
        packed = [_packed(*cell) for cell in cells]
        return self._cache.values(packed, self._unpacked_rows, groups.n_features)

    def _unpacked_rows(self, packed: Sequence[str]) -> FloatArray:
        return self.groups.transform(to_columns([_unpacked(text) for text in packed]))

    def get_cache_stats(self) -> dict[str, Any]:
        """Return how the cache does: `enabled`, `size`, `memory_mb`, `hit_rate`."""
        if self._cache is None:
            return {"enabled": self.enable_cache, "size": 0, "memory_mb": 0.0, "hit_rate": 0.0}
        stats = self._cache.stats()
        return {name: getattr(stats, name) for name in ("enabled", "size", "memory_mb", "hit_rate")}

    def clear_cache(self) -> None:
        """Forget every kept feature, and count hits anew."""
        if self._cache is not None:
            self._cache.clear()

    def save(self, folder: Path | str) -> None:
        """Write the extractor into a folder of its own, in native formats; an old one gives way."""
        with whole_folder(Path(folder), replace=True) as draft:
            settings = {
                "version": VERSION, "tier": self.feature_config.name, "seed": self.seed,
                "dataset_size": self.dataset_size, "enable_advanced": self.enable_advanced,
                "enable_cache": self.enable_cache, "use_gpu": self.use_gpu, "rules": self.rules,
                "topics": self.topics,
            }  # fmt: skip
            write_json(draft / "extractor.json", settings)
            home = draft / "groups"
            home.mkdir()
            self.groups.save(home)

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read back what `save` wrote; features are the same to the last bit.

        Raises
        ------
        ArtifactError
            When the folder holds no extractor, or one of another version.
        """
        told = Path(folder) / "extractor.json"
        if not told.is_file():
            raise ArtifactError(f"{folder} holds no extractor: there is no extractor.json.")
        settings = json.loads(told.read_text(encoding="utf-8"))
        if settings.pop("version") != VERSION:
            raise ArtifactError(f"{folder} was written by another version; fit the extractor anew.")
        name = settings.pop("tier")
        tier = next(tier for tier in TIERS if tier.name == name)
        n_articles = settings.pop("dataset_size")
        extractor = cls(None, **settings)
        extractor.dataset_size, extractor._tier = n_articles, tier
        groups = TextGroups.load(Path(folder) / "groups").groups
        if extractor.use_gpu:
            groups = tuple(_on_gpu(group) for group in groups)
        extractor._use(TextGroups(groups))
        for group in groups:
            if isinstance(group, FittedSentenceEmbeddings):
                extractor.encoder = group.encoder
        return extractor


def _on_gpu(group: FittedGroup) -> FittedGroup:
    """Return the group with its sentence encoder on a GPU, where it has one and there is one."""
    if not isinstance(group, FittedSentenceEmbeddings):
        return group
    if not isinstance(group.encoder, SentenceEncoder):
        return group
    return FittedSentenceEmbeddings(open_encoder(group.encoder.folder, device="auto"))


def _packed(title: str | None, body: str | None, source: str | None) -> str:
    """Return an article as one text, so that no two articles are the same one."""
    title, source = title or "", source or ""
    return f"{len(title)}:{len(source)}:{title}{source}{body or ''}"


def _unpacked(text: str) -> dict[str, str]:
    n_title, n_source, rest = text.split(":", 2)
    first, second = int(n_title), int(n_title) + int(n_source)
    return {TITLE: rest[:first], SOURCE: rest[first:second], BODY: rest[second:]}


def _hash_of(groups: TextGroups) -> str:
    """Return the hash of everything that the groups learned."""
    with tempfile.TemporaryDirectory() as folder:
        groups.save(Path(folder))
        listed = json.dumps(digests(Path(folder)), sort_keys=True)
    return hashlib.blake2b(listed.encode(), digest_size=16).hexdigest()


@contextmanager
def _progress(n_articles: int, *, shown: bool) -> Iterator[Any]:
    """Give what to call with the number of articles done; shows a bar where asked for."""
    if not shown:
        yield lambda done: None  # noqa: ARG005
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("extracting features", total=n_articles)
        yield lambda done: bar.advance(task, done)
