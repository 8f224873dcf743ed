"""What column names hint at; a hint alone decides nothing, statistics must agree."""

from __future__ import annotations

import re

_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")

_IDENTIFIER = frozenset({"id", "ids", "uuid", "guid", "identifier", "key", "pk", "rowid", "index"})
_AFTER = frozenset({
    "duration", "actual", "arrival", "arrive", "arrived", "arr", "after", "outcome", "closed",
    "closing", "close", "end", "ended", "ending", "finish", "finished", "completed", "completion",
    "final", "result", "results", "resolution", "resolved", "settled", "settlement", "returned",
    "delivered", "delivery", "cancelled", "canceled", "dropoff", "checkout", "elapsed", "delay",
    "departure", "departed", "dep", "takeoff", "refund", "refunded", "chargeback", "recovered",
    "recovery", "collected", "outstanding", "payoff", "termination", "terminated", "exit",
    "airtime", "landed", "landing", "handled", "response"
})  # fmt: skip
_BEFORE = frozenset({
    "previous", "prev", "prior", "last", "past", "before", "history", "historical", "scheduled",
    "sched", "planned", "plan", "due", "expected", "estimated", "forecast", "initial", "start",
    "begin", "origin", "first", "lag", "baseline", "birth", "credit", "loan", "contract", "policy",
    "employment"
})  # fmt: skip
_TIME = frozenset({
    "time", "date", "datetime", "timestamp", "day", "dt", "ts", "hour", "minute", "min", "second",
    "month", "year", "duration", "delay"
})  # fmt: skip
_WEIGHT = frozenset({"wgt", "wt", "weights", "pweight", "fweight", "sampleweight"})


def parts(name: str) -> tuple[str, ...]:
    """Split a column name into its lower-case words.

    Examples
    --------
    >>> parts("customerID"), parts("arr_delay"), parts("PULocationID")
    (('customer', 'id'), ('arr', 'delay'), ('pu', 'location', 'id'))
    """
    return tuple(part.lower() for part in _PART.findall(name))


def names_identifier(name: str) -> bool:
    """Say whether a name is one that keys have.

    Examples
    --------
    >>> names_identifier("customerID"), names_identifier("width")
    (True, False)
    """
    words = parts(name)
    return bool(words) and (words[-1] in _IDENTIFIER or words[0] in ("id", "uuid", "guid"))


def names_aftermath(name: str, target: str = "") -> bool:
    """Say whether a name speaks of something that is known only once the event is over.

    Words such as "previous" or "scheduled" speak against it. A time that shares a word with the
    target (`arr_time` beside `arr_delay`) is such a name too.

    Examples
    --------
    >>> names_aftermath("duration"), names_aftermath("previous_outcome")
    (True, False)
    """
    words = set(parts(name))
    if words & _BEFORE:
        return False
    if words & _AFTER:
        return True
    return bool(words & _TIME) and bool((words & set(parts(target))) - _TIME)


def names_time(name: str) -> bool:
    """Say whether a name speaks of a time or a span of time."""
    return bool(set(parts(name)) & _TIME)


def names_plan(name: str) -> bool:
    """Say whether a name speaks of something planned or past, hence known before the event."""
    return bool(set(parts(name)) & _BEFORE)


def names_weight(name: str) -> bool:
    """Say whether a name is one that survey weights have.

    Examples
    --------
    >>> names_weight("fnlwgt"), names_weight("sample_weight"), names_weight("weight")
    (True, True, False)
    """
    words = parts(name)
    joined = "".join(words)
    surveyed = "weight" in words and bool(
        {"sample", "sampling", "survey", "person", "final", "design", "case"} & set(words)
    )
    return bool(set(words) & _WEIGHT) or joined.endswith("wgt") or surveyed
