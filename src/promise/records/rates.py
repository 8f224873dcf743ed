"""How much traffic a model has, and how many labels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa

from promise.records.evidence_tables import EVIDENCE
from promise.state.database import Database
from promise.state.moments import from_text, to_text

_WINDOW = timedelta(days=7)
_KNOWN_AFTER = timedelta(minutes=10)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Rates:
    """What a model gets in a day, over all its versions.

    Parameters
    ----------
    requests, labels
        Answered requests, and labels that found their answer, per day; shadows do not count.
    """

    requests: float
    labels: float


class _Block(msgspec.Struct):
    """What is read of an outcome observation."""

    ids: int = 0
    arm: list[str] = []


def rates(database: Database, name: str, now: datetime) -> Rates | None:
    """Return a model's rates over the last week; None before ten minutes of traffic."""
    database.migrate(EVIDENCE)
    values = {"name": name, "since": to_text(now - _WINDOW)}
    counted = sa.text(
        "SELECT SUM(requests), MIN(bucket) FROM counts "
        "WHERE model = :name AND arm <> 'shadow' AND bucket >= :since"
    )
    labelled = sa.text(
        "SELECT payload FROM observations "
        "WHERE model = :name AND kind = 'outcome' AND first_at >= :since"
    )
    with database.reading() as connection:
        requests, first = connection.execute(counted, values).one()
        if not requests or now - from_text(first) < _KNOWN_AFTER:
            return None
        blocks = [
            msgspec.json.decode(payload, type=_Block)
            for payload in connection.execute(labelled, values).scalars()
        ]
    labels = sum(block.ids - block.arm.count("shadow") for block in blocks)
    days = (now - from_text(first)) / _DAY
    return Rates(int(requests) / days, labels / days)
