"""One race under way: what is running, what came back, and when to stop."""

from __future__ import annotations

import math
import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from promise.data.schema import Schema
from promise.engine.base import Engine, Handle
from promise.engine.memory import family_pss_mb
from promise.errors import FitFailed
from promise.job import Job
from promise.selection.board import BASELINE, Board, FitId, Task
from promise.selection.candidates import Candidate, Fit
from promise.selection.fits import make_view, run_fit
from promise.selection.grounds import Grounds
from promise.selection.journal import Journal
from promise.selection.limits import Budget, Limits, Progress
from promise.selection.pace import Pace
from promise.selection.tuning import faster, tuned

ROUND = 4
"""Candidates per round when trials are counted: fixed, so that threads do not matter."""

TUNED_FROM = 3
"""Proposals start from so many of the best candidates."""

RETRIES = 20
"""Proposals drawn again, when they repeat a configuration, at most so often."""


@dataclass(frozen=True)
class Step:
    """One fit of an earlier race, at the rounds it actually took."""

    candidate: Candidate
    rung: int
    fold: int
    rounds: int | None


@dataclass(frozen=True)
class Work:
    """A process under way: a fit, or the matrices that several fits wait for."""

    task: Task
    handle: Handle[Any]
    is_view: bool
    started_s: float


def fit_from(record: Mapping[str, Any]) -> Fit:
    """Read a fit back from its line in the journal."""
    values = {f.name: record[f.name] for f in fields(Fit)}
    lost = {k: float("nan") for k, v in values.items() if v is None and k != "rounds"}
    return Fit(**{**values, **lost})


