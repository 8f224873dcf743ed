"""All views that a model reads, of several kinds of entities, as one vector of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

import numpy as np
from numpy.typing import NDArray

from promise.errors import ConfigError
from promise.features.event import Event
from promise.features.kernel import Kernel
from promise.features.ring import Ring
from promise.features.view import FeatureView


@dataclass(frozen=True)
class FeatureSet:
    """The views of a model: one kernel for each kind of entity, one vector for each event.

    Parameters
    ----------
    views
        Views of distinct names. Columns come kernel by kernel, in order of first appearance.

    Raises
    ------
    ConfigError
        When two views have the same name.

    Examples
    --------
    >>> from promise.features.declare import Count, Hour
    >>> customer = FeatureView("customer", ("entity",), (Count("1d"),))
    >>> clock = FeatureView("clock", (), (Hour(),))
    >>> FeatureSet((customer, clock)).columns
    ('customer.count_1d', 'clock.hour')
    """

    views: tuple[FeatureView, ...]
    kernels: tuple[Kernel, ...] = field(init=False, repr=False, compare=False)
    _prefixes: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _unread: tuple[list[float], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = [view.name for view in self.views]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"several views are named {', '.join(twice)}; give each its own name")
        kinds = dict.fromkeys(view.entity for view in self.views)
        kernels = tuple(
            Kernel(tuple(view for view in self.views if view.entity == kind)) for kind in kinds
        )
        prefixes = tuple(f"{k.fingerprint}:{'|'.join(k.entity)}:" for k in kernels)
        object.__setattr__(self, "kernels", kernels)
        object.__setattr__(self, "_prefixes", prefixes)
        object.__setattr__(self, "_unread", tuple([nan] * len(k.columns) for k in kernels))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the vector's places."""
        return tuple(name for kernel in self.kernels for name in kernel.columns)

    @property
    def versions(self) -> Mapping[str, int]:
        """View name to version, as a model's version records it."""
        return {view.name: view.version for view in self.views}

    def keys(self, entities: Mapping[str, str]) -> tuple[str | None, ...]:
        """Return the store key for each kernel.

        None where the event lacks a role or the kernel reads the event alone: nothing is kept.
        """
        found: list[str | None] = []
        for place, kernel in enumerate(self.kernels):
            parts = [entities[role] for role in kernel.entity if role in entities]
            whole = parts and len(parts) == len(kernel.entity)
            found.append(self.key(place, parts) if whole else None)
        return tuple(found)

    def key(self, place: int, parts: Sequence[str]) -> str:
        """Return one kernel's store key of an entity, given by its parts in the kernel's order.

        The same as `keys` gives at this place, for those who write millions.
        """
        if len(parts) == 1:
            return f"{self._prefixes[place]}:{parts[0]}"
        # lengths keep ("a|b", "c") and ("a", "b|c") apart
        lengths = ",".join([str(len(part)) for part in parts[:-1]])
        return f"{self._prefixes[place]}{lengths}:{'|'.join(parts)}"

    def vector(self, event: Event, states: Sequence[Ring | None]) -> NDArray[np.float64]:
        """Return the features of an event: float64 (n_columns,), NaN where missing.

        Parameters
        ----------
        states
            For each kernel the entity's state before this event; None: nothing is known of it.
            Where the event lacks the kernel's role, its features are missing.
        """
        values: list[float] = []
        entities = event.entities
        for place, (kernel, state) in enumerate(zip(self.kernels, states, strict=True)):
            if state is not None:
                values += kernel.values(state, event)
            elif all(role in entities for role in kernel.entity):
                values += kernel.values(kernel.nothing, event)
            else:
                values += self._unread[place]
        return np.array(values, dtype=np.float64)
