"""The learning curve: what each rung would reach with more articles, and when the next is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from promise.data.columns import Array, FloatArray, IntArray
from promise.workloads.articles.chances import Chances
from promise.workloads.articles.choosing import SMALL
from promise.workloads.articles.kept import Kept
from promise.workloads.articles.ladder import Attempt, Ladder
from promise.workloads.articles.rungs import Rung, Terms, truth_of
from promise.workloads.articles.score import blended
from promise.workloads.articles.ways import Setting

SHARES = (0.25, 0.5)
"""Parts of the training folds that the curve is measured on, beside all of them."""


AHEAD = (1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
"""So many times the articles at hand are looked ahead to; beyond it a curve says nothing."""


@dataclass(frozen=True)
class Point:
    """What a rung reached when it learned from so many articles."""

    rung: str
    articles: int
    score: float


@dataclass(frozen=True)
class Line:
    """A rung's error as b · n^-c, fitted to its points (Cortes et al. 1993, no floor)."""

    rung: str
    cost: int
    b: float
    c: float

    def score(self, n: float) -> float:
        """Return what it is expected to reach with `n` articles."""
        return float(1.0 - self.b * float(n) ** -self.c)

    @classmethod
    def of(cls, rung: str, cost: int, points: Sequence[Point]) -> Line:
        """Fit the line; an error that did not fall is expected to stay.

        Examples
        --------
        >>> line = Line.of("words", 1, [Point("words", n, 1 - 2 / n) for n in (50, 100, 200)])
        >>> round(line.score(400), 3)
        0.995
        """
        n = np.log([point.articles for point in points])
        error = np.log([max(1.0 - point.score, 1e-4) for point in points])
        slope = 0.0
        if len(set(n.tolist())) > 1:
            slope = float(np.polyfit(n, error, 1)[0])
        c = float(np.clip(-slope, 0.0, 1.0))
        return cls(rung, cost, float(np.exp(error[-1] + c * n[-1])), c)


