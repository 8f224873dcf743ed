"""The views of every loaded version of a model: which states one event writes, and who reads them.

Keys begin with the model's name, since each model counts the events that were sent to it. Beside
the states of entities there is one entry for each answer, under the answer's id: the event itself,
so that a label that comes later finds the entities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from promise.data.columns import FloatArray
from promise.errors import ArtifactError
from promise.features.event import Event, Label, unpacked
from promise.features.kernel import Kernel
from promise.features.keyed import Keyed
from promise.features.ring import Ring
from promise.features.rings import Rings
from promise.features.store import Held


@dataclass(frozen=True)
class ModelViews:
    """What the versions of one model keep of each event.

    Parameters
    ----------
    model
        The model's name.
    stages
        The keyed stage of each version.

    Examples
    --------
    >>> from promise.features.declare import Count
    >>> from promise.features.sets import FeatureSet
    >>> from promise.features.view import FeatureView
    >>> card = FeatureView("card", ("entity",), (Count("1d"),))
    >>> shop = FeatureView("shop", ("other",), (Count("1d"),))
    >>> columns = {"entity": "card", "other": "shop"}
    >>> one, two = (Keyed(FeatureSet(v), columns) for v in ((card,), (card, shop)))
    >>> views = ModelViews("guard", {1: one, 2: two})
    >>> [key.rpartition(":")[2] for key in views.keys(Event("t", 0, {"entity": "a", "other": "b"}))]
    ['a', 'b']
    """

    model: str
    stages: Mapping[int, Keyed]
    _kernels: Mapping[str, Kernel] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        kernels = {k.fingerprint: k for s in self.stages.values() for k in s.features.kernels}
        object.__setattr__(self, "_kernels", kernels)

    @property
    def retention_s(self) -> float:
        """How long a store must keep an entity after its newest event."""
        kept = [kernel.plan.layout.kept_us for kernel in self._kernels.values() if kernel.entity]
        return max(kept, default=0) / 1e6

    def event_id(self, event: Event) -> str:
        """Return the id under which a store counts the event once."""
        return f"{self.model}/{event.id}"

    def about(self, id: str) -> str:
        """Return the key under which the event of an answer is found by the answer's id."""
        return f"{self.model}/about:{id}"

    def keys(self, event: Event) -> list[str]:
        """Return the store keys of the event's entities, over all versions, each once."""
        found: dict[str, None] = {}
        for stage in self.stages.values():
            for key in stage.features.keys(event.entities):
                if key is not None:
                    found[f"{self.model}/{key}"] = None
        return list(found)

    def label_keys(self, label: Label) -> list[str]:
        """Return the store keys of those states that labels change."""
        found: dict[str, None] = {}
        for stage in self.stages.values():
            features = stage.features
            for kernel, key in zip(features.kernels, features.keys(label.entities), strict=True):
                if key is not None and kernel.plan.layout.labels:
                    found[f"{self.model}/{key}"] = None
        return list(found)

    def vector(
        self, number: int, event: Event, held: Mapping[str, Held], rings: Rings | None = None
    ) -> FloatArray:
        """Return the features that a version reads at an event: float64 (n_columns,).

        Parameters
        ----------
        held
            Store key to what was held before the event; an absent key is an unknown entity.
        rings
            States that were read before; without them each is built from what was held.
        """
        features = self.stages[number].features
        states: list[Ring | None] = []
        for kernel, plain in zip(features.kernels, features.keys(event.entities), strict=True):
            key = f"{self.model}/{plain}"
            known = None if plain is None else held.get(key)
            if known is None or not known.known:
                states.append(None)
            elif rings is None:
                states.append(kernel.restore(known.snapshot, known.tail))
            else:
                states.append(rings.at(kernel, key, known))
        return features.vector(event, states)

    def fold(self, key: str, snapshot: bytes | None, tail: tuple[bytes, ...]) -> bytes:
        """Return the next snapshot of an entity's state."""
        kernel = self.kernel_of(key)
        return kernel.dump(kernel.restore(snapshot, tail))

    def foldable(self, key: str) -> bool:
        """Say whether a key is the state of an entity that some version here reads."""
        return _fingerprint(key) in self._kernels

    def kernel_of(self, key: str) -> Kernel:
        """Return the kernel that reads the state under a store key."""
        return self._kernels[_fingerprint(key)]

    def label_of(self, held: Held, value: float, known_at: int) -> Label | None:
        """Return the label of an answer as states take it in; None where the event is unknown.

        Parameters
        ----------
        held
            What is held under `about` of the answer's id.
        value
            Above 0 is a positive.
        known_at
            Microseconds since 1970.
        """
        if not held.tail:
            return None
        event: Any = unpacked(held.tail[0])
        if not isinstance(event, Event):
            raise ArtifactError("the store holds no event where one was kept; backfill it anew.")
        return Label(event.id, value, known_at, event.entities)


def _fingerprint(key: str) -> str:
    return key.partition("/")[2].partition(":")[0]
