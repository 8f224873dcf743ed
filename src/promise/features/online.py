"""Events one by one with states in this process: what serving does, for tools, tests and replay."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from promise.features.event import Event, Label, Record
from promise.features.kernel import Kernel
from promise.features.ring import Ring
from promise.features.sets import FeatureSet


class Online:
    """Reads and updates the states of all entities, event by event.

    The slow readable twin of `replay`: both give the same bits.

    Examples
    --------
    >>> from promise.features.declare import Count
    >>> from promise.features.view import FeatureView
    >>> online = Online(FeatureSet((FeatureView("card", ("entity",), (Count("1d"),)),)))
    >>> [online.see(Event(str(n), n, {"entity": "ann"})).tolist() for n in range(3)]
    [[0.0], [1.0], [2.0]]
    """

    def __init__(self, features: FeatureSet) -> None:
        self.features = features
        self._states: dict[str, Ring] = {}
        self._answers: dict[str, NDArray[np.float64]] = {}
        self._entities: dict[str, tuple[str | None, ...]] = {}

    def see(self, event: Event) -> NDArray[np.float64]:
        """Return the features before the event, then take it in.

        The same id again gets the same answer and counts once.
        """
        before = self._answers.get(event.id)
        if before is not None:
            return before
        keys = self.features.keys(event.entities)
        states = [None if key is None else self._state(n, key) for n, key in enumerate(keys)]
        vector = self.features.vector(event, states)
        for state in states:
            if state is not None:
                state.add(event)
        self._answers[event.id] = vector
        self._entities[event.id] = keys
        return vector

    def learn(self, label: Label) -> None:
        """Take a label in, in the states of its event's entities."""
        for key in self._entities.get(label.event_id, ()):
            if key is not None:
                self._states[key].learn(label)

    def take(self, record: Record) -> NDArray[np.float64] | None:
        """Take an event or a label in; return the event's features."""
        if isinstance(record, Event):
            return self.see(record)
        self.learn(record)
        return None

    def snapshots(self) -> Iterator[tuple[str, bytes]]:
        """Yield each entity's store key and state, to warm a store with."""
        for key, state in self._states.items():
            yield key, self._kernel_of(key).dump(state)

    def restart(self) -> None:
        """Dump and load every state, as a restart from snapshots does."""
        for key, blob in list(self.snapshots()):
            self._states[key] = self._kernel_of(key).load(blob)

    def _state(self, number: int, key: str) -> Ring:
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = self.features.kernels[number].blank()
        return state

    def _kernel_of(self, key: str) -> Kernel:
        mark = key.partition(":")[0]
        return next(kernel for kernel in self.features.kernels if kernel.fingerprint == mark)
