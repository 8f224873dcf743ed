"""One line of `[promises]`, read strictly and completed by the defaults of its measure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, get_args

from promise.errors import ConfigError, near
from promise.promises.measures import Measure, measure_named
from promise.promises.spec import STAGES, Action, Due, Promise
from promise.promises.units import SPAN_S, expected, quantity

KEYS = ("that", "at_most", "at_least", "warn", "due", "on_break", "of", "grace")
"""What a promise may say."""

KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""How a promise may be called: it is told in tables, alerts, metrics and urls."""

ACTIONS: tuple[Action, ...] = get_args(Action)
"""What may follow a break."""


def read_promise(where: str, key: str, data: object) -> Promise:
    """Read one promise; `where` begins the error messages.

    Examples
    --------
    >>> kept = read_promise("here", "size", {"that": "memory", "at_most": "8GB"})
    >>> kept.at_most, kept.due, kept.on_break
    (8192.0, 'gate', ('alert',))
    >>> read_promise("here", "size", {"that": "memory", "at_least": "8GB"})
    Traceback (most recent call last):
    ...
    promise.errors.ConfigError: here: promises.size: less is better for memory; say at_most = "8GB".
    """
    if not KEY.fullmatch(key):
        raise ConfigError(f"{where}: {wrong_key(key)}")
    if not isinstance(data, Mapping):
        raise ConfigError(
            f"{where}: promises.{key} is {data!r}; expected a table such as "
            '{ that = "request_errors", at_most = 0.01 }.'
        )
    return _Clause(f"{where}: promises.{key}", key, data).promise()


def wrong_key(key: str) -> str:
    """Say why a promise cannot be called so, and how it could.

    Examples
    --------
    >>> wrong_key("speed!")
    "a promise is called 'speed!'; expected 1 to 64 letters, digits, `_` and `-`, not '!'."
    """
    odd = next((letter for letter in key if not KEY.fullmatch(letter)), None)
    why = f"not {odd!r}" if odd is not None else f"not {len(key):,}"
    return f"a promise is called {key!r:.80}; expected 1 to 64 letters, digits, `_` and `-`, {why}."


@dataclass(frozen=True)
class _Clause:
    at: str
    key: str
    data: Mapping[str, Any]

    def refuse(self, problem: str) -> NoReturn:
        raise ConfigError(f"{self.at}: {problem}")

    def promise(self) -> Promise:
        for given in self.data:
            if given not in KEYS:
                self.refuse(f"there is no key {given!r}; {near(given, KEYS)}")
        measure = self.measure()
        bound = self.bound(measure)
        return Promise(
            key=self.key,
            that=measure.name,
            at_most=bound if measure.side == "at_most" else None,
            at_least=bound if measure.side == "at_least" else None,
            warn=self.warn(measure, bound),
            due=self.due(measure),
            on_break=self.on_break(measure),
            of=self.of(measure),
            grace_s=self.grace_s(),
        )

    def measure(self) -> Measure:
        that = self.data.get("that")
        if not isinstance(that, str):
            self.refuse(f"that is {that!r}; expected what is promised, for example "
                        '"request_errors" or "accuracy".')  # fmt: skip
        try:
            return measure_named(that)
        except ConfigError as error:
            self.refuse(str(error))

    def bound(self, measure: Measure) -> float:
        given = [side for side in ("at_most", "at_least") if side in self.data]
        if len(given) != 1:
            self.refuse(f"has {' and '.join(given) or 'no bound'}; expected exactly one bound, "
                        f"{measure.side}.")  # fmt: skip
        value = self.data[given[0]]
        if given[0] != measure.side:
            better = "less" if measure.side == "at_most" else "more"
            shown = f'"{value}"' if isinstance(value, str) else value
            self.refuse(f"{better} is better for {measure.name}; say {measure.side} = {shown}.")
        return self.amount(given[0], value, measure)

    def amount(self, key: str, value: Any, measure: Measure) -> float:
        read = quantity(value, dict(measure.units))
        if read is None or math.isnan(read):
            self.refuse(f"{key} is {value!r}; expected {expected(dict(measure.units))}.")
        if not measure.low < read < measure.high:
            limits = [f"above {measure.low:g}"] if math.isfinite(measure.low) else []
            limits += [f"below {measure.high:g}"] if math.isfinite(measure.high) else []
            why = ""
            if measure.kind == "errors" and read == 0:
                why = " No number of requests proves that none will ever fail."
            self.refuse(f"{key} is {value!r}; {measure.name} is bounded by a number "
                        f"{' and '.join(limits) or 'that is finite'}.{why}")  # fmt: skip
        return read

    def warn(self, measure: Measure, bound: float) -> float | None:
        if "warn" not in self.data:
            return None
        found = self.amount("warn", self.data["warn"], measure)
        if found == bound or (found > bound) == (measure.side == "at_most"):
            nearer = "below" if measure.side == "at_most" else "above"
            self.refuse(f"warn is {self.data['warn']!r}; it comes before the bound, so it lies "
                        f"{nearer} {bound:g}.")  # fmt: skip
        return found

    def due(self, measure: Measure) -> Due:
        found = self.data.get("due", measure.due)
        if found not in STAGES:
            self.refuse(f"due is {found!r}; {near(str(found), STAGES)}")
        if found not in measure.judged_in:
            stages = " or ".join(measure.judged_in)
            self.refuse(f"due is {found!r}, but {measure.name} is seen only in: {stages}.")
        return found  # type: ignore[no-any-return]

    def on_break(self, measure: Measure) -> tuple[Action, ...]:
        given = self.data.get("on_break", list(measure.on_break))
        actions = [given] if isinstance(given, str) else given
        if not isinstance(actions, list) or not actions:
            self.refuse(f'on_break is {given!r}; expected for example "rollback" or '
                        '["alert", "retrain"].')  # fmt: skip
        for action in actions:
            if action not in ACTIONS:
                self.refuse(f"on_break has {action!r}; {near(str(action), ACTIONS)}")
        if len(set(actions)) < len(actions):
            self.refuse(f"on_break is {given!r}; each action is named once.")
        if {"rollback", "hold"} <= set(actions):
            self.refuse("on_break has both rollback and hold; a version either leaves or stays.")
        return tuple(actions)

    def of(self, measure: Measure) -> str | None:
        found = self.data.get("of")
        if found is not None and (not isinstance(found, str) or not found):
            self.refuse(f"of is {found!r}; expected the name of a column.")
        if found is None and measure.of == "required":
            self.refuse(f"{measure.name} compares groups of people; say which column holds them, "
                        'for example of = "sex".')  # fmt: skip
        if found is not None and measure.of == "refused":
            self.refuse(f"of = {found!r} says nothing of {measure.name}; leave it out.")
        return found

    def grace_s(self) -> float:
        if "grace" not in self.data:
            return Promise(self.key, "").grace_s
        found = quantity(self.data["grace"], dict(SPAN_S))
        if found is None:
            self.refuse(f'grace is {self.data["grace"]!r}; expected a span of time such as "7d".')
        return found