@dataclass(frozen=True)
class Outlook:
    """What more articles would bring.

    Parameters
    ----------
    rows
        With so many labelled articles the next rung is due; where none overtakes, twice as many.
    rung
        What it would be.
    now, expected
        The chosen rung's score now, and the next one's then.
    """

    rows: int
    rung: str
    changes: bool
    now: float
    expected: float
    points: tuple[Point, ...]

    def sentence(self) -> str:
        """Say it in a sentence."""
        gain = self.expected - self.now
        if self.changes:
            return (
                f"the next rung, {self.rung}, is due at about {self.rows:,} articles; macro-F1 "
                f"would be near {self.expected:.3f} ({gain:+.3f})"
            )
        return (
            f"no other rung is in sight; with {self.rows:,} articles macro-F1 would be near "
            f"{self.expected:.3f} ({gain:+.3f})"
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `promise train --json` tells."""
        return {
            "rows": self.rows,
            "rung": self.rung,
            "changes": self.changes,
            "now": self.now,
            "expected": self.expected,
            "gain": self.expected - self.now,
            "in_words": self.sentence(),
            "curve": [vars(point) for point in self.points],
        }


def look_ahead(ladder: Ladder, truth: Array, n_rows: int, terms: Terms, kept: Kept) -> Outlook:
    """Learn every rung from parts of the folds and say when another one would lead.

    Parameters
    ----------
    n_rows
        How many labelled articles there are, those that are sealed included.
    """
    known = [rung for rung in ladder.rungs if rung.status in ("tried", "chosen")]
    points = [Point(r.name, _learned(ladder), r.score) for r in known]
    for share in SHARES:
        points += _measured(ladder, known, truth, share, terms, kept)
    lines = []
    for rung in known:
        mine = sorted((p for p in points if p.rung == rung.name), key=lambda p: p.articles)
        lines.append(Line.of(rung.name, rung.cost, mine))
    points.sort(key=lambda p: (p.rung, p.articles))
    return outlook_of(ladder.chosen, lines, points, n_rows, _learned(ladder))


def _learned(ladder: Ladder) -> int:
    """Return how many articles a fold learns from."""
    return int(np.mean([len(learn) for learn, _ in ladder.folds.parts]))


def outlook_of(
    chosen: Rung, lines: Sequence[Line], points: Sequence[Point], n_rows: int, learned: int
) -> Outlook:
    """Return the first rung that overtakes, or would be as good for less.

    Parameters
    ----------
    learned
        How many articles the lines' last points learned from.
    """
    own = next(line for line in lines if line.rung == chosen.name)
    found = tuple(points)
    for times in AHEAD:
        best = max(lines, key=lambda line: line.score(learned * times))
        near = [
            line for line in lines
            if best.score(learned * times) - line.score(learned * times) < SMALL / 2
        ]  # fmt: skip
        cheapest = min(near, key=lambda line: line.cost)
        # what leads by now already was left behind since that may be chance
        now = max(0.0, best.score(learned) - own.score(learned))
        lead = best.score(learned * times) - own.score(learned * times) - now
        if lead >= SMALL or cheapest.cost < own.cost:
            coming = best if lead >= SMALL else cheapest
            expected = coming.score(learned * times)
            return Outlook(round(n_rows * times), coming.rung, True, chosen.score, expected, found)
    return Outlook(2 * n_rows, chosen.name, False, chosen.score, own.score(2 * learned), found)


def _measured(
    ladder: Ladder, rungs: Sequence[Rung], truth: Array, share: float, terms: Terms, kept: Kept
) -> list[Point]:
    """Return each rung's score where its folds learned from this share of their articles."""
    n_folds = max(1, len(ladder.folds.parts) // max(1, _repeats(ladder)))
    parts = ladder.folds.parts[:n_folds]
    smaller = [(part_of(learn, truth, share, terms), judge) for learn, judge in parts]
    judged = np.concatenate([judge for _, judge in smaller])
    y = truth_of(truth[judged], terms.answer)
    n = int(np.mean([len(learn) for learn, _ in smaller]))
    ways = {way: setting for rung in rungs if len(rung.ways) == 1 for way, setting in rung.ways}
    shares = {
        way: _shares(ladder, way, setting, smaller, truth, terms, kept)
        for way, setting in ways.items()
    }
    points = []
    for rung in rungs:
        if not all(way in shares for way, _ in rung.ways):
            continue
        output = blended([shares[way] for way, _ in rung.ways], rung.last)
        moved = None if rung.multipliers is None else np.array(rung.multipliers)
        points.append(Point(rung.name, n, terms.metric.score(y, output, moved)))
    return points


def _repeats(ladder: Ladder) -> int:
    """Return how often each article was judged."""
    return round(len(ladder.folds.judged) / max(1, len(np.unique(ladder.folds.judged))))


def part_of(rows: IntArray, truth: Array, share: float, terms: Terms) -> IntArray:
    """Return this share of some rows, an article of each class at least."""
    rng = terms.job.child(f"part-{share:g}").rng()
    drawn = rng.permutation(rows)
    kept = set(drawn[: max(2, round(share * len(rows)))].tolist())
    for code in np.flatnonzero(truth[rows].any(axis=0)).tolist():
        own = drawn[truth[drawn, code]]
        if not kept.intersection(own.tolist()):
            kept.add(int(own[0]))
    return np.array(sorted(kept), dtype=np.int64)


def _shares(
    ladder: Ladder,
    way: str,
    setting: Setting,
    parts: Sequence[tuple[IntArray, IntArray]],
    truth: Array,
    terms: Terms,
    kept: Kept,
) -> FloatArray:
    found = []
    for number, (learn, judge) in enumerate(parts):
        job = terms.job.child(f"curve-{number}")
        attempt = Attempt(way, ladder.reads[way], learn, judge, truth, terms, job)
        found.append(attempt.margins(setting, kept))
    margins = np.concatenate(found)
    judged = np.concatenate([judge for _, judge in parts])
    # fewer articles make other margins: they have a calibration of their own
    return Chances.fit(margins, truth[judged], several=terms.several).of(margins)
