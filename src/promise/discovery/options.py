"""Everything a discovery can be told, checked before any data is read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from promise.data.rows import OnBadRows
from promise.data.sample import Strategy
from promise.data.schema import ROLES
from promise.errors import ConfigError, near
from promise.models.base import ESTIMATORS

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
_UNITS_MB = {"KB": 1 / 1024, "MB": 1.0, "GB": 1024.0, "TB": 1024.0**2}
READING = ("delimiter", "encoding", "decimal", "compression")
_SHORT = {
    "tree": "decision_tree",
    "forest": "random_forest",
    "rf": "random_forest",
    "lgbm": "lightgbm",
    "gbm": "lightgbm",
    "xgb": "xgboost",
}
STRATEGIES = ("random", "stratified", "time")
PRESETS = ("default", "reference")


def seconds(text: str | float) -> float:
    """Read a time span: `90`, `"60s"`, `"10m"`, `"1h"`.

    Examples
    --------
    >>> seconds("10m")
    600.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", str(text).strip().lower())
    if match is None or float(match[1]) <= 0:
        raise ConfigError(f"{text!r} is no time span; expected e.g. 60s, 10m or 1h.")
    return float(match[1]) * _UNITS_S[match[2] or "s"]


def megabytes(text: str | float) -> float:
    """Read a size in MiB: `"4GB"`, `"512MB"`; a bare number is in MiB.

    Examples
    --------
    >>> megabytes("4GB")
    4096.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?", str(text).strip().upper())
    if match is None or float(match[1]) <= 0:
        raise ConfigError(f"{text!r} is no size; expected e.g. 512MB or 4GB.")
    return float(match[1]) * _UNITS_MB[(match[2] or "M") + "B"]


def family_names(families: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...] | None:
    """Resolve family names, with the common short forms.

    Examples
    --------
    >>> family_names("linear,rf")
    ('linear', 'random_forest')
    """
    if families is None:
        return None
    parts = families.split(",") if isinstance(families, str) else list(families)
    names = [part.strip().lower().replace("-", "_").replace(" ", "_") for part in parts]
    resolved = tuple(_SHORT.get(name, name) for name in names if name)
    known = ESTIMATORS.names()
    for name in resolved:
        if name not in known:
            raise ConfigError(f"--families: there is no family {name!r}; {near(name, known)}")
    if not resolved:
        raise ConfigError(f"--families names none; known: {', '.join(known)}.")
    return resolved


@dataclass(frozen=True)
class Options:
    """How to discover; the defaults are what most people want.

    Parameters
    ----------
    budget_s
        Wall-clock time for everything, export and report included; unused with `trials`.
    trials
        How many candidates to try instead of a clock; the scores then repeat exactly.
    sample
        `"auto"`, `"full"` or a number of rows.
    memory_mb
        Bound on the sum of all processes' PSS; None: what the machine has.
    name
        The model's name in the registry; None: taken from the data's name.
    columns
        Column to role, such as `{"duration": "ignore"}`.
    reading
        How a file is read, where detection errs: delimiter, encoding, decimal, compression.
    gap_s
        Seconds before the holdout of a temporal split that belong to neither side: as long as
        labels take to arrive.
    latency_ms
        What the members of an ensemble may cost together, per row.
    replay
        The journal of an earlier run under the clock, whose fits are repeated exactly.
    """

    target: str
    preset: str = "default"
    budget_s: float = 600.0
    trials: int | None = None
    sample: str | int = "auto"
    strategy: Strategy = "random"
    time: str | None = None
    group: str | None = None
    metric: str | None = None
    families: tuple[str, ...] | None = None
    memory_mb: float | None = None
    threads: int = 2
    seed: int = 7
    name: str | None = None
    out: Path = Path("promise-out")
    on_bad_rows: OnBadRows = "fail"
    resume: bool = False
    columns: dict[str, str] = field(default_factory=dict)
    reading: dict[str, str] = field(default_factory=dict)
    gap_s: float = 0.0
    latency_ms: float | None = None
    replay: Path | None = None

    def __post_init__(self) -> None:
        _one_of("--preset", self.preset, PRESETS)
        _one_of("--strategy", self.strategy, STRATEGIES)
        _one_of("--on-bad-rows", self.on_bad_rows, ("fail", "skip"))
        if self.trials is not None and self.trials < 1:
            raise ConfigError(f"--trials {self.trials}: at least 1 is needed.")
        if self.threads < 1:
            raise ConfigError(f"--threads {self.threads}: at least 1 is needed.")
        if self.replay is not None and not self.replay.is_file():
            raise ConfigError(f"replay={self.replay}: there is no such journal.")
        if self.out.exists() and not self.out.is_dir():
            raise ConfigError(f"--out {self.out}: this is a file; name a folder.")
        for key in self.reading:
            _one_of("--set", key, READING)
        for role in self.columns.values():
            if role not in ROLES:
                raise ConfigError(f"--column {role}=…: no such role; {near(role, ROLES)}")
        if self.sample not in ("auto", "full") and int(self.sample) < 2:
            raise ConfigError(f"--sample {self.sample}: expected auto, full or at least 2 rows.")

    def to_json(self) -> dict[str, Any]:
        """Return the options as the run's record keeps them."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        replay = None if self.replay is None else str(self.replay)
        families = list(self.families or ()) or None
        return {**values, "out": str(self.out), "families": families, "replay": replay}


def sample_option(text: str | int) -> str | int:
    """Read `--sample`: auto, full, or a number of rows.

    Examples
    --------
    >>> sample_option("50000")
    50000
    """
    if isinstance(text, int) or text in ("auto", "full"):
        return text
    digits = text.replace("_", "").replace(",", "")
    if not digits.isdigit():
        raise ConfigError(f"--sample {text}: expected auto, full or a number of rows.")
    return int(digits)


def _one_of(flag: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{flag} {value}: expected {', '.join(known[:-1])} or {known[-1]}.")
