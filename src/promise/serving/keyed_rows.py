"""The rows of one request as events, with what the store held before each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from promise.data.columns import FloatArray
from promise.features.event import Event
from promise.features.model_views import ModelViews
from promise.features.rings import Rings
from promise.features.store import Held


@dataclass(slots=True)
class SeenRows:
    """What every version reads at a request's rows; all from the same exchange.

    Parameters
    ----------
    ids
        Of the answers, one for each row.
    events, payloads
        The rows as events, and as the store keeps them.
    held
        For each row, store key to what was held before it.
    rings
        Of the loop's thread, which is the only one to ask.
    """

    views: ModelViews
    rings: Rings
    ids: list[str]
    events: list[Event]
    payloads: list[bytes]
    held: list[Mapping[str, Held]] = field(default_factory=list)
    _vectors: dict[int, FloatArray] = field(default_factory=dict)

    def of(self, number: int) -> FloatArray | None:
        """Return what a version reads, float64 (n_rows, n_features).

        None for a version without views, and where the store did not tell of every row.
        """
        found = self._vectors.get(number)
        if found is None:
            if number not in self.views.stages or len(self.held) < len(self.events):
                return None
            rows = zip(self.events, self.held, strict=True)
            found = np.array([self.views.vector(number, e, h, self.rings) for e, h in rows])
            self._vectors[number] = found
        return found

    def computed(self, number: int) -> FloatArray | None:
        """Return what a version has read; None where it was not asked."""
        return self._vectors.get(number)
