"""What people were shown: every list with its places, sources and chances, to learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from promise.records.reading import parse_line, read_all
from promise.records.scrubbing import blanked
from promise.records.segments import read_lines, segments

DAY_S = 86_400
_AT_ONCE = 4 << 20  # bytes: some milliseconds of reading
_SEGMENT_S = 7_200  # a segment begins anew every hour
_SHOWN = ("id", "probability", "source", "propensity")


@dataclass(frozen=True)
class Exposure:
    """One item of one list that somebody was shown.

    Parameters
    ----------
    id
        Of the list, as its answer told it under `exposure`.
    entity
        Who was shown it; None without a session.
    position
        1 for the first of the list.
    propensity
        The chance with which it came into the list; None where the version tells none.
    features
        Which features the list was ranked by.
    """

    id: str
    at: datetime
    model: str
    version: int
    arm: str
    entity: str | None
    other: str
    position: int
    source: str | None
    propensity: float | None
    probability: float | None
    features: str


def shown(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return of a list's items what the log keeps; their order is their position.

    Examples
    --------
    >>> shown([{"id": "bob", "probability": 0.5, "source": "content", "reasons": ["…"]}])
    [{'id': 'bob', 'probability': 0.5, 'source': 'content'}]
    """
    return [{name: item[name] for name in _SHOWN if name in item} for item in items]


def read_exposures(
    folder: Path,
    model: str,
    *,
    since: datetime | None = None,
    as_of: datetime | None = None,
) -> Iterator[Exposure]:
    """Yield what a model's people were shown; what a shadow answered, nobody saw.

    Lists of similar people answer another question and are left out; so are items and people that
    were deleted, and the others keep their positions.

    Parameters
    ----------
    folder
        Of the prediction log.
    since, as_of
        Only lists answered after the one and not after the other.
    """
    first = float("-inf") if since is None else since.timestamp()
    last = float("inf") if as_of is None else as_of.timestamp()
    for line in read_all(folder, model):
        if not _was_shown(line):
            continue
        if first < line["at"] <= last and not blanked(line.get("entity") or ""):
            yield from _of_line(line, line["answer"].get("features", ""))


def _of_line(line: Mapping[str, Any], features: str) -> Iterator[Exposure]:
    at = datetime.fromtimestamp(line["at"], UTC)
    for position, item in enumerate(line["answer"]["items"], start=1):
        if not blanked(item["id"]):
            yield Exposure(
                line["id"], at, line["model"], line["version"], line["arm"], line["entity"],
                item["id"], position, item.get("source"), item.get("propensity"),
                item.get("probability"), features,
            )  # fmt: skip


class Showings:
    """Follows a model's log of lists: how often each person was shown since the day began.

    All workers of a machine write where this reads, so that each list counts once, whoever gave
    it; a list is in the log within `PredictionLog`'s `flush_s`.

    Parameters
    ----------
    folder
        Of the prediction log.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self._folder, self._model = folder, model
        self._ends: dict[str, int] = {}

    def read(self, now: datetime, most_bytes: int = _AT_ONCE) -> Counter[str]:
        """Return in how many further lists of today (UTC) people stood; long logs take turns.

        Parameters
        ----------
        most_bytes
            About so much of the log is read.
        """
        day_s = now.timestamp() // DAY_S * DAY_S
        shown: Counter[str] = Counter()
        first_ms = 1_000 * (day_s - _SEGMENT_S)
        there = [one for one in segments(self._folder, self._model) if one[0].start_ms >= first_ms]
        self._ends = {path.name: self._ends.get(path.name, 0) for _, path in there}
        for _, path in there:
            end = self._ends[path.name]
            if _size(path) <= end:
                continue
            for line in read_lines(path, end, most_bytes):
                self._ends[path.name] = line.end
                most_bytes -= len(line.data)
                told = parse_line(line.data)
                if told is not None and told["at"] >= day_s and _was_shown(told):
                    ids = (item["id"] for item in told["answer"]["items"])
                    shown.update(id for id in ids if not blanked(id))
            if most_bytes <= 0:
                break
        return shown


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # pruned between listing and looking
        return 0


def _was_shown(line: Mapping[str, Any]) -> bool:
    """Say whether a line is of a list that somebody saw, and that ranks who suits them."""
    listed = line.get("answer")
    if not isinstance(listed, dict) or "items" not in listed:
        return False
    return line.get("arm") != "shadow" and not listed.get("similar")
