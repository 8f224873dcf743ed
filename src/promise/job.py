"""The terms under which a piece of work runs: seed, deadline, memory, threads, device."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Job:
    """Everything a piece of work may depend on besides its data, in one picklable value.

    Parameters
    ----------
    seed
        Source of all chance; `child` derives independent ones.
    deadline_s
        On the clock's monotonic scale, shared by all processes of a machine; None: no deadline.
    memory_mb
        Bound on the work's resident memory; None: no bound.
    threads
        How many threads the work may use.
    device
        `"cpu"` or a device name that PyTorch knows.

    Examples
    --------
    >>> job = Job(seed=7)
    >>> job.child("fold-1").seed == Job(seed=7).child("fold-1").seed
    True
    >>> job.child("fold-1").seed == job.child("fold-2").seed
    False
    """

    seed: int = 7
    deadline_s: float | None = None
    memory_mb: float | None = None
    threads: int = 1
    device: str = "cpu"
    name: str = "job"

    def child(self, name: str, *, deadline_s: float | None = None) -> Job:
        """Derive the job of a named part: its own seed, and a deadline no later than this one's."""
        path = f"{self.name}/{name}"
        digest = hashlib.blake2b(f"{self.seed}:{name}".encode(), digest_size=4).digest()
        deadlines = [d for d in (self.deadline_s, deadline_s) if d is not None]
        return replace(
            self,
            seed=int.from_bytes(digest, "big") & 0x7FFFFFFF,
            name=path,
            deadline_s=min(deadlines) if deadlines else None,
        )

    def rng(self) -> np.random.Generator:
        """Return a fresh generator for this job's seed."""
        return np.random.default_rng(self.seed)
