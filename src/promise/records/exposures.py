"""What people were shown: every list with its places, sources and chances, to learn from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from promise.records.reading import read_all
from promise.records.scrubbing import blanked
from promise.state.files import whole_file

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
        listed = line.get("answer")
        if not isinstance(listed, dict) or "items" not in listed:
            continue
        if line.get("arm") == "shadow" or listed.get("similar"):
            continue
        if first < line["at"] <= last and not blanked(line.get("entity") or ""):
            yield from _of_line(line, listed.get("features", ""))


def _of_line(line: Mapping[str, Any], features: str) -> Iterator[Exposure]:
    at = datetime.fromtimestamp(line["at"], UTC)
    for position, item in enumerate(line["answer"]["items"], start=1):
        if not blanked(item["id"]):
            yield Exposure(
                line["id"], at, line["model"], line["version"], line["arm"], line["entity"],
                item["id"], position, item.get("source"), item.get("propensity"),
                item.get("probability"), features,
            )  # fmt: skip


def write_exposures(
    folder: Path,
    model: str,
    to: Path,
    *,
    since: datetime | None = None,
    as_of: datetime | None = None,
) -> int:
    """Write what people were shown as events of the type `impression`, in JSON Lines.

    `open_source` reads the file as any other; its columns are `event_id`, `entity`, `other`,
    `type`, `at` and the fields of `Exposure`. Lists without a session are left out.

    Returns
    -------
    How many rows were written.
    """
    rows = 0
    with whole_file(to) as draft, draft.open("w", encoding="utf-8") as file:
        for one in read_exposures(folder, model, since=since, as_of=as_of):
            if one.entity is not None:
                told = {"event_id": f"{one.id}-{one.position}", "type": "impression", **vars(one)}
                told["at"] = one.at.isoformat()
                file.write(json.dumps(told, ensure_ascii=False) + "\n")
                rows += 1
    return rows
