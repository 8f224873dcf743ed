"""Feature views: keyed event state, declared once for training and serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import msgspec

from promise.errors import ArtifactError, ConfigError, near
from promise.features.declare import (
    STATELESS,
    Feature,
    Ratio,
    name_of,
    reach_us,
)
from promise.features.windows import duration_text, duration_us

MOST_EVENTS = 8192  # with amounts below 1e11 in steps of 0.0001 a sum then stays within int64


class FeatureView(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Features of one kind of entity, the same in training and in serving.

    Parameters
    ----------
    name
        The columns' prefix: `customer.count_7d`.
    entity
        The role whose events count, several roles for a pair, or () for features of the current
        event alone.
    features
        What to compute; names are derived, and have to differ within the view.
    version
        Grows when the declaration changes; a pipeline refuses a version it was not trained on.
    retention
        How long events are kept; default: as long as the longest window, label delay included.
    lateness
        How much later than the entity's newest event another may come in and still see its whole
        windows. Beyond it the event sees what is kept.
    max_events
        Bound of one entity's memory: windows see the newest so many events.

    Raises
    ------
    ConfigError
        When names repeat, a window is longer than the retention, or a feature needs an entity.

    Examples
    --------
    >>> from promise.features.declare import Count, Mean
    >>> view = FeatureView("customer", ("entity",), (Count("1d"), Mean("amount", "7d")))
    >>> view.columns
    ('customer.count_1d', 'customer.mean_amount_7d')
    >>> FeatureView.from_json(view.to_json()) == view
    True
    """

    name: str
    entity: tuple[str, ...]
    features: tuple[Feature, ...]
    version: int = 1
    retention: str | None = None
    lateness: str = "1d"
    max_events: int = 4096

    def __post_init__(self) -> None:
        names = [name_of(feature) for feature in self.features]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(
                f"view {self.name!r} declares {', '.join(twice)} more than once; drop one, or put "
                "it into a view of another name"
            )
        if not 1 <= self.max_events <= MOST_EVENTS:
            raise ConfigError(
                f"view {self.name!r}: max_events is {self.max_events}; expected 1 to {MOST_EVENTS}"
            )
        for feature in self.features:
            self._check(feature)

    def _check(self, feature: Feature) -> None:
        if not self.entity and not _is_stateless(feature):
            raise ConfigError(
                f"view {self.name!r}: {name_of(feature)} counts the events of an entity; name its "
                "role, like entity=('entity',)"
            )
        longest_us = reach_us(feature)
        if self.retention is not None and longest_us > duration_us(self.retention):
            raise ConfigError(
                f"view {self.name!r}: {name_of(feature)} looks back {duration_text(longest_us)}, "
                f"longer than the retention of {self.retention}; lengthen it or shorten the window"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the view's columns."""
        return tuple(f"{self.name}.{name_of(feature)}" for feature in self.features)

    @property
    def kept_us(self) -> int:
        """How long after an entity's newest event an older one is kept."""
        longest_us = max(map(reach_us, self.features), default=0)
        if self.retention is not None:
            longest_us = duration_us(self.retention)
        return longest_us + duration_us(self.lateness)

    def to_json(self) -> str:
        """Return the declaration as a version stores it."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read back what `to_json` wrote.

        Raises
        ------
        ArtifactError
            When the text is no view.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise ArtifactError(f"this is no stored feature view: {error}") from error


def refuse_other_versions(views: Sequence[FeatureView], trained: Mapping[str, int]) -> None:
    """Keep a model from features that it was not trained on.

    Parameters
    ----------
    trained
        View name to the version that the model saw in training.

    Raises
    ------
    ArtifactError
        When a view is unknown, missing or of another version.

    Examples
    --------
    >>> from promise.features.declare import Count
    >>> view = FeatureView("customer", ("entity",), (Count("1d"),), version=2)
    >>> refuse_other_versions([view], {"customer": 1})
    Traceback (most recent call last):
    ...
    promise.errors.ArtifactError: view 'customer' is of version 2, the model was trained on 1; \
train it again or serve that version
    """
    known = {view.name: view.version for view in views}
    for name, version in trained.items():
        if name not in known:
            raise ArtifactError(
                f"the model needs view {name!r}, which is not here; {near(name, known)}"
            )
        if known[name] != version:
            raise ArtifactError(
                f"view {name!r} is of version {known[name]}, the model was trained on {version}; "
                "train it again or serve that version"
            )


def _is_stateless(feature: Feature) -> bool:
    if isinstance(feature, Ratio):
        return _is_stateless(feature.top) and _is_stateless(feature.bottom)
    return isinstance(feature, STATELESS)
