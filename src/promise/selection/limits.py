"""What a race may still start: what ends in time, and what fits beside the rest in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from promise.errors import ConfigError
from promise.job import Job
from promise.models.base import Estimator
from promise.selection.board import BASELINE, Board, Entry, Task
from promise.selection.candidates import Candidate
from promise.selection.grounds import Grounds
from promise.selection.pace import Pace

FIT_SHARE = 0.2
"""No fit may take more than this share of the race's time; families that can stop early do."""

OTHERS_SHARE = 0.1
"""What completing a family that is behind may cost, as a share of the time left."""

OPENING_SHARE = 0.3
"""When the first of each family takes more than this share of the time, the quick ones start."""

PATIENCE_S = 60.0
"""A race without a model goes on so long past its end, until it has one: late beats nothing."""

REFITS = 4
"""The time for so many refits of the best is kept."""

CELL_S = 1e-7
"""What each row × class of the validation outputs takes at the end: read, softened, scored."""

BLENDED_CELL_S, BLENDED_CELLS = 2.5e-7, 4_000_000
"""What those take that a temperature and a blend are chosen on, and how many these are at most."""

ANSWERS = 3
"""How often each of the best answers the sealed rows: blended, alone, and by the export."""

CARRIED_S = 0.15
"""What each MiB of a model takes after its refit: loaded, written in two forms, loaded again."""

HANDOVER_SHARE = 0.3
"""At most this share of the race is kept for answering and writing."""

PROCESS_MB = 80.0
"""What a fit's process costs beside the fit."""


@dataclass(frozen=True)
class Budget:
    """When the race must end: at a time, or after a number of candidates.

    Parameters
    ----------
    deadline_s
        Monotonic seconds by which the race stops.
    refits_by_s
        Monotonic seconds by which refits must be done too: the race then stops early enough.
    trials
        Candidates beyond the baseline; scores then do not depend on the machine's speed.
    n_sealed
        Rows that the best answer once their refits are done.
    """

    deadline_s: float | None = None
    refits_by_s: float | None = None
    trials: int | None = None
    n_sealed: int = 0

    def __post_init__(self) -> None:
        if self.deadline_s is None and self.trials is None:
            raise ConfigError("a race needs a budget: a deadline or a number of trials.")


@dataclass(frozen=True)
class Progress:
    """Where a race stands.

    Parameters
    ----------
    done, total
        Fits done, and in all where that is known.
    best_score
        The leader's mean score on the folds it has seen.
    seconds_left
        Until the race's deadline; None when trials are counted.
    current
        Names of the candidates that are being fitted.
    """

    done: int
    total: int | None
    best_name: str | None
    best_score: float | None
    seconds_left: float | None
    current: str


