"""What `--set` says of a training of articles, read once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from promise.errors import ConfigError, near

OPTIONS = {
    "encoder": "a sentence encoder or table of word vectors, by path or name; several by commas; "
    "none for no encoder",
    "device": "where encoders run: cpu (default), cuda or auto",
    "latency": "what an answer may take at most, e.g. 5ms; a slower rung is not chosen "
    "(default: no bound)",
    "review": "share of answers that are marked for a person to look at (default 0.05)",
    "precision": "instead of review: what share of the other answers shall be right, e.g. 0.98",
    "labels": "one, many or auto (default): whether an article may have several labels",
    "groups": "no: leave out dense feature groups, the dearest rung to learn",
    "baselines": "no: leave out the baseline of TF-IDF and logistic regression",
    "rules": "for the reference preset: a file of keywords by class",
}
_TIME = re.compile(r"^\s*([0-9.]+)\s*(ms|s)?\s*$")


@dataclass(frozen=True)
class Wishes:
    """The options, typed.

    Examples
    --------
    >>> Wishes.of({"latency": "5ms", "review": "0.1"})
    Wishes(latency_ms=5.0, review=0.1, precision=None, baselines=True)
    """

    latency_ms: float | None = None
    review: float = 0.05
    precision: float | None = None
    baselines: bool = True

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Wishes:
        """Read them.

        Raises
        ------
        ConfigError
            For one that cannot be read.
        """
        for key in options:
            if key not in OPTIONS:
                raise ConfigError(f"--set {key}: articles do not know it; {near(key, OPTIONS)}")
        precision = options.get("precision")
        if precision is not None and "review" in options:
            raise ConfigError("--set review and --set precision exclude one another; give one.")
        return cls(
            latency_ms=_milliseconds(options.get("latency")),
            review=_share("review", options.get("review", "0.05"), below=1.0),
            precision=None if precision is None else _share("precision", precision, below=1.0),
            baselines=options.get("baselines", "yes") != "no",
        )


def _milliseconds(text: str | None) -> float | None:
    if text is None:
        return None
    found = _TIME.match(text)
    if found is None:
        raise ConfigError(f"--set latency={text}: expected a time, for example 5ms.")
    return float(found[1]) * (1000.0 if found[2] == "s" else 1.0)


def _share(key: str, text: str, *, below: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < below:
        raise ConfigError(f"--set {key}={text}: expected a share from 0 to below {below:g}.")
    return value
