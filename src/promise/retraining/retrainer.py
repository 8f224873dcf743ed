"""What a watch does for retraining: it looks what is due and lets a process of its own do it."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from promise.clock import Clock, SteadyClock
from promise.errors import PromiseError
from promise.registry.registry import Registry
from promise.registry.route import Route
from promise.retraining.facts import FactReader
from promise.retraining.lease import lease_key
from promise.retraining.triggers import due
from promise.rollout.leases import Leases
from promise.settings import Settings

log = logging.getLogger(__name__)

_STOPPING_S = 10.0
_REST_S = 60.0


@dataclass
class Retrainer:
    """Starts a process for each name whose retraining is due, one after the other.

    A training takes minutes, a look milliseconds: nothing here waits for the process, so that
    promises are judged meanwhile. Several watches may do this; the lease of a name lets one run.

    Parameters
    ----------
    command
        What runs a retraining; the name is put behind it.
    every_s
        Pause between looks.
    """

    settings: Settings
    command: Sequence[str]
    clock: Clock = field(default_factory=SteadyClock)
    every_s: float = 5.0

    def __post_init__(self) -> None:
        self.clock = SteadyClock.over(self.clock)
        self.registry = replace(Registry.open(self.settings), clock=self.clock)
        self.facts = FactReader(self.registry, self.clock)
        self.leases = Leases(self.registry.database, self.clock)
        self._looked_s: float | None = None
        self._running: tuple[str, subprocess.Popen[bytes]] | None = None
        self._rests: dict[str, float] = {}

    @property
    def running(self) -> str | None:
        """The name that is trained by a process of ours now."""
        if self._running is None or self._running[1].poll() is not None:
            return None
        return self._running[0]

    def look(self) -> str | None:
        """Start what is due, if none of ours runs; return the name that was started."""
        now_s = self.clock.monotonic()
        if self._looked_s is not None and now_s - self._looked_s < self.every_s:
            return None
        self._looked_s = now_s
        if self.running is not None:
            return None
        self._reap()
        for name, route in self.registry.lifecycle.routes().items():
            if self._rests.get(name, 0.0) > now_s:
                continue
            try:
                if self._wanted(name, route):
                    self._start(name)
                    return name
            except (PromiseError, OSError) as error:
                # One damaged name must not keep the others from being trained, nor a machine
                # that has no room for a process the promises from being judged.
                log.warning("look failed", extra={"model": name, "error": str(error)})
        return None

    def close(self) -> None:
        """End the process that runs, which gives its lease back, and close the database."""
        if self._running is not None:
            process = self._running[1]
            process.terminate()
            try:
                process.wait(_STOPPING_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.registry.database.close()

    def _wanted(self, name: str, route: Route) -> bool:
        """Say whether a retraining is due, or one was killed and nobody has settled that."""
        if route.live is None or self.leases.holder(lease_key(name)) is not None:
            return False
        left = any(run.state == "running" for run in self.facts.runs.of(name))
        return left or due(self.facts.read(name, route)) is not None

    def _start(self, name: str) -> None:
        command = [*self.command, name]
        self._running = name, subprocess.Popen(command, stdout=subprocess.DEVNULL)
        log.info("retraining started", extra={"model": name, "pid": self._running[1].pid})

    def _reap(self) -> None:
        """Note how the last process ended; a name whose process fails at once rests a while."""
        if self._running is None:
            return
        name, process = self._running
        self._running = None
        if process.returncode != 0:
            self._rests[name] = self.clock.monotonic() + _REST_S
            facts = {"model": name, "code": process.returncode}
            log.warning("a retraining's process ended early", extra=facts)
