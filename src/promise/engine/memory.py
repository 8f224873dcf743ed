"""How much memory a family of processes holds, watched while it works.

Memory is counted as PSS (proportional set size): pages shared by k processes count 1/k in each,
so that the sum over a family is what the machine really gave it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

_PROC = Path("/proc")
_ALERT = 0.75  # above this share of the bound samples come faster
_NEWS = 1.01  # a peak is noted once it is higher by this: noting it costs exact readings
_MIN_PAUSE_S = 0.005
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20

T = TypeVar("T")


@dataclass(frozen=True)
class Sample:
    """What each process of a family held at one moment.

    Parameters
    ----------
    pss_mb
        Process id to its memory in MiB.
    parents
        Process id to the id of its parent, for all but the root.
    """

    pss_mb: Mapping[int, float]
    parents: Mapping[int, int] = field(default_factory=dict)

    @property
    def total_mb(self) -> float:
        """Memory of the whole family."""
        return sum(self.pss_mb.values())

    def below(self, pid: int) -> float:
        """Return the memory of a process and all its descendants.

        Examples
        --------
        >>> sample = Sample({1: 10.0, 2: 5.0, 3: 1.0}, {2: 1, 3: 2})
        >>> sample.below(2)
        6.0
        """
        total = self.pss_mb.get(pid, 0.0)
        return total + sum(self.below(child) for child, p in self.parents.items() if p == pid)


def pss_mb(pid: int) -> float:
    """Return the memory of one process in MiB; 0 once it is gone.

    Where the system does not tell PSS, the resident size stands in (too high where pages are
    shared), and without `/proc` this process's peak.
    """
    with suppress(OSError):
        return _kilobytes(_PROC / str(pid) / "smaps_rollup", "Pss:") / 1024
    with suppress(OSError):
        return _kilobytes(_PROC / str(pid) / "status", "VmRSS:") / 1024
    if not _PROC.exists() and pid == os.getpid():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 2**20 if sys.platform == "darwin" else peak / 1024
    return 0.0


class Meter:
    """Reads PSS often and cheaply: exactly now and then, by the resident size in between.

    The kernel walks every page to tell PSS, some 20 ms for a family of a few hundred MiB, while
    the resident size costs microseconds. What a process gains is counted in full until the next
    exact reading, so the estimate errs on the high side when it gains shared pages.
    """

    def __init__(self, exact_every_s: float = 0.5) -> None:
        self._exact_every_s = exact_every_s
        self._known: dict[int, tuple[float, float, float]] = {}

    def __call__(self, pid: int) -> float:
        """Return the memory of one process in MiB; 0 once it is gone."""
        now, resident = time.monotonic(), _resident_mb(pid)
        then, was_resident, was_pss = self._known.get(pid, (-1e9, 0.0, 0.0))
        if resident is None or now - then >= self._exact_every_s:
            exact = pss_mb(pid)
            self._known[pid] = (now, resident or 0.0, exact)
            return exact
        return max(0.0, was_pss + resident - was_resident)


def _resident_mb(pid: int) -> float | None:
    with suppress(OSError, ValueError, IndexError):
        pages = int((_PROC / str(pid) / "statm").read_text().split()[1])
        return pages * _PAGE_MB
    return None


def family_sample(root: int, meter: Callable[[int], float] = pss_mb) -> Sample:
    """Return the memory of a process and of all its descendants, as a meter reads it."""
    found = {root: meter(root)}
    parents: dict[int, int] = {}
    unseen = [root]
    while unseen:
        pid = unseen.pop()
        for child in _children(pid):
            if child not in found:
                found[child] = meter(child)
                parents[child] = pid
                unseen.append(child)
    return Sample(found, parents)


def steady_sample(root: int) -> Sample:
    """Return the smaller of two samples, one right after the other.

    Processes are read in turn. One that starts or ends meanwhile is counted beside pages that it
    shares with one read before, and one between `vfork` and `exec` is its parent once more: such
    a sum is too high by as much, and gone a moment later.
    """
    return min(family_sample(root), family_sample(root), key=lambda sample: sample.total_mb)


def family_pss_mb(root: int) -> float:
    """Return the summed memory of a process and all its descendants in MiB.

    Examples
    --------
    >>> family_pss_mb(os.getpid()) > 1
    True
    """
    return family_sample(root).total_mb


def available_mb() -> float:
    """Return how much more memory this process may take: the machine's and the container's room.

    The smaller of the kernel's `MemAvailable` and, in a control group with a limit (version 1 or
    2), the limit minus what the group holds beyond reclaimable file pages.
    """
    rooms = []
    with suppress(OSError):
        rooms.append(_kilobytes(_PROC / "meminfo", "MemAvailable:") / 1024)
    rooms += [room for room in map(_room_of_group, _group_folders()) if room is not None]
    if not rooms:
        rooms = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20 / 2]
    return max(0.0, min(rooms))


def _kilobytes(path: Path, key: str) -> float:
    """Read one `Key:  123 kB` line; OSError when the file or the line is missing."""
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(key):
            return float(line.split()[1])
    raise OSError(f"{path} has no {key}")


def give_back() -> None:
    """Return to the machine what Arrow and the C library have freed and keep for later.

    After a table has been read these are tens of MiB, which the processes that follow could use.
    """
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # a C library other than glibc
        ctypes.CDLL(None).malloc_trim(0)


def _children(pid: int) -> list[int]:
    """Return the direct children of a process, those of all its threads."""
    found: list[int] = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - strings are what we need
            with suppress(OSError):
                text = Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii")
                found += map(int, text.split())
    return found


def _group_folders() -> list[Path]:
    """Return the folders of this process's memory control groups and of those above them."""
    folders: list[Path] = []
    with suppress(OSError):
        for line in (_PROC / "self" / "cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            root = Path("/sys/fs/cgroup") / ("memory" if controllers else "")
            folder = root / path.lstrip("/")
            folders += [f for f in (folder, *folder.parents) if f.is_relative_to(root)]
    return folders


def _room_of_group(folder: Path) -> float | None:
    """Return the MiB left below a control group's limit; None where it sets none."""
    for limit_name, used_name in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # "max" is no number: no limit
            limit = int((folder / limit_name).read_text())
            used = int((folder / used_name).read_text())
            if limit >= 1 << 60:  # version 1 writes "no limit" as a huge number
                return None
            return (limit - used + _reclaimable(folder)) / 2**20
    return None


def _reclaimable(folder: Path) -> int:
    """Return the bytes of file pages that the kernel would give up under pressure."""
    names = ("inactive_file", "total_inactive_file")
    with suppress(OSError):
        lines = (folder / "memory.stat").read_text().splitlines()
        found = dict(line.split(" ", 1) for line in lines if " " in line)
        return max((int(found[name]) for name in names if name in found), default=0)
    return 0


class MemoryWatch(threading.Thread):
    """Samples a family's memory in the background, keeps the peak and tells every sample.

    Parameters
    ----------
    on_sample
        Called in the watching thread with every sample.
    bound_mb
        Above three quarters of it samples come five times as often, so that a fast allocation is
        seen in time.
    hz
        Samples per second, at least ten.
    root
        The process whose family is watched; by default this one.

    Examples
    --------
    >>> watch = MemoryWatch()
    >>> watch.start()
    >>> watch.stop()
    >>> watch.peak_mb > 1
    True
    """

    def __init__(
        self,
        on_sample: Callable[[Sample], None] | None = None,
        *,
        bound_mb: float | None = None,
        hz: float = 12.0,
        root: int | None = None,
    ) -> None:
        super().__init__(name="promise-memory-watch", daemon=True)
        self._on_sample = on_sample
        self._bound_mb = bound_mb
        self._interval_s = 1.0 / max(10.0, hz)
        self._root = os.getpid() if root is None else root
        self._stopping = threading.Event()
        self._peak_mb = 0.0

    @property
    def peak_mb(self) -> float:
        """The largest sum seen so far, in MiB; takes a sample itself."""
        self._note(family_sample(self._root))
        return self._peak_mb

    def run(self) -> None:
        """Sample until stopped; what a sample costs is taken off the pause before the next."""
        meter, near = Meter(), False
        while True:
            began = time.monotonic()
            sample = self._note(family_sample(self._root, pss_mb if near else meter))
            if self._on_sample is not None:
                self._on_sample(sample)
            near = self._bound_mb is not None and sample.total_mb > _ALERT * self._bound_mb
            interval = self._interval_s / 5 if near else self._interval_s
            pause = max(_MIN_PAUSE_S, interval - (time.monotonic() - began))
            if self._stopping.wait(pause):
                return

    def _note(self, sample: Sample) -> Sample:
        """Keep the peak; a sample that would raise it, or break the bound, is read once more."""
        above = sample.total_mb > _NEWS * self._peak_mb
        if above or (self._bound_mb is not None and sample.total_mb > self._bound_mb):
            sample = min(sample, steady_sample(self._root), key=lambda found: found.total_mb)
            self._peak_mb = max(self._peak_mb, sample.total_mb)
        return sample

    def stop(self) -> None:
        """End the watching; the peak stays readable."""
        self._stopping.set()
        if self.is_alive() and threading.current_thread() is not self:
            self.join()
