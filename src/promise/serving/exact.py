"""Exact contributions after the answer: of every score that somebody will ask about, then others.

They take many times as long as the answer, so they are computed in a thread of their own and
appended to the log of what was seen, under the id of the answer. What waits is bounded and
visible (`promise_reasons_waiting`); rows that were given reasons go first, and others are taken
only while nothing else waits.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from promise.data.columns import Columns, FloatArray
from promise.features.keyed import VIEW
from promise.features.seen_log import SeenLog
from promise.kernels.calibrating import log_odds
from promise.models.blend import matrix_column
from promise.models.calibrate import Calibrated
from promise.pipeline.pipeline import Pipeline

_LOG = logging.getLogger(__name__)

LEAST_SCORE = 0.2
"""From this score on, contributions are owed."""

MOST_OWED, MOST_OTHERS = 20_000, 64
"""So many rows wait; of owed ones above the bound the oldest are dropped, which is counted."""

_AT_ONCE = 16
_PAUSE_S = 0.2
_NICE = 19


class _Row(NamedTuple):
    """An answered row whose contributions are to be told."""

    model: str
    version: int
    id: str
    pipeline: Pipeline
    vector: FloatArray
    score: float


class ExactReasons:
    """Computes exact contributions beside the serving loop, as fast as one thread can.

    Parameters
    ----------
    log
        Returns where they are told.
    dropped
        Told of each owed row that found no room or could not be told, with its model.
    """

    def __init__(self, log: Callable[[], SeenLog], dropped: Callable[[str], None]) -> None:
        self._log, self._dropped = log, dropped
        self._owed: deque[_Row] = deque()
        self._others: deque[_Row] = deque(maxlen=MOST_OTHERS)
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._able: dict[tuple[str, int], bool] = {}

    @property
    def waiting(self) -> int:
        """How many rows are owed contributions."""
        return len(self._owed)

    def add(
        self,
        model: str,
        version: int,
        id: str,
        pipeline: Pipeline,
        vector: FloatArray,
        score: float,
    ) -> None:
        """Take a row that was answered; costs the loop an append."""
        if not self._can_tell(model, version, pipeline):
            return
        row = _Row(model, version, id, pipeline, vector, score)
        if score < LEAST_SCORE:
            self._others.append(row)
        else:
            if len(self._owed) >= MOST_OWED:
                self._dropped(self._owed.popleft().model)
            self._owed.append(row)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="exact-reasons", daemon=True)
            self._thread.start()
        self._wake.set()

    def _can_tell(self, model: str, version: int, pipeline: Pipeline) -> bool:
        known = self._able.get((model, version))
        if known is None:
            score = pipeline.score
            known = isinstance(score, Calibrated) and score.scale == "logit" and score.explained > 0
            self._able[model, version] = known
        return known

    def close(self, timeout_s: float = 5.0) -> None:
        """Tell what is owed as far as time allows, and end."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
        for row in tuple(self._owed):  # the thread may still be at it
            self._dropped(row.model)

    def _run(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # of this thread alone, on Linux
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while not (self._stop.is_set() and not self._owed):
            rows = self._next()
            if not rows:
                self._wake.wait()
                self._wake.clear()
                continue
            try:
                self._tell(rows)
            except Exception as error:  # one version's failure must not silence the others
                _LOG.warning("contributions failed: %s", error)
                for row in rows:
                    if row.score >= LEAST_SCORE:
                        self._dropped(row.model)
            self._stop.wait(_PAUSE_S if rows[0].score < LEAST_SCORE else 0.0)

    def _next(self) -> list[_Row]:
        """Return rows of one version: owed ones first, newest of the others otherwise."""
        if self._owed:
            rows = [self._owed.popleft()]
            while (
                self._owed and len(rows) < _AT_ONCE and self._owed[0].pipeline is rows[0].pipeline
            ):
                rows.append(self._owed.popleft())
            return rows
        if self._stop.is_set() or not self._others:
            return []
        return [self._others.pop()]

    def _tell(self, rows: list[_Row]) -> None:
        score = rows[0].pipeline.score
        assert isinstance(score, Calibrated), "others are not taken"
        matrix = np.array([row.vector for row in rows], dtype=np.float32)
        parts = score.contributions(Columns({matrix_column(VIEW): matrix}))[VIEW]
        for row, found in zip(rows, parts, strict=True):
            chance = np.array([[1.0 - row.score, row.score]])
            line = {
                "id": row.id,
                "kind": "reasons",
                "version": row.version,
                "explained": score.explained,
                "odds": float(log_odds(chance)[0]),
                "base": float(found[-1]),
                "contributions": b64encode(found[:-1].astype("<f4").tobytes()).decode(),
            }
            self._log().append(row.model, line)