@dataclass
class Limits:
    """Time and memory of one race, and what its fits have shown about both."""

    grounds: Grounds
    budget: Budget
    job: Job
    board: Board
    pace: Pace
    monotonic: Callable[[], float]
    began_s: float
    slots: int
    base_mb: float = 0.0
    view_s: dict[int, float] = field(default_factory=dict)

    def end_s(self) -> float | None:
        """When fits must have ended: as planned, later only where no model is there by then."""
        end = self.planned_end_s()
        if end is None or self.board.leader() is not None:
            return end
        return max(end, self.began_s) + PATIENCE_S

    def planned_end_s(self) -> float | None:
        """When fits must have ended, so that the best can still be refitted."""
        end = self.budget.deadline_s
        if end is not None and self.budget.refits_by_s is not None:
            best = self.board.leaders()[:REFITS]  # ranked once: every fit that may start asks
            after = self.refit_seconds(best) + self.conclude_seconds()
            end = min(end, self.budget.refits_by_s - after - self.kept_seconds(best))
        return end

    def conclude_seconds(self) -> float:
        """Expect how long ranking, blending and calibrating take once the race has ended."""
        cells = len(self.grounds.checked) * max(1, self.grounds.train.n_classes)
        return 0.2 + CELL_S * cells + BLENDED_CELL_S * min(cells, BLENDED_CELLS)

    def kept_seconds(self, best: Sequence[Entry]) -> float:
        """Expect how long the best take after their refits, at most a share of the race."""
        found = 0.0
        for entry in best:
            good = [fit for fit in entry.fits.values() if fit.ok]
            found += max((handover_seconds(fit, self.budget.n_sealed) for fit in good), default=0.0)
        whole = 0.0 if self.budget.deadline_s is None else self.budget.deadline_s - self.began_s
        return min(found, HANDOVER_SHARE * whole)

    def in_order(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Put the quick families first where the first of each already takes much of the time."""
        firsts: dict[str, tuple[float, int]] = {}
        for number, candidate in enumerate(candidates):
            seconds = self.pace.seconds(candidate.family, "", rows=self.grounds.sizes[0])
            firsts.setdefault(candidate.family, (seconds, number))
        end, opening_s = self.budget.deadline_s, sum(s for s, _ in firsts.values()) / self.slots
        if end is None or opening_s < OPENING_SHARE * (end - self.began_s):
            return list(candidates)
        opening = [number for _, number in sorted(firsts.values())]
        rest = [number for number in range(len(candidates)) if number not in opening]
        return [candidates[number] for number in opening + rest]

    def refit_seconds(self, best: Sequence[Entry]) -> float:
        """Expect how long refitting the best on all rows will take."""
        n_rows = self.grounds.train.n_rows
        needs = [
            self.pace.seconds(e.candidate.family, e.candidate.key(), rows=n_rows) for e in best
        ]
        longest = self.longest_fit_s()
        if longest is not None:
            needs = [min(need, longest) for need in needs]
        views = self.view_s.get(self.grounds.last_rung, 0.3)
        total = sum(needs) + views * len(needs)
        return 0.5 + 1.2 * max(max(needs, default=0.0) + views, total / self.slots)

    def affordable(self, task: Task) -> bool:
        """Whether a fit can end in time; under counted trials all can."""
        end = self.end_s()
        if end is None:
            return True
        left = end - self.monotonic()
        rows = self.grounds.rows(task.rung, task.fold)
        need = self.pace.seconds(task.candidate.family, task.candidate.key(), rows=rows)
        need = min(need, self.longest_fit_s() or need)
        if not (self.grounds.view(task.candidate, task.rung, task.fold) / "view.json").exists():
            need += self.view_s.get(task.rung, 0.1)
        if task.stage > 0 and task.candidate.family != BASELINE:
            stage = self.board.stages[task.stage]
            ahead = self.board.ranked(task.stage - 1)
            in_front = [e.candidate.key() for e in ahead[: -(-len(ahead) // 2)]]
            if task.id[0] not in in_front and need * len(stage.folds) > OTHERS_SHARE * left:
                return False
        return need <= left

    def longest_fit_s(self) -> float | None:
        """How long one fit may learn."""
        if self.budget.deadline_s is None:
            return None
        return max(2.0, FIT_SHARE * (self.budget.deadline_s - self.began_s))

    def fit_deadline_s(self) -> float | None:
        """When a fit that starts now stops learning and keeps what it has."""
        end, longest = self.end_s(), self.longest_fit_s()
        if end is None or longest is None:
            return None
        return min(end, self.monotonic() + longest)

    def refused(self, task: Task) -> str | None:
        """Say why a fit does not fit the memory bound, if it does not."""
        if self.job.memory_mb is None:
            return None
        need, room = self.memory_mb(task), self.job.memory_mb - self.base_mb
        if need <= room:
            return None
        return f"memory: needs about {need:,.0f} MB, {room:,.0f} MB are left for a fit"

    def memory_mb(self, task: Task) -> float:
        """Expect the memory of a fit's process."""
        rows = self.grounds.rows(task.rung, task.fold)
        columns = len(self.grounds.train.columns.arrays)
        estimator: Estimator = task.candidate.estimator
        return PROCESS_MB + estimator.memory_mb(rows, columns, self.grounds.train.n_classes)

    def crowded(self, task: Task, running: Iterable[Task]) -> bool:
        """Whether starting this fit now would break the memory bound."""
        used = sum(self.memory_mb(other) for other in running)
        if self.job.memory_mb is None or used == 0:
            return False
        return self.base_mb + used + self.memory_mb(task) > self.job.memory_mb


class Costly(Protocol):
    """A model of which is known what answering and keeping it takes."""

    @property
    def predict_ms(self) -> float:
        """Milliseconds for one row."""

    @property
    def size_mb(self) -> float:
        """What its files take."""


def handover_seconds(model: Costly, n_rows: int, *, answers: int = ANSWERS) -> float:
    """Expect how long a model takes to answer so many rows so often, to be written and read."""
    return answers * n_rows * model.predict_ms / 1000 + CARRIED_S * model.size_mb
