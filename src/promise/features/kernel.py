"""The online kernel: from declared views to one state per entity that is read, then updated.

Exactness. A read at t sees the entity's events that came in earlier with a time in [t − w, t).
The state keeps every event for the longest window, label delay included, plus the lateness, so
windows are exact for events in order and for events late by up to `lateness`. Beyond that, and
beyond `max_events`, the oldest are unseen; the replay in `replay.py` has the same bounds, so
training and serving agree there too. Views of one entity share one state, with the longest of
their retentions and the largest of their bounds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import nan

import numpy as np
from numpy.typing import NDArray

from promise.errors import ArtifactError, ConfigError
from promise.features.declare import (
    LABEL,
    Distinct,
    Last,
    Max,
    Mean,
    NeighbourRate,
    Plain,
    Rate,
    Ratio,
    Streak,
    Sum,
    needs_labels,
)
from promise.features.event import Event, Label, Record, unpacked
from promise.features.readers import Reader, Spans, reader
from promise.features.ring import Layout, Ring
from promise.features.view import FeatureView
from promise.features.written import Read, written

_FORMAT = 1
_MARK = 8  # bytes of the fingerprint before each state


@dataclass(frozen=True)
class Plan:
    """What the views of one entity compute, each window and each feature once.

    Parameters
    ----------
    plain
        Features that are no ratios, those within ratios included.
    outputs
        For each column the place in `plain`, or the two places of a ratio.
    """

    columns: tuple[str, ...]
    plain: tuple[Plain, ...]
    outputs: tuple[tuple[int, int | None], ...]
    layout: Layout
    spans: Spans

    @classmethod
    def of(cls, views: Sequence[FeatureView]) -> Plan:
        """Plan the views of one entity."""
        declared = [feature for view in views for feature in view.features]
        flat = [
            part for f in declared for part in ((f.top, f.bottom) if isinstance(f, Ratio) else (f,))
        ]
        plain = tuple(dict.fromkeys(flat))
        places = {feature: place for place, feature in enumerate(plain)}
        outputs = tuple(
            (places[f.top], places[f.bottom]) if isinstance(f, Ratio) else (places[f], None)
            for f in declared
        )
        columns = tuple(name for view in views for name in view.columns)
        return cls(columns, plain, outputs, _layout(plain, views), Spans.of(plain))


@dataclass(frozen=True)
class Kernel:
    """Reads and updates the state of one kind of entity.

    Parameters
    ----------
    views
        Declared views of the same entity.

    Attributes
    ----------
    entity
        The roles that the state is keyed by; () for features of the event alone.
    nothing
        A blank state to read from, never to update.

    Examples
    --------
    >>> from promise.features.declare import Count, Sum
    >>> kernel = Kernel((FeatureView("card", ("entity",), (Count("1h"), Sum("amount", "1h"))),))
    >>> state = kernel.blank()
    >>> first = Event("a", 0, {"entity": "ann"}, 5.0)
    >>> second = Event("b", 60_000_000, {"entity": "ann"}, 7.0)
    >>> state = kernel.update(state, first)
    >>> kernel.read(state, second).tolist()
    [1.0, 5.0]
    """

    views: tuple[FeatureView, ...]
    entity: tuple[str, ...] = field(init=False, repr=False, compare=False)
    plan: Plan = field(init=False, repr=False, compare=False)
    nothing: Ring = field(init=False, repr=False, compare=False)
    _readers: tuple[Reader, ...] = field(init=False, repr=False, compare=False)
    _mark: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len({view.entity for view in self.views}) != 1:
            kinds = sorted({str(view.entity) for view in self.views})
            raise ConfigError(
                f"a kernel serves one kind of entity, not {', '.join(kinds) or 'none'}; "
                "put views of several into a FeatureSet"
            )
        plan = Plan.of(self.views)
        readers = tuple(reader(f, plan.layout, plan.spans) for f in plan.plain)
        told = "\n".join(view.to_json() for view in self.views)
        mark = hashlib.blake2b(f"{_FORMAT}\n{told}".encode(), digest_size=_MARK).digest()
        object.__setattr__(self, "entity", self.views[0].entity)
        object.__setattr__(self, "plan", plan)
        object.__setattr__(self, "nothing", Ring(plan.layout))
        object.__setattr__(self, "_readers", readers)
        object.__setattr__(self, "_mark", mark)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of what `read` returns."""
        return self.plan.columns

    @property
    def fingerprint(self) -> str:
        """Changes with every declaration: states of another one are refused."""
        return self._mark.hex()

    def blank(self) -> Ring:
        """Return the state of an entity that nothing is known of."""
        return Ring(self.plan.layout)

    @cached_property
    def values(self) -> Read:
        """Returns the features at an event as floats, NaN where missing: (state, event) → list."""
        plan = self.plan
        return written(plan.plain, plan.outputs, plan.layout, plan.spans, self.values_by_readers)

    def values_by_readers(self, state: Ring, event: Event) -> list[float]:
        """Return what `values` does, feature by feature: the readable definition."""
        frame = self.plan.spans.frame(state, event)
        plain = [read(state, frame) for read in self._readers]
        return [
            plain[top] if bottom is None else _ratio(plain[top], plain[bottom])
            for top, bottom in self.plan.outputs
        ]

    def read(self, state: Ring, event: Event) -> NDArray[np.float64]:
        """Return the features at this event: float64 (n_columns,), NaN where missing."""
        return np.array(self.values(state, event), dtype=np.float64)

    def update(self, state: Ring, event: Event) -> Ring:
        """Return the state after the event; a duplicate changes nothing.

        The state handed in is used up.
        """
        state.add(event)
        return state

    def learn(self, state: Ring, label: Label) -> Ring:
        """Return the state after a label. The state handed in is used up."""
        state.learn(label)
        return state

    def restore(self, snapshot: bytes | None, tail: Iterable[bytes]) -> Ring:
        """Return the state that a store holds: a compacted blob, and what came after it in order.

        Raises
        ------
        ArtifactError, DataError
            When the blob is of other declarations, or something in the store is damaged.
        """
        state = self.blank() if snapshot is None else self.load(snapshot)
        for payload in tail:
            self.apply(state, unpacked(payload))
        return state

    def apply(self, state: Ring, record: Record) -> Ring:
        """Return the state after an event or a label. The state handed in is used up."""
        if isinstance(record, Event):
            return self.update(state, record)
        return self.learn(state, record)

    def dump(self, state: Ring) -> bytes:
        """Return the state as bytes, marked with the declarations that it was kept for."""
        return self.marked(state.dump())

    def marked(self, state: bytes) -> bytes:
        """Return a ring's own bytes with the mark of these declarations."""
        return self._mark + state

    def load(self, blob: bytes) -> Ring:
        """Read back what `dump` wrote.

        Raises
        ------
        ArtifactError
            When the blob was kept for other declarations or is damaged.
        """
        if blob[:_MARK] != self._mark:
            raise ArtifactError(
                f"the stored state was kept for views {blob[:_MARK].hex()}, these are "
                f"{self.fingerprint}: a declaration changed; backfill the store for it"
            )
        return Ring.load(self.plan.layout, blob[_MARK:])


def _layout(plain: Sequence[Plain], views: Sequence[FeatureView]) -> Layout:
    shares = [f.field for f in plain if isinstance(f, Rate) and f.field != LABEL]
    streaks = [f for f in plain if isinstance(f, Streak)]
    summed = [f.field for f in plain if isinstance(f, Sum | Mean | Max | Last | Streak)]
    numbers = tuple(dict.fromkeys([*summed, *shares]))
    fans = [f.field for f in plain if isinstance(f, NeighbourRate)]
    counted = [f.field for f in plain if isinstance(f, Distinct)]
    texts = tuple(dict.fromkeys([*counted, *fans]))
    return Layout(
        numbers=numbers,
        texts=texts,
        shares=tuple(numbers.index(name) for name in dict.fromkeys(shares)),
        streaks=tuple((f, numbers.index(f.field)) for f in streaks),
        fans=tuple(texts.index(name) for name in dict.fromkeys(fans)),
        labels=any(map(needs_labels, plain)),
        kept_us=max(view.kept_us for view in views),
        max_events=max(view.max_events for view in views),
    )


def _ratio(top: float, bottom: float) -> float:
    # a missing part is NaN, which the division hands on
    return top / bottom if bottom else nan
