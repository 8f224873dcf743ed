"""The four stages of a pipeline, as protocols; each kind resolves through an entry point."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from promise.data.columns import Array, Columns
from promise.models.base import Registry

State = Mapping[str, bytes]
"""Keyed state that the caller read for this request; empty where a pipeline needs none."""

STAGES = Registry("promise.stages")
"""Every stage kind that is installed."""

STAGE_ORDER = ("retrieve", "featurize", "score", "decide")


class Stage(Protocol):
    """What all stages share: a kind, a version of it, and a folder to live in."""

    kind: ClassVar[str]
    kind_version: ClassVar[int]

    def save(self, folder: Path) -> None:
        """Write everything `load` needs into an existing empty folder, in native formats."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        ...


class Retrieve(Stage, Protocol):
    """Finds candidates for each request."""

    def needs(self, request: Columns) -> tuple[str, ...]:
        """Name the keyed state that `many` will read."""
        ...

    def many(self, request: Columns, state: State, at: datetime | None) -> Columns:
        """Return candidate rows, with offsets from request to rows."""
        ...


class Featurize(Stage, Protocol):
    """Turns requests (and candidates) into what the scorer reads."""

    def needs(self, request: Columns) -> tuple[str, ...]:
        """Name the keyed state that `many` will read."""
        ...

    def many(self, columns: Columns, state: State, at: datetime | None) -> Columns:
        """Return the columns that the scorer reads, row for row."""
        ...


class Score(Stage, Protocol):
    """Gives each row its raw output: numbers (n,) or probabilities (n, n_classes)."""

    def many(self, columns: Columns) -> Array:
        """Return the raw output, row for row."""
        ...


class Decide(Stage, Protocol):
    """Turns raw output into the answer that the user sees."""

    def many(self, columns: Columns, output: Array) -> Columns:
        """Return the answer columns, row for row."""
        ...

    def extras(self) -> dict[str, Any]:
        """Return the JSON schema of each column beside the prediction and its probability."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the policy as `policy.json` shows it."""
        ...
