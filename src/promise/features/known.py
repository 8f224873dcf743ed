"""Labels beside the events that they are of: the sorted columns that windows of labels read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from promise.features.grouped import Groups, Ints, Truth
from promise.features.history import History


@dataclass(frozen=True)
class Known:
    """Labels sorted by entity and event.

    Parameters
    ----------
    events
        Sorted place of each label's event, non-decreasing.
    seen
        Sorted place of the entity's first event that sees the label.
    positive
        Which labels are positives.
    """

    events: Ints
    seen: Ints
    positive: Truth

    @classmethod
    def none(cls) -> Known:
        """Return no labels."""
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, nothing > 0)

    @classmethod
    def of(cls, history: History, groups: Groups) -> Known:
        """Place the labels of these groups' events."""
        labels, times = history.labels, groups.times
        place_of = np.full(len(history), -1, np.int64)
        place_of[groups.rows] = groups.places
        # the labels of a duplicate are those of the event
        rows = history.first[labels.rows]
        events = place_of[rows]
        use = np.flatnonzero((events >= 0) & (labels.after > rows))
        use = use[np.argsort(events[use], kind="stable")]
        events, after = events[use], labels.after[use]
        segment = groups.segment[events]
        known = segment * times.span + times.rank(labels.known_at[use])
        seen = np.searchsorted(groups.keys, known).astype(np.int64)
        behind = np.flatnonzero(after > rows[use] + 1)  # the others came right behind their event
        if len(behind):
            length = len(history) + 1
            arrivals = groups.segment * length + groups.rows
            came = np.searchsorted(arrivals, segment[behind] * length + after[behind])
            seen[behind] = np.maximum(seen[behind], came)
        return cls(events, seen, labels.values[use] > 0)

    def disordered(self, groups: Groups) -> Ints:
        """Return the entities whose labels became known out of order, or repeat."""
        segment = groups.segment[self.events]
        same = segment[1:] == segment[:-1]
        back = (self.seen[1:] < self.seen[:-1]) | (self.events[1:] == self.events[:-1])
        return np.unique(segment[1:][same & back])
