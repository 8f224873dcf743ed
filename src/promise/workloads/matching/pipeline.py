"""The matching workload: people and their events → who should meet whom."""

from __future__ import annotations

from promise.pipeline.order import Workload
from promise.workloads.matching.finder import PeopleFinder
from promise.workloads.matching.judged import judge_later
from promise.workloads.matching.presets import PRESETS
from promise.workloads.matching.rivals import judge_rivals
from promise.workloads.matching.task import NAME
from promise.workloads.matching.train import train_people

WORKLOAD = Workload(
    name=NAME,
    summary="a person → the people they should meet",
    presets=tuple(PRESETS),
    train=train_people,
    cache_s=600.0,
    options={
        "explored": "places of a list that are kept for chance (default preset: 2)",
        "most_shown": "how often somebody is shown on one day at most (0: no bound)",
        "number": "the number of the log's last event that is in the data",
    },
    again=True,
    judge=judge_later,
    rivals=judge_rivals,
    finder=PeopleFinder.open,
)
