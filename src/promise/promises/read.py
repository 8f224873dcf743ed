"""`promise.toml`, read strictly: what is not understood is refused with the near match."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from promise.errors import ConfigError, near
from promise.promises.clauses import KEY, read_promise, wrong_key
from promise.promises.defaults import DEFAULT_PROMISES
from promise.promises.spec import ModelFile, Promise, RolloutPlan
from promise.promises.units import SPAN_S, expected, quantity

KEYS = ("name", "workload", "promises", "rollout", "experiment", "retrain")
"""What a `promise.toml` may have at its top."""

_ROLLOUT = ("shadow", "steps", "bake")
_RETRAIN = ("every_rows", "schedule", "on_drift")
_SCHEDULE = re.compile(r"(daily|mon|tue|wed|thu|fri|sat|sun) ([01][0-9]|2[0-3]):[0-5][0-9]")


def read_model_file(path: Path) -> ModelFile:
    """Read a `promise.toml`.

    Raises
    ------
    ConfigError
        When the file is absent, is no TOML, or says something that cannot be; the message names
        the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        read = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}.") from error
    _refuse_keys(read, text, str(path))
    return model_file(read, str(path))


def _refuse_keys(read: Mapping[str, Any], text: str, where: str) -> None:
    """Refuse a promise that cannot be called so, with the line on which it is."""
    clauses = read.get("promises")
    for key in clauses if isinstance(clauses, Mapping) else ():
        if not KEY.fullmatch(key):
            raise ConfigError(f"{where}, line {_line_of(key, text)}: {wrong_key(key)}")


def _line_of(key: str, text: str) -> int:
    """Return the line on which a promise is whole: up to it the file is read and has it.

    A parsed file tells no positions, and a search for the key would find it in comments too.
    """
    lines = text.splitlines(keepends=True)
    for number in range(1, len(lines)):
        try:
            found = tomllib.loads("".join(lines[:number])).get("promises")
        except tomllib.TOMLDecodeError:
            continue  # in the middle of an array or a text of several lines
        if isinstance(found, Mapping) and key in found:
            return number
    return len(lines)


def model_file(data: Mapping[str, Any], where: str) -> ModelFile:
    """Read a parsed `promise.toml`; `where` begins the error messages.

    A file without promises holds its model to the default one.

    Examples
    --------
    >>> speed = {"that": "latency_p99", "at_most": "12ms"}
    >>> read = model_file({"promises": {"speed": speed}}, "here")
    >>> read.promises[0].at_most, read.promises[0].due, read.promises[0].on_break
    (12.0, 'canary', ('rollback',))
    >>> model_file({"rolout": {}}, "here")
    Traceback (most recent call last):
    ...
    promise.errors.ConfigError: here: there is no key 'rolout'; did you mean 'rollout'?
    """
    top = _Table(where, "", data)
    top.only(KEYS)
    clauses = top.table("promises")
    promises = tuple(read_promise(where, key, clause) for key, clause in clauses.data.items())
    _without_twins(where, promises)
    return ModelFile(
        name=top.text("name"),
        workload=top.text("workload"),
        promises=promises or DEFAULT_PROMISES,
        rollout=_rollout(top.table("rollout")),
        experiment=_experiment(top.table("experiment")),
        retrain=_retrain(top.table("retrain")),
    )


@dataclass(frozen=True)
class _Table:
    """One table of the file, and the words with which its errors begin."""

    where: str
    name: str
    data: Mapping[str, Any]

    def refuse(self, key: str, problem: str) -> NoReturn:
        """Raise an error that names the key."""
        raise ConfigError(f"{self.where}: {self.name + '.' if self.name else ''}{key} {problem}")

    def only(self, known: Iterable[str]) -> None:
        """Refuse unknown keys."""
        known = list(known)
        inside = f" in [{self.name}]" if self.name else ""
        for key in self.data:
            if key not in known:
                raise ConfigError(
                    f"{self.where}: there is no key {key!r}{inside}; {near(key, known)}"
                )

    def table(self, key: str) -> _Table:
        """Return a table inside; an absent one is empty."""
        found = self.data.get(key, {})
        if not isinstance(found, Mapping):
            self.refuse(key, f"is {found!r}; expected a table, [{key}].")
        return _Table(self.where, key, found)

    def text(self, key: str) -> str | None:
        """Return a text that is not empty, None where the key is absent."""
        found = self.data.get(key)
        if found is not None and (not isinstance(found, str) or not found.strip()):
            self.refuse(key, f"is {found!r}; expected a text.")
        return found

    def whole(self, key: str, default: int, at_least: int) -> int:
        """Return a whole number."""
        found = self.data.get(key, default)
        if not isinstance(found, int) or isinstance(found, bool) or found < at_least:
            self.refuse(key, f"is {found!r}; expected a whole number from {at_least}.")
        return found


def _without_twins(where: str, promises: tuple[Promise, ...]) -> None:
    """Refuse two bounds on one thing: only one of them could ever matter."""
    seen: dict[tuple[str, str | None], str] = {}
    for each in promises:
        first = seen.setdefault((each.that, each.of), each.key)
        if first != each.key:
            raise ConfigError(
                f"{where}: promises.{first} and promises.{each.key} are both about {each.that}; "
                "keep the stricter one (a nearer bound that only warns is `warn`)."
            )


def _rollout(table: _Table) -> RolloutPlan:
    table.only(_ROLLOUT)
    plan = RolloutPlan()
    steps = table.data.get("steps", list(plan.steps))
    if (
        not isinstance(steps, list)
        or not steps
        or not all(isinstance(s, int) and not isinstance(s, bool) and s > 0 for s in steps)
        or any(b <= a for a, b in pairwise(steps))
        or steps[-1] != 100
    ):
        table.refuse(
            "steps",
            f"is {steps!r}; expected growing whole percents that end in 100, "
            "for example [10, 25, 50, 100].",
        )
    bake = table.data.get("bake", plan.bake_s)
    bake_s = quantity(bake, dict(SPAN_S))
    if bake_s is None:
        table.refuse("bake", f'is {bake!r}; expected a span of time such as "24h": '
                     f"{expected(SPAN_S)}.")  # fmt: skip
    return RolloutPlan(table.whole("shadow", plan.shadow, 0), tuple(steps), bake_s)


def _experiment(table: _Table) -> dict[int, float]:
    table.only(("split",))
    split = table.table("split")
    found = {}
    for key, share in split.data.items():
        if not key.isdecimal() or int(key) == 0:
            split.refuse(repr(key), 'is no version; expected its number, for example "3" = 50.')
        if not isinstance(share, (int, float)) or isinstance(share, bool) or not 0 < share <= 100:
            split.refuse(key, f"is {share!r}; expected percent of traffic, above 0 and up to 100.")
        found[int(key)] = float(share)
    if len(found) != len(split.data):
        table.refuse("split", "names a version twice.")
    total = sum(found.values())
    if total > 100 + 1e-9:
        table.refuse("split", f"adds to {total:g} %; all versions together get at most 100 %.")
    return found


def _retrain(table: _Table) -> dict[str, Any]:
    table.only(_RETRAIN)
    if "every_rows" in table.data:
        table.whole("every_rows", 1, 1)
    schedule = table.text("schedule")
    if schedule is not None and not _SCHEDULE.fullmatch(schedule):
        table.refuse("schedule", f'is {schedule!r}; expected for example "sun 02:00" or '
                     '"daily 02:00".')  # fmt: skip
    on_drift = table.data.get("on_drift", False)
    if not isinstance(on_drift, bool):
        table.refuse("on_drift", f"is {on_drift!r}; expected true or false.")
    return dict(table.data)
