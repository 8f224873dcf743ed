"""A version: an immutable folder and its row in the registry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from promise.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Version:
    """One registered version of a model's name.

    Parameters
    ----------
    name, number
        Together unique; numbers of a name count up from 1 and are never used again.
    folder
        Where its files lie.
    digest
        Of its manifest, which holds the digests of all other files.
    metrics
        Holdout metrics with intervals, as the manifest keeps them.
    labels
        Free `key: value` marks.
    """

    name: str
    number: int
    created: datetime
    workload: str
    folder: Path
    digest: str
    metrics: dict[str, Any]
    lineage: dict[str, Any]
    labels: dict[str, str]

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"


def check_name(name: str) -> str:
    """Return the model's name, or say what a name looks like.

    Examples
    --------
    >>> check_name("churn-eu")
    'churn-eu'
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be a model's name: use 1 to 63 lower-case letters, digits, "
            f"- and _, starting with a letter, for example {slug(name)!r}."
        )
    return name


def slug(text: str) -> str:
    """Return a valid model name close to a text.

    Examples
    --------
    >>> slug("Bank Marketing.csv")
    'bank-marketing-csv'
    """
    words = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-_")
    return (words if words[:1].isalpha() else f"m-{words}").rstrip("-")[:63] or "model"


def parse_reference(reference: str) -> tuple[str, int | None]:
    """Split `NAME[@V]`; without a number the newest version is meant.

    Examples
    --------
    >>> parse_reference("churn@3")
    ('churn', 3)
    >>> parse_reference("churn")
    ('churn', None)
    """
    name, at, number = reference.partition("@")
    if not at:
        return name, None
    if not number.isdigit():
        raise ConfigError(f"{reference!r}: after @ comes a version number, for example {name}@3.")
    return name, int(number)
