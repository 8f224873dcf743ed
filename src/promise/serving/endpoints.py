"""What is served of each model at one moment: its route, its versions, how requests are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promise.registry.keys import Key
from promise.registry.lifecycle import Route
from promise.serving.intake import Intake
from promise.serving.loading import Loaded


@dataclass(frozen=True)
class Endpoint:
    """One model's route with its loaded versions.

    Parameters
    ----------
    intake
        Reads requests; None where nothing can be answered, not even by the heuristic.
    heuristic
        The answer of last resort, without a model; None where the workload has none.
    targets
        Latency promises in milliseconds, counted exactly.
    failed
        Versions that could not be loaded, with the reason.
    loading
        Whether its versions are being loaded for the first time.
    workload
        Of its versions.
    noun
        What its lists are asked for by; empty where it answers rows.
    """

    name: str
    route: Route
    versions: Mapping[int, Loaded]
    intake: Intake | None = None
    heuristic: dict[str, Any] | None = None
    targets: tuple[float, ...] = ()
    failed: Mapping[int, str] | None = None
    loading: bool = False
    workload: str = ""
    noun: str = ""

    @property
    def settled(self) -> bool:
        """Whether the live version is loaded, or something else answers in its place."""
        live = self.route.live
        if live is None or live in self.versions:
            return True
        return not self.loading and (bool(self.versions) or self.heuristic is not None)


@dataclass(frozen=True)
class Snapshot:
    """Everything that a request reads, of one moment."""

    epoch: int
    endpoints: Mapping[str, Endpoint]
    keys: Mapping[bytes, Key]