def json_value(value: Any) -> Any:
    """Return a value that JSON has: it knows no NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


@dataclass
class Run:
    """The mutable state of one race; `race` makes it and throws it away."""

    grounds: Grounds
    journal: Journal
    engine: Engine
    limits: Limits
    job: Job
    board: Board
    queue: deque[Candidate]
    progress: Callable[[Progress], None]
    monotonic: Callable[[], float]
    ready: deque[Task] = field(default_factory=deque)
    running: list[Work] = field(default_factory=list)
    waiting: dict[str, list[Task]] = field(default_factory=dict)
    rounds: dict[FitId, int | None] = field(default_factory=dict)
    past: dict[FitId, Fit] = field(default_factory=dict)
    retried: set[FitId] = field(default_factory=set)
    proposals: int = 0
    why_stopped: str = "finished"

    @classmethod
    def begin(
        cls,
        grounds: Grounds,
        journal: Journal,
        engine: Engine,
        budget: Budget,
        job: Job,
        candidates: Sequence[Candidate],
        progress: Callable[[Progress], None],
        monotonic: Callable[[], float],
    ) -> Run:
        """Set a race up, with the fits that its journal already has."""
        families = {c.family for c in candidates}
        opening = max(1, len(families - {BASELINE}))
        board = Board(grounds.stages, grounds.metric.sign, opening)
        pace = Pace(len(grounds.train.columns.arrays), grounds.train.n_classes)
        base_mb = 0.0 if job.memory_mb is None else family_pss_mb(os.getpid())
        limits = Limits(
            grounds, budget, job, board, pace, monotonic, monotonic(), max(1, job.threads), base_mb
        )
        run = cls(
            grounds,
            journal,
            engine,
            limits,
            job,
            board,
            deque(limits.in_order(candidates)),
            progress,
            monotonic,
        )
        run.recall()
        return run

    def recall(self) -> None:
        """Take over the finished fits of the journal; under the clock they count at once."""
        columns = Schema(self.grounds.schema.inputs).to_json()
        for record in self.journal.records():
            if record["event"] != "fit":
                continue
            candidate = Candidate.from_json(record["candidate"], columns)
            fit = fit_from(record)
            if fit.ok and not (self.grounds.folder / fit.folder / "output.npy").exists():
                continue
            if not fit.ok and "deadline" in fit.status:
                continue
            self.past[candidate.key(), fit.rung, fit.fold] = fit
            if self.limits.budget.trials is None:
                self.take(candidate, fit)
                number = re.search(r"-t(\d+)$", candidate.name)
                self.proposals = max(self.proposals, int(number[1]) + 1 if number else 0)

    def race(self) -> None:
        """Fit until nothing worthwhile can end in time, or the trials are done."""
        while True:
            self.fill(self.choose)
            if not self.running:
                return
            self.collect()

    def follow(self, program: Iterable[Step]) -> None:
        """Do exactly these fits, at these rounds."""
        for step in program:
            entry = self.board.enter(step.candidate)
            entry.allowed = len(self.board.stages) - 1
            task = Task(step.candidate, 0, step.rung, step.fold)
            self.rounds[task.id] = step.rounds
            self.ready.append(task)
        while True:
            self.fill(lambda: None)
            if not self.running:
                return
            self.collect()

    def stop(self) -> None:
        """End what is running; its fits are lost, everything before is kept."""
        self.engine.cancel([work.handle for work in self.running])
        self.running.clear()
        self.why_stopped = "interrupted"

    def fill(self, choose: Callable[[], Task | None]) -> None:
        """Start fits while there is room."""
        while len(self.running) < self.limits.slots:
            task = self.ready.popleft() if self.ready else choose()
            if task is None:
                return
            self.start(task)

    def choose(self) -> Task | None:
        """Return the next fit, or None when nothing can start now."""
        if self.limits.budget.trials is None:
            return self.board.next_task(self.pending(), self.limits.affordable, self.fresh)
        while not (self.running or self.ready):
            tasks = self.board.next_round(ROUND, self.fresh)
            if not tasks:
                return None
            self.ready.extend(task for task in tasks if not self.known(task))
        return self.ready.popleft() if self.ready else None

    def known(self, task: Task) -> bool:
        """Take a fit over from the journal, if it is there."""
        fit = self.past.get(task.id)
        if fit is not None:
            self.take(task.candidate, fit)
        return fit is not None

    def pending(self) -> set[FitId]:
        """Fits that are under way, or wait for their matrices."""
        waiting = {task.id for tasks in self.waiting.values() for task in tasks}
        return waiting | {w.task.id for w in self.running} | {task.id for task in self.ready}

    def fresh(self) -> Candidate | None:
        """Return the next candidate of the portfolio, then proposals near the best."""
        entries = self.board.entries.values()
        trials = self.limits.budget.trials
        if trials is not None and sum(e.candidate.family != BASELINE for e in entries) >= trials:
            # the baseline is no trial: it races even when it comes last
            self.queue = deque(c for c in self.queue if c.family == BASELINE)
            return self.queue.popleft() if self.queue else None
        if self.queue:
            return self.queue.popleft()
        busy = {key for key, _, _ in self.pending()}
        if any(not e.fits and e.candidate.key() not in busy for e in entries):
            return None  # the last one could not be afforded: neither could another
        return self.propose()

    def propose(self) -> Candidate | None:
        """Return a configuration near the best that has not been tried."""
        best = [e.candidate for e in self.board.leaders() if e.candidate.estimator.space()]
        others = [e.candidate for e in self.board.entries.values()]
        for _ in range(RETRIES if best else 0):
            candidate = tuned(best[:TUNED_FROM], others, self.proposals, self.job)
            self.proposals += 1
            if candidate.key() not in self.board.entries:
                return candidate
        return None

    def start(self, task: Task) -> None:
        """Start a fit, or first the matrices that it reads."""
        reason = self.limits.refused(task)
        if reason is not None:
            self.fail(task, reason)
            return
        if self.limits.crowded(task, [work.task for work in self.running]):
            self.ready.append(task)
            self.limits.slots = max(1, len(self.running))
            return
        view = self.grounds.view(task.candidate, task.rung, task.fold)
        is_view = not (view / "view.json").exists()
        if is_view:
            self.waiting.setdefault(str(view), []).append(task)
            if len(self.waiting[str(view)]) > 1:
                return
        deadline, end = self.limits.fit_deadline_s(), self.limits.end_s()
        name = f"{task.candidate.name} fold {task.fold + 1}"
        if is_view:
            handle = self.engine.submit(
                make_view,
                self.grounds.view_task(task.candidate, task.rung, task.fold),
                name=f"features of {name}",
                deadline_s=end,
            )
        else:
            work = self.grounds.fit_task(
                task.candidate,
                task.rung,
                task.fold,
                deadline_s=deadline,
                rounds=self.rounds.get(task.id),
            )
            handle = self.engine.submit(run_fit, work, name=name, deadline_s=end)
        self.running.append(Work(task, handle, is_view, self.monotonic()))

    def collect(self) -> None:
        """Wait for at least one process, and take what ended into account."""
        done, _ = self.engine.wait([work.handle for work in self.running], timeout_s=0.5)
        ended = [work for work in self.running if work.handle in done]
        for work in ended:
            self.running.remove(work)
            try:
                report = work.handle.result()
            except FitFailed as error:
                self.failed(work, error)
            else:
                (self.view_done if work.is_view else self.fit_done)(work, report)
        self.report()

    def view_done(self, work: Work, report: dict[str, Any]) -> None:
        """Release the fits that waited for these matrices."""
        rung = work.task.rung
        self.limits.view_s[rung] = max(self.limits.view_s.get(rung, 0.0), report["seconds"])
        view = self.grounds.view(work.task.candidate, rung, work.task.fold)
        self.ready.extendleft(reversed(self.waiting.pop(str(view), [])))

    def fit_done(self, work: Work, report: dict[str, Any]) -> None:
        """Note a finished fit on disk, then in the race."""
        task = work.task
        folder = self.grounds.fit(task.candidate, task.rung, task.fold)
        if (task.rung, task.fold) != (self.grounds.last_rung, 0):
            shutil.rmtree(folder / "fitted", ignore_errors=True)
        fit = Fit(
            rung=task.rung,
            fold=task.fold,
            status="ok",
            peak_mb=work.handle.peak_mb,
            folder=str(folder.relative_to(self.grounds.folder)),
            **report,
        )
        self.write(task.candidate, fit)
        if fit.cut and task.stage == 0:
            self.hurry(task.candidate)

    def hurry(self, candidate: Candidate) -> None:
        """Let boosting take larger steps from here on, since the deadline cut it short."""
        quick = [faster(c) for c in (candidate, *self.queue)]
        self.queue = deque(c for c in quick if c.key() not in self.board.entries)

    def failed(self, work: Work, error: FitFailed) -> None:
        """Try once more alone after a lack of memory; else note the failure.

        A full disk fails every fit alike: it ends the race, and what is finished stays.
        """
        if error.reason == "disk":
            self.engine.cancel([other.handle for other in self.running])
            raise error
        tasks = [work.task]
        if work.is_view:
            view = self.grounds.view(work.task.candidate, work.task.rung, work.task.fold)
            tasks = self.waiting.pop(str(view), tasks)
        if error.reason == "memory" and self.limits.slots > 1 and work.task.id not in self.retried:
            self.limits.slots = 1
            self.retried.update(task.id for task in tasks)
            self.ready.extend(tasks)
            return
        for task in tasks:
            self.fail(task, f"{error.reason}: {error}")

    def fail(self, task: Task, reason: str) -> None:
        """Note that a fit came to nothing."""
        nan = float("nan")
        fit = Fit(
            rung=task.rung,
            fold=task.fold,
            status=f"failed: {reason}",
            score=nan,
            rows=self.grounds.rows(task.rung, task.fold),
            rounds=None,
            fit_seconds=nan,
            predict_ms=nan,
            size_mb=nan,
            peak_mb=nan,
            cut=False,
            folder="",
        )
        self.write(task.candidate, fit)

    def write(self, candidate: Candidate, fit: Fit) -> None:
        """Put a fit's outcome into the journal, then onto the board."""
        known = {k: json_value(v) for k, v in vars(fit).items()}
        self.journal.append({"event": "fit", "candidate": candidate.to_json(), **known})
        self.take(candidate, fit)

    def take(self, candidate: Candidate, fit: Fit) -> None:
        """Put a fit's outcome onto the board, and learn its pace."""
        self.board.record(candidate, fit)
        if fit.ok:
            key = candidate.key()
            self.limits.pace.learn(candidate.family, key, rows=fit.rows, seconds=fit.fit_seconds)

    def report(self) -> None:
        """Tell the caller where the race stands."""
        leader = self.board.leader()
        end = self.limits.planned_end_s()
        scores = [f.score for f in leader.fits.values() if f.ok] if leader else []
        self.progress(
            Progress(
                done=sum(len(e.fits) for e in self.board.entries.values()),
                total=None,
                best_name=leader.candidate.name if leader else None,
                best_score=sum(scores) / len(scores) if scores else None,
                seconds_left=None if end is None else max(0.0, end - self.monotonic()),
                current=", ".join(work.task.candidate.name for work in self.running),
            )
        )
