"""The state of a race: who has passed which hurdle, and what is worth doing next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from promise.selection.candidates import Candidate, Fit
from promise.selection.ladder import Stage

FitId = tuple[str, int, int]
"""Candidate key, rung, fold."""

KEEP_ROWS, KEEP_FOLDS = 3, 2
"""One in so many goes on: to more rows, to more folds (Jamieson and Talwalkar, 2016)."""

BASELINE = "baseline"


@dataclass(frozen=True)
class Task:
    """One fit to do."""

    candidate: Candidate
    stage: int
    rung: int
    fold: int

    @property
    def id(self) -> FitId:
        """What names this fit in the journal."""
        return (self.candidate.key(), self.rung, self.fold)


@dataclass
class Entry:
    """A candidate in the race, how far it may go and what its fits gave."""

    candidate: Candidate
    order: int
    allowed: int = 0
    fits: dict[tuple[int, int], Fit] = field(default_factory=dict)
    dropped: str | None = None

    @property
    def failed(self) -> Fit | None:
        """The first fit that failed, if any."""
        return next((fit for fit in self.fits.values() if not fit.ok), None)


@dataclass
class Board:
    """Successive halving over rows, then folds, with the next task decided from what is known.

    Asynchronous halving (Li et al., MLSys 2020): whenever there is room, finish what was
    allowed, else allow the best that wait at a hurdle, else start the next candidate.

    Parameters
    ----------
    stages
        The hurdles in order.
    sign
        1 where a larger score is better, else -1.
    opening
        How many candidates start before any is allowed past the first hurdle.
    """

    stages: tuple[Stage, ...]
    sign: int
    opening: int
    entries: dict[str, Entry] = field(default_factory=dict)

    def enter(self, candidate: Candidate) -> Entry:
        """Add a candidate; the same configuration twice is one entry."""
        key = candidate.key()
        if key not in self.entries:
            self.entries[key] = Entry(candidate, order=len(self.entries))
        return self.entries[key]

    def record(self, candidate: Candidate, fit: Fit) -> None:
        """Note the outcome of a fit."""
        entry = self.enter(candidate)
        entry.fits[fit.rung, fit.fold] = fit
        entry.allowed = max(entry.allowed, self._stage_of(fit.rung, fit.fold))

    def tasks(self, entry: Entry) -> Iterator[Task]:
        """The fits that an entry is allowed and has not done, first hurdle first."""
        if entry.failed or entry.dropped:
            return
        for number, stage in enumerate(self.stages[: entry.allowed + 1]):
            for fold in stage.folds:
                if (stage.rung, fold) not in entry.fits:
                    yield Task(entry.candidate, number, stage.rung, fold)

    def passed(self, entry: Entry, stage: int) -> bool:
        """Whether all fits of a hurdle succeeded."""
        wanted = self.stages[stage]
        return not entry.failed and all((wanted.rung, f) in entry.fits for f in wanted.folds)

    def utility(self, entry: Entry, stage: int) -> float:
        """The mean score at a hurdle, larger is better; earlier folds of the same rung count."""
        rung = self.stages[stage].rung
        folds = {f for s in self.stages[: stage + 1] if s.rung == rung for f in s.folds}
        scores = [fit.score for (r, f), fit in entry.fits.items() if r == rung and f in folds]
        value = self.sign * float(np.mean(scores)) if scores else np.nan
        return value if np.isfinite(value) else -np.inf

    def waiting(self) -> list[Entry]:
        """Entries that are good enough to go on, those furthest ahead first, then the best."""
        if sum(self.passed(e, 0) for e in self.entries.values()) < self.opening:
            return []
        found = []
        for stage in reversed(range(len(self.stages) - 1)):
            passed = self.ranked(stage)
            more_rows = self.stages[stage + 1].rung != self.stages[stage].rung
            keep = KEEP_ROWS if more_rows else KEEP_FOLDS
            best = passed[: -(-len(passed) // keep)]
            best += [e for e in self.family_bests(stage) if e not in best]
            found += [e for e in best if e.allowed == stage]
        trivial = [e for e in self.entries.values() if e.candidate.family == BASELINE]
        return found + [e for e in trivial if self.passed(e, e.allowed) and not self.done(e)]

    def done(self, entry: Entry) -> bool:
        """Whether an entry may go no further."""
        return entry.allowed == len(self.stages) - 1

    def ranked(self, stage: int) -> list[Entry]:
        """Entries that passed a hurdle, best first; the baseline does not compete."""
        passed = [
            e
            for e in self.entries.values()
            if self.passed(e, stage) and not e.dropped and e.candidate.family != BASELINE
        ]
        return sorted(passed, key=lambda e: (-self.utility(e, stage), e.order))

    def family_bests(self, stage: int) -> list[Entry]:
        """The best entry of each family at a hurdle, so that each is shown on equal terms."""
        bests: dict[str, Entry] = {}
        for entry in self.ranked(stage):
            bests.setdefault(entry.candidate.family, entry)
        return list(bests.values())

    def leader(self) -> Entry | None:
        """The best entry at the furthest hurdle that any has passed."""
        for stage in reversed(range(len(self.stages))):
            ranked = self.ranked(stage)
            if ranked:
                return ranked[0]
        return None

    def leaders(self) -> list[Entry]:
        """All entries, best first, those at a further hurdle before the others."""
        found: list[Entry] = []
        for stage in reversed(range(len(self.stages))):
            found += [e for e in self.ranked(stage) if e not in found]
        return found

    def ongoing(self) -> list[Task]:
        """What entries are allowed and have not done, the entries furthest ahead first."""
        entries = sorted(self.entries.values(), key=lambda e: (-e.allowed, e.order))
        return [task for entry in entries for task in self.tasks(entry)]

    def next_task(
        self,
        pending: set[FitId],
        affordable: Callable[[Task], bool],
        fresh: Callable[[], Candidate | None],
    ) -> Task | None:
        """Choose one fit to start now, or None when nothing worthwhile can end in time.

        Parameters
        ----------
        pending
            Fits under way.
        affordable
            Whether a fit would end before the deadline.
        fresh
            Gives the next candidate that has not started, or None.
        """

        def fits(task: Task) -> bool:
            return task.id not in pending and affordable(task)

        for task in self.ongoing():
            if fits(task):
                return task
        for entry in self.waiting():
            entry.allowed += 1
            task_of_entry = next((t for t in self.tasks(entry) if fits(t)), None)
            if task_of_entry is not None:
                return task_of_entry
            entry.allowed -= 1
        while (candidate := fresh()) is not None:
            entry = self.enter(candidate)
            task_of_entry = next((t for t in self.tasks(entry) if fits(t)), None)
            if task_of_entry is not None:
                return task_of_entry
        return None

    def next_round(self, size: int, fresh: Callable[[], Candidate | None]) -> list[Task]:
        """Choose a whole round of fits from finished rounds alone, whatever the thread count."""
        for entry in self.waiting():
            entry.allowed += 1
        started = 0
        while started < size and (candidate := fresh()) is not None:
            started += candidate.key() not in self.entries
            self.enter(candidate)
        return self.ongoing()

    def _stage_of(self, rung: int, fold: int) -> int:
        return next((i for i, s in enumerate(self.stages) if s.rung == rung and fold in s.folds), 0)
