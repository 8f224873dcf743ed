"""What is asked: for one person, the people they should meet."""

from __future__ import annotations

from promise.data.answer import Ranking
from promise.data.schema import Field, Schema
from promise.pipeline.task import Task

NAME = "matching"
METRIC = "recall_at_20"
LIMIT = 20
"""How long a list is where nothing else is asked for."""


def matching_task() -> Task:
    """Return the task: an id is asked, a list is answered; what is right comes later as events.

    Examples
    --------
    >>> matching_task().request.names, matching_task().answer
    (('id',), Ranking(limit=20))
    """
    return Task(
        workload=NAME,
        request=Schema((Field("id", "category", role="id"),)),
        answer=Ranking(LIMIT),
        label=None,
        metric=METRIC,
    )
